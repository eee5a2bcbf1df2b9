"""Between deciding and telling: samples in, transitions committed, then announced."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

import anyio
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from alerts.commit import Commit, rendered
from alerts.config.caption import UNNAMED, Caption
from alerts.delivery.summary import one_line, summarize
from alerts.model.alert import Alert, Transition
from alerts.model.clock import Clock, wall_offset_s
from alerts.model.delivery import Delivery, Notice
from alerts.model.sample import Sample
from alerts.rules.routing import Routing
from alerts.store import outbox
from alerts.store.database import Database, Write
from alerts.store.unstorable import Refused, is_unstorable
from alerts.uncommitted import Uncommitted

_TICK_S = 1.0
_CHUNK = 256  # samples between two looks at other tasks
_FAILING_AFTER_S = 2.0
_WATCH_S = 0.2
_AGAIN_S = 0.25
_BATCH = 100  # transitions in one transaction at most: making them ready holds the loop up
_IN_A_ROW = 16  # transactions before other writers get a turn
_STORAGE = "hub/storage"

NOT_STORED = f"nothing could be stored for {_FAILING_AFTER_S:g} s"
"""Why alerts are announced from memory, where the database gives no reason."""


class Decides(Protocol):
    """What the desk asks of the engine; synchronous."""

    def observe(self, sample: Sample, now_s: float) -> Sequence[Transition]: ...
    def tick(self, at: datetime, now_s: float) -> Sequence[Transition]: ...
    def resume(self, now_s: float) -> None: ...
    def restore(self, alerts: Iterable[Alert], at: datetime, now_s: float) -> Sequence[Transition]: ...
    def take_dirty(self) -> list[Alert]: ...
    def acknowledge(
        self, alert_id: str, who: str, comment: str | None, at: datetime, now_s: float
    ) -> Transition: ...
    def unacknowledge(self, alert_id: str, at: datetime, now_s: float) -> Transition: ...


class Offers(Protocol):
    """A dispatcher, as the desk sees it."""

    def offer(self, deliveries: Iterable[Delivery], persisted: bool = True) -> None: ...
    def look_again(self) -> None: ...


@dataclass(slots=True)
class DeskCounts:
    """What the desk has done since it was made."""

    samples: int = 0
    dropped_samples: int = 0
    transitions: int = 0
    commits: int = 0
    failed_commits: int = 0
    announced_unpersisted: int = 0
    set_aside: int = 0  # rows that no database takes
    lost_transitions: int = 0  # announced, and never stored: the database was away for too long


OnLatency = Callable[[str, float], None]
"""Told seconds of `sample_to_decision`, `decision_to_commit` (per transition) and `commit` (per transaction)."""


class Desk:
    """Evaluates while the last batch is being committed; announces once it is.

    The inbox holds `room` samples and drops the oldest, counted. Uncommitted transitions are kept up to `room` too.
    When nothing could be committed for 2 s, transitions are announced from memory and stored later.
    """

    def __init__(
        self,
        engine: Decides,
        database: Database,
        clock: Clock,
        hub: str,
        routing: Routing,
        dispatchers: Mapping[str, Offers],
        labels_of: Callable[[str], Mapping[str, str]],
        on_latency: OnLatency = lambda name, seconds: None,
        room: int = 50_000,
        resumed_s: Callable[[], float] = lambda: float("-inf"),
        caption_of: Callable[[str], Caption] = lambda subject: UNNAMED,
        on_storage: Callable[[], None] | None = None,
    ) -> None:
        """`hub` is the name in the bodies; `labels_of` gives a subject's labels, `caption_of` what it is called.

        `resumed_s` is when the process last ended a standstill of its own, in steady seconds. `on_storage` hears
        when `is_storage_failing` has changed; without it the desk itself reports that.
        """
        self.engine = engine
        self.counts = DeskCounts()
        self.is_storage_failing = False
        self._database = database
        self._clock = clock
        self._hub = hub
        self._routing = routing
        self._dispatchers = dispatchers
        self._labels_of = labels_of
        self.caption_of = caption_of
        self.on_latency = on_latency
        self._room = room
        self._resumed_s = resumed_s
        self._on_storage = on_storage or self._report_storage
        self._inbox: deque[Sample] = deque()
        self._waiting = Uncommitted()
        self._is_apart = False  # the next commit has a row that was refused for its values
        self._refused: list[Refused] = []
        self._told: dict[str, set[str]] = {}
        self._samples_came = anyio.Event()
        self._work_came = anyio.Event()

    def configure(self, routing: Routing, dispatchers: Mapping[str, Offers]) -> None:
        """Go on with other rules and receivers; transitions of the engine's own change come through `take`."""
        self._routing, self._dispatchers = routing, dispatchers

    def submit(self, samples: Iterable[Sample]) -> None:
        """Hand in samples; never waits."""
        inbox = self._inbox
        inbox.extend(samples)
        while len(inbox) > self._room:
            inbox.popleft()
            self.counts.dropped_samples += 1
        self._samples_came.set()

    def report(self, subject: str, ok: bool, reason: str | None = None) -> None:
        """Tell of the hub itself, such as `hub/feed/fab`; the system rule on that subject fires or clears."""
        plain = one_line(reason) if reason else None
        self.submit([Sample(subject, "ok", ok, self._clock.now(), self._clock.time(), reason=plain)])

    def on_receiver_trouble(self, receiver: str, failing: bool, reason: str | None) -> None:
        """A dispatcher's report, for the other receivers."""
        self.report(f"hub/receiver/{receiver}", not failing, reason)

    def take(self, transitions: Iterable[Transition]) -> None:
        """Have transitions committed and announced, in this order."""
        for transition in transitions:
            notice = self._notice(transition)
            self.on_latency("sample_to_decision", transition.decided_s - transition.sample_time_s)
            self.counts.transitions += 1
            self._waiting.add(notice, self._clock.time())
            if self.is_storage_failing:
                self._announce_unpersisted(notice)
            if len(self._waiting) > self._room:
                self._announce_unpersisted(next(iter(self._waiting)))
                self._waiting.drop_oldest()
                self.counts.lost_transitions += 1
        if self._waiting:
            self._work_came.set()

    @property
    def pending(self) -> int:
        """Samples not yet evaluated and transitions not yet committed."""
        return len(self._inbox) + len(self._waiting)

    def acknowledge(self, alert_id: str, who: str, comment: str | None = None) -> Alert:
        """Someone takes an open alert on. Raises KeyError where none with this id is open."""
        transition = self.engine.acknowledge(alert_id, who, comment, self._clock.now(), self._clock.time())
        self.take([transition])
        return transition.alert

    def unacknowledge(self, alert_id: str) -> Alert:
        """Nobody has it any more. Raises KeyError where none with this id is open."""
        transition = self.engine.unacknowledge(alert_id, self._clock.now(), self._clock.time())
        self.take([transition])
        return transition.alert

    async def restore(self) -> None:
        """Go on where the last process stood. Raises DBAPIError."""
        offset_s = wall_offset_s(self._clock)
        restored = await self._database.read(lambda session: outbox.restore(session, offset_s))
        self._told = restored.told
        self.take(self.engine.restore(restored.alerts, self._clock.now(), self._clock.time()))
        self._on_storage()

    async def run(self) -> None:
        """Work until cancelled; then what was decided is committed, for two seconds at most."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._evaluate)
                tasks.start_soon(self._commit)
                tasks.start_soon(self._tick)
                tasks.start_soon(self._watch)
        finally:
            with anyio.move_on_after(2, shield=True):
                await self._finish()

    async def _evaluate(self) -> None:
        while True:
            await self._samples_came.wait()
            self._samples_came = anyio.Event()
            while self._inbox:
                self._evaluate_some()
                await anyio.lowlevel.checkpoint()

    def _evaluate_some(self) -> None:
        inbox, observe, time = self._inbox, self.engine.observe, self._clock.time
        for _ in range(min(len(inbox), _CHUNK)):
            self.counts.samples += 1
            transitions = observe(inbox.popleft(), time())
            if transitions:
                self.take(transitions)

    async def _tick(self) -> None:
        known_s = float("-inf")
        while True:
            now_s = self._clock.time()
            if self._resumed_s() > known_s:
                known_s = self._resumed_s()
                self.engine.resume(known_s)
            self.take(self.engine.tick(self._clock.now(), now_s))
            self._take_dirty()
            await anyio.sleep(_TICK_S)

    async def _watch(self) -> None:
        while True:
            since_s = self._waiting.since_s
            now_s = self._clock.time()
            is_late = since_s is not None and now_s >= max(since_s, self._resumed_s()) + _FAILING_AFTER_S
            if is_late and not self.is_storage_failing:
                self._storage_failed()
            await anyio.sleep(_WATCH_S)

    async def _commit(self) -> None:
        while True:
            await self._work_came.wait()
            self._work_came = anyio.Event()
            while self._waiting:
                if not await self._commit_waiting():
                    await anyio.sleep(_AGAIN_S)

    async def _commit_waiting(self) -> bool:
        """Commit what waits and what comes meanwhile, announcing each batch at once; False when it was refused."""
        commit: Commit | None = None
        left = _IN_A_ROW

        def take() -> Write | None:
            nonlocal commit, left
            if commit is not None:
                self._committed(commit)
            left -= 1
            commit = self._begin() if self._waiting and left >= 0 else None
            if commit is None:
                return None
            has_news = bool(commit.batch.notices)
            return Write(commit.write, has_news, commit.store_bodies if has_news else None)

        try:
            await self._database.write_in_turn(take)
        except (SQLAlchemyError, ValueError, OverflowError) as error:
            if not isinstance(error, DBAPIError) and not is_unstorable(error):
                raise
            self.counts.failed_commits += 1
            if commit is not None and commit.committed_s is not None:
                self._committed(commit)
                return True
            if commit is not None:
                self._waiting.put_back(commit.batch)
            was_apart, self._is_apart = self._is_apart, is_unstorable(error)
            return self._is_apart and not was_apart
        if self._refused:
            refused, self._refused = self._refused, []
            await self._database.set_aside(refused)
        return True

    def _begin(self) -> Commit:
        batch = self._waiting.take(_BATCH)
        told = [self._waiting.told(notice) for notice in batch.notices]
        return Commit(batch, told, self._clock, self._hub, self._is_apart)

    def _committed(self, commit: Commit) -> None:
        now_s, batch = self._clock.time(), commit.batch
        committed_s = commit.committed_s or now_s
        self.counts.commits += 1
        self._is_apart = False
        self._refused += commit.refused
        self.counts.set_aside += len(commit.refused)
        self.on_latency("commit", committed_s - commit.started_s)
        fresh: list[Delivery] = []
        untold = self._waiting.committed(batch, now_s)
        for notice in untold:
            self.on_latency("decision_to_commit", committed_s - notice.transition.decided_s)
            fresh += commit.deliveries(notice)
        self._storage_worked()
        self._offer(fresh, persisted=True)
        if len(untold) < len(batch.notices):
            self._have_looked_again(batch.notices)

    def _have_looked_again(self, notices: Iterable[Notice]) -> None:
        """What was announced from memory is in SQL now: a dispatcher may have dropped it, or be a new one."""
        for name in {name for notice in notices for name in notice.receivers}:
            if name in self._dispatchers:
                self._dispatchers[name].look_again()

    async def _finish(self) -> None:
        while self._inbox:
            self._evaluate_some()
        self._take_dirty()
        if self._waiting:
            await self._commit_waiting()

    def _notice(self, transition: Transition) -> Notice:
        alert = transition.alert
        told = self._told.setdefault(alert.id or "", set())
        receivers = self._routing.receivers_of(alert, told)
        told.update(receivers)
        if not alert.is_open:
            self._told.pop(alert.id or "")
        caption = self.caption_of(alert.subject)
        summary = summarize(transition, self._routing.rule(alert.rule), caption)
        latency_ms = (transition.decided_s - transition.sample_time_s) * 1000
        return Notice(
            transition,
            self._labels_of(alert.subject),
            summary,
            True,
            latency_ms,
            receivers,
            name=caption.name,
            metric_label=caption.metric_label(alert.metric),
        )

    def _take_dirty(self) -> None:
        for alert in self.engine.take_dirty():
            self._waiting.put(alert, self._clock.time())
        if self._waiting:
            self._work_came.set()

    def _storage_failed(self) -> None:
        self.is_storage_failing = True
        for notice in self._waiting:
            self._announce_unpersisted(notice)
        self._on_storage()

    def _storage_worked(self) -> None:
        if self.is_storage_failing:
            self.is_storage_failing = False
            self._on_storage()

    def _report_storage(self) -> None:
        is_failing = self.is_storage_failing
        self.report(_STORAGE, not is_failing, NOT_STORED if is_failing else None)

    def _announce_unpersisted(self, notice: Notice) -> None:
        if self._waiting.told(notice) is not None:
            return
        deliveries = rendered(replace(notice, persisted=False), self._hub)
        self._waiting.tell(notice, deliveries)
        self.counts.announced_unpersisted += 1
        self._offer(deliveries, persisted=False)

    def _offer(self, deliveries: Iterable[Delivery], persisted: bool) -> None:
        by_receiver: dict[str, list[Delivery]] = {}
        for delivery in deliveries:
            by_receiver.setdefault(delivery.receiver, []).append(delivery)
        for name, some in by_receiver.items():
            dispatcher = self._dispatchers.get(name)
            if dispatcher is not None:
                dispatcher.offer(some, persisted)
