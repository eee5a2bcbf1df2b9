"""A trace in a whole hub: beside hanging bulk reads meters go on, the stop keeps its time, no files are left."""

from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import pytest

from hub.simulators.oracle import OracleServer, open_oracle
from tests.elapsed import takes_less_than
from tests.hub.trace.pipeline_site import ids
from tests.whole.running_hub import RunningHub, eventually
from tests.whole.site import Site, open_site

pytestmark = pytest.mark.anyio

SAMPLE = {"id": "fab", "kind": "sample-equipment", "machines": 20, "interval": "5m"}


def oracle_feed(server: OracleServer) -> dict[str, Any]:
    return {
        "id": "fab",
        "kind": "oracle-equipment",
        "dsn": server.dsn,
        "user": "reader",
        "password": "secret",
        "interval": "1h",
        "trace": {"workers": 4},
    }


async def start_job(hub: RunningHub) -> str:
    body = {"container_ids": ids(20_000), "domains": ["history"]}
    accepted = await hub.ask("POST", "/api/trace/events", 202, json=body)
    return str(accepted["status_url"])


def polls(site: Site) -> int:
    return sum(meter.counters.commands["DOD?"] for meter in site.meters)


async def test_a_trace_comes_and_goes_with_its_feed(tmp_path: Path) -> None:
    async with open_site(tmp_path, 1) as site:
        site.config["feeds"] = [SAMPLE]
        async with site.run() as hub:
            params = {"lot_id": ["GA26000120-A00-007"]}
            seed = {"profile": "query_tool", "params": params}
            found = await hub.ask("POST", "/api/trace/seed", json=seed)
            lots = [one["container_id"] for one in found["seeds"]]
            events = await hub.ask(
                "POST", "/api/trace/events", json={"container_ids": lots, "domains": ["history"]}
            )
            assert events["results"]["history"]["count"] == 3
            assert events["quality"]["status"] == "complete"
            site.config["feeds"] = []
            site.write()

            async def is_gone() -> bool:
                return (await hub.http.post("/api/trace/seed", json=seed)).status_code == 404

            with takes_less_than(10):
                while not await is_gone():
                    await anyio.sleep(0.05)
            assert await hub.stop() == 0


async def test_hanging_bulk_reads_leave_the_meters_alone_and_the_stop_in_time(tmp_path: Path) -> None:
    async with open_oracle() as server, open_site(tmp_path, 3) as site:
        server.faults.hang = "LOTWIPHISTORY"
        server.faults.ignore_break = True
        site.config["feeds"] = [oracle_feed(server)]
        async with site.run() as hub:
            job = await start_job(hub)
            await eventually(lambda: server.counters.executing == 4)
            before = polls(site)
            await eventually(lambda: polls(site) >= before + 9)
            assert (await hub.get(job))["status"] == "running"
            assert (await hub.get("/api/trace/status"))["database"]["reachable"] is True
            assert Counter(one["snapshot"]["feed_status"] for one in (await hub.get("/api/units"))["items"]) == {
                "ok": 3
            }
            assert await hub.stop() == 0
        await eventually(lambda: not server.sessions)


async def test_jobs_do_not_survive_a_restart_and_their_files_are_removed(tmp_path: Path) -> None:
    async with open_oracle() as server, open_site(tmp_path, 1) as site:
        server.faults.hang = "LOTWIPHISTORY"
        site.config["feeds"] = [oracle_feed(server)]
        async with site.run() as hub:
            job = await start_job(hub)
            await eventually(lambda: server.counters.executing == 4)
            await hub.kill()
        left = anyio.Path(site.folder / "data" / "trace")
        assert [path async for path in left.iterdir()]
        async with site.run() as hub:
            assert "restart" in (await hub.get(job, 404))["detail"]
            assert not await left.exists() or not [path async for path in left.iterdir()]
            assert await hub.stop() == 0
