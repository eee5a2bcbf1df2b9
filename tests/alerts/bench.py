"""An `AlertService` with one rule and two receivers, for tests in virtual time."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import anyio

from alerts.config.caption import UNNAMED, Caption
from alerts.config.rule import AlertsConfig
from alerts.model.alert import Alert
from alerts.model.delivery import Delivery
from alerts.model.sample import Sample
from alerts.service import AlertService
from tests.alerts.fakes import LoopClock, SqliteDatabase

CONFIG = AlertsConfig.model_validate(
    {
        "rules": [{"name": "night-limit", "metric": "laeq_15m", "above": 65, "cooldown": "0s", "notify": ["ops"]}],
        "receivers": [{"name": name, "url": "http://x/"} for name in ("ops", "site")],
    }
)


class RecordingDispatcher:
    """Keeps what it is offered."""

    def __init__(self) -> None:
        self.offered: list[tuple[Delivery, bool]] = []
        self.looks = 0

    def look_again(self) -> None:
        self.looks += 1

    def offer(self, deliveries: Iterable[Delivery], persisted: bool = True) -> None:
        self.offered += [(delivery, persisted) for delivery in deliveries]

    @property
    def types(self) -> list[tuple[str, bool]]:
        return [(delivery.type, persisted) for delivery, persisted in self.offered]


class Bench:
    """Alerts with one rule and two receivers."""

    resumed_s = float("-inf")

    def __init__(self, database: SqliteDatabase, room: int = 50_000, config: AlertsConfig = CONFIG) -> None:
        self.ops, self.site = RecordingDispatcher(), RecordingDispatcher()
        self.clock = LoopClock()
        self.latencies: list[tuple[str, float]] = []
        caption = Caption("Gate A", {"laeq_15m": "LCeq,15min"})
        self.alerts = AlertService(
            database,
            self.clock,
            "site-office",
            "UTC",
            {"ops": self.ops, "site": self.site},
            caption_of=lambda subject: caption if subject == "unit/gate-a" else UNNAMED,
            on_latency=lambda stage, seconds: self.latencies.append((stage, seconds)),
            resumed_s=lambda: self.resumed_s,
            room=room,
        )
        self.alerts.configure(config)

    def hear(self, value: float, subject: str = "unit/gate-a") -> None:
        self.alerts.add_subject(subject, {"site": "dock"})
        self.alerts.submit([Sample(subject, "laeq_15m", value, self.clock.now(), self.clock.time())])

    @property
    def alert(self) -> Alert:
        [alert] = self.alerts.open_alerts()
        return alert


@asynccontextmanager
async def running(bench: Bench) -> AsyncIterator[Bench]:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.alerts.run)
        yield bench
        tasks.cancel_scope.cancel()
