"""A site to monitor: simulated meters, a webhook receiver, a folder with config.yaml, and hubs that run on it."""

import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from hub.simulators.nl43 import FleetOptions, MeterOptions, SimulatedMeter, open_fleet
from hub.simulators.nl43.waveform import constant
from hub.simulators.receiver import LocalReceiver, Received, open_receiver
from tests.free_port import free_port
from tests.whole.running_hub import RunningHub, eventually, open_running_hub

SECRET = "whsec_dGhlLXNlY3JldC1vZi10aGUtd2hvbGUtaHVi"
QUIET, LOUD, LIMIT = 50.0, 85.0, 70.0


@dataclass(slots=True)
class Site:
    """`config` is what `write` puts into config.yaml; a test changes it first.

    `postgres` is where `rows` finds the database when it is not the file.
    """

    folder: Path
    port: int
    meters: list[SimulatedMeter]
    receiver: LocalReceiver
    config: dict[str, Any]
    postgres: str | None = None

    @property
    def path(self) -> Path:
        return self.folder / "config.yaml"

    @property
    def database(self) -> Path:
        return self.folder / "data" / "hub.db"

    def write(self) -> None:
        """Put the configuration in its place; JSON is YAML."""
        self.path.write_text(json.dumps(self.config, indent=1))

    @asynccontextmanager
    async def run(self, sabotage: str | None = None) -> AsyncIterator[RunningHub]:
        """A hub on this site, ready."""
        async with self.start(sabotage) as hub:
            await hub.ready()
            yield hub

    def start(self, sabotage: str | None = None) -> AbstractAsyncContextManager[RunningHub]:
        """A hub on this site that may not come up."""
        self.write()
        return open_running_hub(self.path, self.port, sabotage)

    def rows(self, query: str, *values: object) -> list[Any]:
        """Rows of the hub's database; `?` stands for a value."""
        if self.postgres is not None:
            with psycopg.connect(self.postgres, row_factory=dict_row) as server:
                return server.execute(query.replace("?", "%s"), values).fetchall()
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=5)) as connection:
            connection.row_factory = sqlite3.Row
            return connection.execute(query, values).fetchall()

    def told(self, wanted: Callable[[dict[str, Any]], bool] = lambda document: True) -> list[dict[str, Any]]:
        """The bodies that the receiver got, in order."""
        return [document for received in self.receiver.received if wanted(document := received.document)]

    async def hears(self, type_: str, rule: str, subject: str | None = None, within_s: float = 30.0) -> Received:
        """The first message of this type about this rule, once it is there."""

        def look() -> Received | None:
            return next(
                (one for one in self.receiver.received if is_about(one.document, type_, rule, subject)), None
            )

        found = await eventually(look, within_s)
        assert found is not None
        return found


def is_about(document: dict[str, Any], type_: str, rule: str, subject: str | None = None) -> bool:
    """True for a message of this type about this rule (and subject)."""
    alert = document.get("alert", {})
    return document["type"] == type_ and alert.get("rule") == rule and subject in (None, alert.get("subject"))


def unit(number: int, port: int, **keys: Any) -> dict[str, Any]:
    """A unit that is polled fast enough for a test."""
    poll = {"watched": "100ms", "idle": "200ms", "gap": "0s"}
    return {"id": f"gate-{number}", "host": "127.0.0.1", "port": port, "poll": poll, "reconnect": "100ms", **keys}


def loud_rule(**keys: Any) -> dict[str, Any]:
    """Fires at once above 70 dB, and again as soon as it has cleared."""
    return {"name": "loud", "metric": "lp", "above": LIMIT, "cooldown": "0s", "notify": ["ops"], **keys}


def quiet_meter(number: int) -> MeterOptions:
    """Measures a constant level."""
    return MeterOptions(waveform=constant(QUIET), running=True, seed=number)


@asynccontextmanager
async def open_site(folder: Path, meters: int) -> AsyncIterator[Site]:
    """Meters, a receiver `ops` and a configuration of both with the rule `loud`."""
    async with (
        open_fleet(FleetOptions(meters, meter=quiet_meter)) as fleet,
        open_receiver(secret=SECRET) as receiver,
    ):
        config = {
            "hub": {"name": "site", "listen": f"127.0.0.1:{(port := free_port())}", "log": "json"},
            "units": [unit(number, at) for number, at in enumerate(fleet.ports)],
            "alerts": {
                "rules": [loud_rule()],
                "receivers": [{"name": "ops", "url": receiver.url, "secret": SECRET}],
            },
        }
        yield Site(folder, port, list(fleet.meters), receiver, config)
