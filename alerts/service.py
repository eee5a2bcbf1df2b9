"""The one door to alerting: samples and people's commands in, transitions committed and announced.

Nobody else holds the engine, and each of its decisions is an argument of `_commit_later` here: a transition that
was decided is committed, whoever asked for the decision. Methods that decide read the service's own clock.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime

import anyio

from alerts.commits.announce import Dispatchers
from alerts.commits.committer import FAILING_AFTER_S, Committer
from alerts.commits.counts import AlertCounts
from alerts.commits.notices import Notices
from alerts.config.caption import UNNAMED, Caption
from alerts.config.rule import AlertsConfig
from alerts.delivery.summary import one_line
from alerts.inbox import Inbox
from alerts.model.alert import Alert, Transition
from alerts.model.clock import Clock, wall_offset_s
from alerts.model.document import Origin
from alerts.model.sample import Sample
from alerts.rules.engine import Engine
from alerts.rules.matching import Attributes
from alerts.rules.pairs import Needs, RuleInput
from alerts.rules.status import RuleStatus
from alerts.rules.system import all_rules, own_subjects
from alerts.store import outbox
from alerts.store.database import Database

_TICK_S = 1.0
_FINISH_S = 2.0
_STORAGE = "hub/storage"

NOT_STORED = f"nothing could be stored for {FAILING_AFTER_S:g} s"
"""Why alerts are announced from memory, where the database gives no reason."""

OnLatency = Callable[[str, float], None]
"""Called with a stage and its seconds: `sample_to_decision` and `decision_to_commit` (per transition), `commit`."""


class AlertService:
    """Evaluates while the last batch is being committed; announces it once it is.

    At the start: `configure`, `add_subject` for each subject, `restore`, then `run`. At most `room` samples wait,
    of which the oldest are dropped and counted, and at most `room` transitions.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        hub: str,
        timezone: str,
        dispatchers: Dispatchers,
        *,
        caption_of: Callable[[str], Caption] = lambda subject: UNNAMED,
        on_latency: OnLatency = lambda stage, seconds: None,
        on_storage: Callable[[], None] | None = None,
        resumed_s: Callable[[], float] = lambda: float("-inf"),
        public_url: Callable[[], str | None] = lambda: None,
        room: int = 50_000,
    ) -> None:
        """`hub` is its name, `timezone` that of rules which name none; `dispatchers` is live.

        Messages state both, and `public_url`, the address of the hub's pages. `caption_of` gives the names that
        people use for a subject. `resumed_s` is when the process last ended a standstill of its own, in steady
        seconds. `on_storage` is called when `is_storage_failing` has changed; without it the service itself
        reports that.
        """
        self.counts = AlertCounts()
        self.caption_of = caption_of
        self.on_latency = on_latency
        self._database = database
        self._clock = clock
        self._resumed_s = resumed_s
        self._on_storage = on_storage or self._report_storage
        self._subjects: list[str] = []  # parts of the hub, as configured
        self._engine = Engine(timezone)
        self._inbox = Inbox(room, self._evaluate)
        self._notices = Notices(self._engine.labels_of, caption_of)
        self._committer = Committer(
            database,
            clock,
            lambda: Origin(hub, timezone, public_url()),
            dispatchers,
            self.counts,
            lambda stage, seconds: self.on_latency(stage, seconds),
            self._on_storage,
            resumed_s,
            room,
        )

    def configure(self, config: AlertsConfig) -> None:
        """Decide by these rules and notify these receivers; alerts of rules and receivers that are gone close."""
        # the old configuration still describes and routes the alerts that close with their rules
        self._commit_later(self._engine.set_rules(all_rules(config), *self._now()))
        self._notices.configure(config)
        before, subjects = self._subjects, own_subjects(config)
        self._subjects = subjects
        for subject in subjects:
            self.add_subject(subject, {})
        for gone in before:
            if gone not in subjects:
                self.remove_subject(gone)

    async def restore(self) -> None:
        """Go on where the last process stood. Raises DBAPIError."""
        offset_s = wall_offset_s(self._clock)
        restored = await self._database.read(lambda session: outbox.restore(session, offset_s))
        self._notices.restore(restored.notified)
        self._commit_later(self._engine.restore(restored.alerts, *self._now()))
        self._on_storage()

    async def run(self) -> None:
        """Work until cancelled; then what was decided is committed, for two seconds at most."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._inbox.run)
                tasks.start_soon(self._run_ticks)
                tasks.start_soon(self._committer.run)
        finally:
            with anyio.move_on_after(_FINISH_S, shield=True):
                with anyio.move_on_after(_FINISH_S / 2):
                    await self._inbox.evaluate_all()
                self._store_changed()
                await self._committer.finish()

    def submit(self, samples: Iterable[Sample]) -> None:
        """Have samples evaluated; never waits."""
        self.counts.dropped_samples += self._inbox.put_nowait(samples)

    def report(self, subject: str, ok: bool, reason: str | None = None) -> None:
        """Say how a part of the hub itself is, such as `hub/feed/fab`; the system rule on it fires or clears."""
        if not self._engine.has_subject(subject):
            self.add_subject(subject, {})
        at, now_s = self._now()
        self.submit([Sample(subject, "ok", ok, at, now_s, reason=one_line(reason) if reason else None)])

    def add_subject(
        self,
        subject: str,
        labels: Mapping[str, str],
        attributes: Attributes | None = None,
        metrics: Collection[str] | None = None,
    ) -> None:
        """Watch a subject, or give a known one other labels and attributes (a machine's status).

        `metrics` are those it has: rules on others are not about it. None: it may have any.
        """
        self._commit_later(self._engine.add_subject(subject, labels, *self._now(), attributes, metrics))

    def remove_subject(self, subject: str) -> None:
        """Stop watching a subject, if it is watched; its open alerts close."""
        self._commit_later(self._engine.remove_subject(subject, *self._now()))

    def set_reachable(self, subject: str, reachable: bool) -> None:
        """Hold the alerts of a subject that is away on purpose, such as a released unit; or let them go on."""
        self._engine.set_reachable(subject, reachable, self._clock.time())

    def acknowledge(self, alert_id: str, who: str, comment: str | None = None) -> Alert:
        """Someone takes an open alert on. Raises KeyError where none with this id is open."""
        return self._annotated(self._engine.acknowledge(alert_id, who, comment, *self._now()))

    def unacknowledge(self, alert_id: str) -> Alert:
        """Nobody has it any more; one that nobody had stays as it is. Raises KeyError where none is open."""
        alert = self._engine.alert(alert_id)
        if alert is not None and alert.acknowledged_by is None:
            return alert
        return self._annotated(self._engine.unacknowledge(alert_id, *self._now()))

    @property
    def pending(self) -> int:
        """Samples not yet evaluated and transitions not yet committed."""
        return len(self._inbox) + len(self._committer)

    @property
    def is_storage_failing(self) -> bool:
        """True while transitions are announced before they are stored."""
        return self._committer.is_storage_failing

    @property
    def evaluations(self) -> int:
        """How often a rule was put to a sample."""
        return self._engine.evaluations

    def open_alerts(self) -> list[Alert]:
        """All alerts that are firing or clearing."""
        return self._engine.open_alerts()

    def alert(self, alert_id: str) -> Alert | None:
        """The open alert with this id."""
        return self._engine.alert(alert_id)

    def rule_status(self) -> list[RuleStatus]:
        """How each rule stands, in the order of the configuration."""
        return self._engine.rule_status()

    def labels_of(self, subject: str) -> Mapping[str, str]:
        """The labels of a subject; none where it is not known."""
        return self._engine.labels_of(subject)

    def needs(self, subject: str, watched_s: float) -> Needs:
        """What the rules ask of a subject that is sampled every `watched_s` while people watch it."""
        return self._engine.needs(subject, watched_s)

    def rule_inputs(self, subject: str, metrics: Collection[str]) -> list[RuleInput]:
        """What each rule on one of these metrics receives of a subject."""
        return self._engine.rule_inputs(subject, metrics, self._clock.time())

    def _commit_later(self, transitions: Iterable[Transition]) -> None:
        """Have decided transitions committed and announced, in this order."""
        for transition in transitions:
            self.on_latency("sample_to_decision", transition.decided_s - transition.sample_time_s)
            self.counts.transitions += 1
            self._committer.add(self._notices.of(transition))

    def _annotated(self, transition: Transition) -> Alert:
        self._commit_later([transition])
        return transition.alert

    def _now(self) -> tuple[datetime, float]:
        return self._clock.now(), self._clock.time()

    def _evaluate(self, sample: Sample) -> int:
        before = self._engine.evaluations
        self.counts.samples += 1
        self._commit_later(self._engine.observe(sample, self._clock.time()))
        return self._engine.evaluations - before

    async def _run_ticks(self) -> None:
        known_s = float("-inf")
        while True:
            at, now_s = self._now()  # whoever reads the clock after a standstill sets `resumed_s`
            if self._resumed_s() > known_s:
                known_s = self._resumed_s()
                self._engine.resume(known_s)
            self._commit_later(self._engine.tick(at, now_s))
            self._store_changed()
            await anyio.sleep(_TICK_S)

    def _store_changed(self) -> None:
        for alert in self._engine.pop_changed():
            self._committer.put(alert)

    def _report_storage(self) -> None:
        is_failing = self.is_storage_failing
        self.report(_STORAGE, not is_failing, NOT_STORED if is_failing else None)
