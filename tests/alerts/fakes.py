"""What the tests of delivery share: a small database, an engine with one threshold, alerts made up."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import anyio
from sqlalchemy import create_engine, event
from sqlalchemy.exc import OperationalError
from sqlmodel import Session, SQLModel

from alerts.model.alert import Alert, State, Transition, TransitionType, alert_id
from alerts.model.sample import Sample
from alerts.store import tables
from alerts.store.database import Write
from alerts.store.unstorable import Refused

T = TypeVar("T")

START = datetime(2026, 3, 18, 22, 14, 7, 120000, tzinfo=UTC)
SECRET = "whsec_QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU="


class SqliteDatabase:
    """A file with the tables of alerting; `is_down` makes every call fail, `gate` makes writes wait.

    `inline` works without threads, for tests on a virtual clock.
    """

    def __init__(self, path: Path, inline: bool = False) -> None:
        self.inline = inline
        self.engine = create_engine(f"sqlite:///{path}", connect_args={"check_same_thread": False})
        event.listen(self.engine, "connect", _set_pragmas)
        own = [getattr(model, "__table__") for model in vars(tables).values() if _is_table(model)]  # noqa: B009
        SQLModel.metadata.create_all(self.engine, tables=own)
        self.is_down = False
        self.gate: anyio.Event | None = None
        self.durable_writes = 0
        self.refused: list[Refused] = []
        self._writer = anyio.CapacityLimiter(1)

    async def read(self, work: Callable[[Session], T]) -> T:
        await anyio.lowlevel.checkpoint()
        return self.run(work) if self.inline else await anyio.to_thread.run_sync(self.run, work)

    async def write(self, work: Callable[[Session], T], *, durable: bool = False) -> T:
        await self._begin()
        self.durable_writes += durable
        return (
            self.run(work) if self.inline else await anyio.to_thread.run_sync(self.run, work, limiter=self._writer)
        )

    async def write_in_turn(self, take: Callable[[], Write | None]) -> None:
        await self._begin()

        def run_all(take: Callable[[], Write | None]) -> None:
            while (write := take()) is not None:
                self.durable_writes += write.durable
                self.run(write.work)
                if write.then is not None:
                    self.run(write.then)

        if self.inline:
            run_all(take)
        else:
            await anyio.to_thread.run_sync(run_all, lambda: anyio.from_thread.run_sync(take), limiter=self._writer)

    async def set_aside(self, refused: Sequence[Refused]) -> None:
        self.refused += refused

    async def _begin(self) -> None:
        if self.gate is not None:
            await self.gate.wait()
        await anyio.lowlevel.checkpoint()

    def run(self, work: Callable[[Session], T]) -> T:
        if self.is_down:
            raise OperationalError("", None, Exception("database or disk is full"))
        with Session(self.engine, expire_on_commit=False) as session:
            result = work(session)
            session.commit()
            return result


class LoopClock:
    """The clock of the event loop, so that a virtual one moves both; the wall starts at START, and may be `set`."""

    def __init__(self) -> None:
        self.set = timedelta()

    def time(self) -> float:
        return anyio.current_time()

    def now(self) -> datetime:
        return START + timedelta(seconds=anyio.current_time()) + self.set


class ThresholdEngine:
    """Fires above 65 and clears at or below; an engine without timers. `hub/` subjects fire when not ok."""

    def __init__(self) -> None:
        self.alerts: dict[tuple[str, str], Alert] = {}
        self.dirty: list[Alert] = []

    def observe(self, sample: Sample, now_s: float) -> Sequence[Transition]:
        is_system = sample.subject.startswith("hub/")
        rule = str(sample.subject.split("/")[1]) + "-failing" if is_system else "night-limit"
        key = rule, sample.subject
        alert = self.alerts.get(key) or Alert(rule, sample.subject, "hash", sample.metric)
        if sample.value is None:
            return ()
        exceeds = sample.value is False if is_system else float(sample.value) > 65
        if exceeds == alert.is_open:
            if not alert.is_open:
                return ()
            self.alerts[key] = replace(alert, peak=max(float(sample.value), float(alert.peak or 0)))
            self.dirty.append(self.alerts[key])
            return ()
        if exceeds:
            id_ = alert_id(rule, sample.subject, sample.at)
            alert = onset(rule, sample.subject, sample.at, sample.value, id_, sample.metric, sample.reason)
        else:
            alert = cleared(alert, sample.at)
        self.alerts[key] = alert
        kind = TransitionType.ONSET if exceeds else TransitionType.CLEAR
        return [Transition(kind, sample.at, alert, sample.time, now_s)]

    def tick(self, at: datetime, now_s: float) -> Sequence[Transition]:
        return ()

    def resume(self, now_s: float) -> None:
        pass

    def restore(self, alerts: Iterable[Alert], at: datetime, now_s: float) -> Sequence[Transition]:
        self.alerts = {(alert.rule, alert.subject): alert for alert in alerts}
        return ()

    def acknowledge(self, alert_id: str, who: str, comment: str | None, at: datetime, now_s: float) -> Transition:
        key, alert = self._find(alert_id)
        self.alerts[key] = replace(alert, acknowledged_by=who, comment=comment, sequence=alert.sequence + 1)
        return Transition(TransitionType.ACK, at, self.alerts[key], now_s, now_s)

    def unacknowledge(self, alert_id: str, at: datetime, now_s: float) -> Transition:
        key, alert = self._find(alert_id)
        self.alerts[key] = replace(alert, acknowledged_by=None, sequence=alert.sequence + 1)
        return Transition(TransitionType.UNACK, at, self.alerts[key], now_s, now_s)

    def _find(self, alert_id: str) -> tuple[tuple[str, str], Alert]:
        found = {alert.id: (key, alert) for key, alert in self.alerts.items() if alert.is_open}
        return found[alert_id]

    def take_dirty(self) -> list[Alert]:
        dirty, self.dirty = self.dirty, []
        return dirty


def onset(
    rule: str = "night-limit",
    subject: str = "unit/gate-a",
    at: datetime = START,
    value: float | str | bool | None = 66.2,
    id_: str | None = None,
    metric: str = "laeq_15m",
    reason: str | None = None,
) -> Alert:
    """An alert that fires since `at`."""
    return Alert(
        rule=rule,
        subject=subject,
        rule_hash="hash",
        metric=metric,
        state=State.FIRING,
        id=id_ or alert_id(rule, subject, at),
        severity="critical",
        value=value,
        threshold=65.0 if metric == "laeq_15m" else None,
        peak=value,
        started_at=at,
        reason=reason,
        sequence=1,
    )


def cleared(alert: Alert, at: datetime = START + timedelta(minutes=12)) -> Alert:
    """The same alert after it cleared."""
    return replace(alert, state=State.INACTIVE, cleared_at=at, value=62.0, sequence=alert.sequence + 1)


def transition(kind: TransitionType, alert: Alert, at: datetime = START) -> Transition:
    """A transition decided 0.4 ms after its sample."""
    return Transition(kind, at, alert, 100.0, 100.0004)


def _is_table(model: object) -> bool:
    return isinstance(model, type) and issubclass(model, SQLModel) and hasattr(model, "__table__")


def _set_pragmas(connection: object, record: object) -> None:
    connection.execute("PRAGMA journal_mode=WAL")  # type: ignore[attr-defined]
