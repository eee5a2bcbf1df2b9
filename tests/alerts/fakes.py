"""What the tests of delivery share: a small database, a clock, alerts made up."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import anyio
from sqlalchemy import create_engine, event
from sqlalchemy.exc import OperationalError
from sqlmodel import Session, SQLModel

from alerts.delivery.message import documented
from alerts.model.alert import Alert, State, Transition, TransitionType, alert_id
from alerts.model.delivery import Notice
from alerts.model.document import Origin
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
    """The clock of the event loop, so that a virtual one moves both; the wall starts at START, and may be `set`.

    `stood_still_s` is for how long the process did not run, unnoticed by the loop.
    """

    def __init__(self) -> None:
        self.set = timedelta()
        self.stood_still_s = 0.0

    def time(self) -> float:
        return anyio.current_time() + self.stood_still_s

    def now(self) -> datetime:
        return START + timedelta(seconds=self.time()) + self.set


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


def notice(alert: Alert, *receivers: str) -> Notice:
    """The onset or the clearing of an alert with its document, for `receivers` or else `ops`."""
    kind = TransitionType.ONSET if alert.is_open else TransitionType.CLEAR
    plain = Notice(transition(kind, alert), {"site": "x"}, "said", receivers=receivers or ("ops",))
    return documented(plain, Origin("h"))
