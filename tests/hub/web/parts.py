"""The site that web tests use: real parts, simulated meters and one alert rule."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import anyio
import httpx
from anyio.abc import TaskGroup

from alerts.delivery.dispatcher import Dispatcher
from alerts.model.sample import Sample
from alerts.service import AlertService
from hub.config.models import Config
from hub.database.database import Database, open_database
from hub.instruments.exchange import Priority
from hub.readings.snapshot import Event
from hub.runtime.clock import Clock
from hub.runtime.figures import Figures
from hub.runtime.supervisor import Supervisor
from hub.store.recorder import Recorder
from hub.store.schema import upgrade
from hub.store.tables import register_boot
from hub.units.unit import Unit
from hub.web.parts import Parts
from hub.web.routes.app import create_app
from hub.web.server.server import Server, bind
from tests.hub.fake_link import FakeLink, linked

TOKENS = (
    {"name": "wallboard", "token": "viewer-0123456789abcdef", "role": "viewer"},
    {"name": "shift", "token": "operator-0123456789abcdef", "role": "operator"},
    {"name": "boss", "token": "admin-0123456789abcdef", "role": "admin"},
)
RULE = {"name": "loud", "metric": "lp", "above": 65, "severity": "critical", "cooldown": "0s"}


@dataclass
class Site:
    """The parts of a hub with simulated meters, and the actions that tests perform on them."""

    parts: Parts
    links: dict[str, FakeLink]
    tasks: TaskGroup

    async def poll(self, unit_id: str = "gate-a", times: int = 1) -> None:
        """Poll the unit's meter `times` times."""
        for _ in range(times):
            await self.parts.units[unit_id].poll(Priority.MONITOR)

    async def committed(self) -> None:
        """Wait until everything offered is in the database."""
        await until(lambda: not self.parts.recorder.pending and not self.parts.alerts.pending)

    def sample(self, lp: float, unit_id: str = "gate-a") -> None:
        """Evaluate the rules with a level `lp`, in dB."""
        clock = self.parts.clock
        sample = Sample(f"unit/{unit_id}", "lp", lp, clock.now(), clock.steady())
        self.parts.alerts.submit([sample])

    def client(self, token: str | None = None, **headers: str) -> httpx.AsyncClient:
        """An HTTP client that calls the application without a socket."""
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        transport = httpx.ASGITransport(create_app(self.parts), raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8480", headers=headers)


@asynccontextmanager
async def open_site(
    folder: Path, tokens: tuple[dict[str, str], ...] = (), units: tuple[str, ...] = ("gate-a", "gate-b")
) -> AsyncIterator[Site]:
    """Build a site on a SQLite file, with its recorder and its alert service running."""
    config = Config.model_validate(
        {
            "hub": {"name": "site", "tokens": tokens},
            "units": [
                {"id": unit_id, "host": "127.0.0.1", "labels": {"site": "dockside"}, "poll": {"watched": "1s"}}
                for unit_id in units
            ],
            "alerts": {"rules": [RULE]},
        }
    )
    clock = Clock()
    async with open_database(f"sqlite:///{folder / 'hub.db'}") as database, anyio.create_task_group() as tasks:
        await database.write(upgrade)
        boot = await database.write(lambda session: register_boot(session, clock.now(), "test"))
        site = _build(config, clock, database, boot, tasks)
        tasks.start_soon(site.parts.recorder.run)
        tasks.start_soon(site.parts.alerts.run)
        async with Supervisor("sinks", clock) as supervisor:
            site.parts.supervisors.append(supervisor)
            yield site
        tasks.cancel_scope.cancel()


def _build(config: Config, clock: Clock, database: Database, boot: int, tasks: TaskGroup) -> Site:
    recorder = Recorder(database, boot, clock, interval_s=0.05)
    dispatchers: dict[str, Dispatcher] = {}
    alerts = AlertService(database, clock, "site", "UTC", dispatchers)
    alerts.configure(config.alerts)
    units: dict[str, Unit] = {}

    async def release(unit_id: str, released: bool) -> None:
        units[unit_id].release(released)

    async def keep_alive(unit_id: str, kept: bool) -> None:
        units[unit_id].keep_alive = kept

    parts = Parts(
        config=config,
        clock=clock,
        started_at=datetime.now(UTC),
        started_s=clock.steady(),
        version="0.0.0",
        database=database,
        recorder=recorder,
        alerts=alerts,
        dispatchers=dispatchers,
        figures=Figures(),
        release=release,
        keep_alive=keep_alive,
        units=units,
    )

    def publish(event: Event) -> None:
        recorder.offer_nowait(event)

    links = {}
    for unit_config in config.units:
        link = links[unit_config.id] = FakeLink(clock, latency_s=0.0)
        units[unit_config.id] = Unit(unit_config, clock, publish, linked(unit_config, link, clock))
        alerts.add_subject(f"unit/{unit_config.id}", unit_config.labels)
    return Site(parts, links, tasks)


async def until(holds: Callable[[], bool]) -> None:
    """Poll a condition that has no event of its own. Raises TimeoutError after 60 s."""
    with anyio.fail_after(60):
        while True:
            if holds():
                return
            await anyio.sleep(0.01)


@asynccontextmanager
async def serving(site: Site) -> AsyncIterator[str]:
    """Serve the application on a free port; yields `HOST:PORT`."""
    with bind("127.0.0.1", 0) as listening:
        host, port = listening.getsockname()
        server = Server(create_app(site.parts), listening)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.run)
            try:
                yield f"{host}:{port}"
            finally:
                await server.stop()
