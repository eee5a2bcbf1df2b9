"""Today's hub takes up the database and the configuration of the first release."""

from pathlib import Path
from string import Template

import pytest
from sqlmodel import Session

from hub.database.database import open_database
from hub.store.schema import upgrade
from tests.hub.store.old_rows import rows_until
from tests.whole.running_hub import eventually, open_running_hub
from tests.whole.site import LOUD, SECRET, Site, open_site

pytestmark = pytest.mark.anyio

FIRST_REVISION = "0001"

# With the keys of that release; its rows are kept for longer than its 14 days, as they do not get younger.
CONFIG = Template("""
hub:
  name: site-office
  listen: 127.0.0.1:$port
  timezone: Europe/London
  data_dir: $${HUB_DATA_DIR:-data}
  tokens: []
  # log: json

database:
  url: $${HUB_DATABASE_URL:-sqlite:///data/hub.db}
  retention: {readings: 20y, minutes: 20y, alerts: 20y}
  keep_raw: false
  max_size: 20GB

units:
  - id: gate-a
    kind: nl43
    name: Gate A
    host: $${GATE_A_HOST:-127.0.0.1}
    port: $meter_a
    labels: {site: dockside, tenant: acme}
    monitor: true
    poll:
      watched: 1s
      idle: 10s
      background: 60s
      gap: 1s
    timeouts: {connect: 5s, reply: 3s}
    offline_after: 3
    reconnect: 5s

  - id: gate-b
    host: 127.0.0.1
    port: $meter_b
    labels: {site: dockside, tenant: acme}

feeds: []

alerts:
  rules:
    - name: night-limit
      match: {site: dockside}
      metric: laeq_15m
      above: 65
      clear_margin: 2
      for: 30s
      schedule: {from: "22:00", to: "07:00"}
      severity: critical
      notify: [ops]

    - name: peak
      units: ["gate-*"]
      metric: lp
      above: 80
      for: 1s
      cooldown: 5m
      notify: [ops]

  receivers:
    - name: ops
      url: $${OPS_WEBHOOK_URL:-$receiver}
      secret: "$secret"

  system: {notify: [ops], severity: warning}
""")


async def test_the_hub_goes_on_with_what_the_first_release_left(tmp_path: Path) -> None:
    async with open_site(tmp_path, 2) as site:
        await _write_database(site)
        site.path.write_text(
            CONFIG.substitute(
                port=site.port,
                meter_a=site.meters[0].port,
                meter_b=site.meters[1].port,
                receiver=site.receiver.url,
                secret=SECRET,
            )
        )
        async with open_running_hub(site.path, site.port) as hub:
            await hub.ready()
            site.meters[0].set_lp(LOUD)
            heard = await site.hears("alert.onset", "peak", "gate-a")
            past = await hub.get("/api/units/gate-a/history?from=2026-03-18T00:00:00Z&to=2026-03-19T00:00:00Z")
            fresh = await eventually(lambda: site.rows("SELECT sequence FROM readings WHERE lp = ?", LOUD))
            assert await hub.stop() == 0
        assert heard.is_signed
        assert [item["lp"] for item in past["items"]] == [68.4, None]
        assert site.meters[1].counters.connections == 0  # people released it under the first release
        boots = [row["version"] for row in site.rows("SELECT version FROM boots ORDER BY id")]
        assert boots[0] == "0.1.0"
        assert len(boots) == 2
        assert fresh[0]["sequence"] > past["items"][-1]["sequence"]


async def _write_database(site: Site) -> None:
    def fill(session: Session) -> None:
        upgrade(session, FIRST_REVISION)
        for statement in rows_until(FIRST_REVISION):
            session.connection().exec_driver_sql(statement)

    async with open_database(f"sqlite:///{site.database}") as database:
        await database.write(fill)
