"""One meter: what is known of it, who wants it, and how a poll becomes a snapshot."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Literal, TypedDict

import anyio
import structlog

from hub.config.models import UnitConfig
from hub.nl43.commands import DOD, MEASURE, Command
from hub.nl43.fields import parse_dod, parse_run_state
from hub.nl43.labels import labels
from hub.nl43.link import Answer, Link, LinkDown, Priority
from hub.nl43.protocol import Result
from hub.nl43.session import Session
from hub.nl43.settings import Setting
from hub.readings.reading import Reading
from hub.readings.snapshot import (
    Event,
    FeedStatus,
    PollFailure,
    RunState,
    Snapshot,
    StateChange,
    frame,
    stale_after_s,
)
from hub.runtime.clock import Clock
from hub.units.fanout import Fanout, Subscription

Mode = Literal["watched", "idle", "backoff", "off"]

_PAUSE_CAP_S = 60.0
_WATCHED_PAUSE_CAP_S = 10.0
_LATENCY_OUTCOMES = ("ok", "refusal", "refused", "timeout", "mute", "protocol", "wedged")

log = structlog.get_logger()


class LinkOptions(TypedDict):
    """Arguments of a `Link`; durations in seconds."""

    host: str
    port: int
    gap_s: float
    connect_timeout_s: float
    reply_timeout_s: float
    reconnect_s: float


class MeterRefused(Exception):
    """The meter answered a poll with a refusal; the connection is good."""

    def __init__(self, result: Result) -> None:
        super().__init__(f"R+{result:04d}: {result.meaning}")
        self.result = result


class Unit:
    """State and demand of one meter. `publish` gets every event; `sequence` numbers go on from `first_sequence`.

    `config` may be replaced by one with the same `link_options`. `on_settings(unit_id, settings)` hears of all that
    is known of the meter's settings each time one was asked for.
    A monitor runs while `is_wanted`; whoever changes the demand wakes it through `demand_changed`.
    """

    def __init__(
        self,
        config: UnitConfig,
        clock: Clock,
        publish: Callable[[Event], None],
        first_sequence: int = 1,
        link: Link | None = None,
        on_latency: Callable[[float], None] = lambda seconds: None,
        on_settings: Callable[[str, Mapping[str, Setting]], None] = lambda unit_id, settings: None,
    ) -> None:
        self.config = config
        self.id = config.id
        self.fanout: Fanout[Event] = Fanout()
        self.session = Session()
        self.link = link or Link(clock=clock, **link_options(config))
        self.latest: Snapshot | None = None
        self.reachable: bool | None = None
        self.reason: str | None = None
        self.failures_in_a_row = 0
        self.polls = dict.fromkeys(_LATENCY_OUTCOMES, 0)
        self.skipped_by_poller = 0
        self.keep_alive = config.monitor
        self.rule_cadence_s: float | None = None
        self.uncovered_rules: tuple[str, ...] = ()  # whose windows its readings do not fill
        self.is_released = False
        self._clock = clock
        self._judged_s = clock.steady()  # the last poll that says something about the meter
        self._publish = publish
        self._on_latency = on_latency
        self._on_settings = on_settings
        self._round_s = 0.0  # from the last poll sent until the next command could be
        self.next_sequence = first_sequence
        self._viewers = 0
        self._run_state: RunState | None = None
        self._run_started: tuple[float, datetime] | None = None  # steady, and as it is shown
        self._demand = anyio.Event()
        self._naps: set[anyio.CancelScope] = set()
        self._is_background_due = False

    @property
    def name(self) -> str:
        """What people call the unit; its id where the configuration gives it no name."""
        return self.config.name or self.id

    @property
    def quantities(self) -> dict[str, str]:
        """How the unit's levels are called, as far as its meter's settings are known: `lp` is `LAF`."""
        return labels({name: setting.value for name, setting in self.session.settings.items()})

    @property
    def is_wanted(self) -> bool:
        """True while a monitor has to run: a viewer, a rule, or keep-alive, and the unit is not released."""
        return not self.is_released and (self._viewers > 0 or self.keep_alive or self.rule_cadence_s is not None)

    @property
    def viewers(self) -> int:
        """How many watch this unit live."""
        return self._viewers

    @property
    def cadence_s(self) -> float:
        """Seconds from send to send that the present demand asks for; the background interval without any."""
        poll = self.config.poll
        if not self.is_wanted:
            return poll.background
        wishes = [poll.watched if self._viewers else poll.idle]
        if self.rule_cadence_s is not None:
            wishes.append(max(self.rule_cadence_s, poll.watched))
        return min(wishes)

    @property
    def mode(self) -> Mode:
        """What the monitor does, as `/api/monitors` says it."""
        if not self.is_wanted:
            return "off"
        if self.failures_in_a_row and not self.link.is_connected:
            return "backoff"
        return "watched" if self.cadence_s <= self.config.poll.watched else "idle"

    @property
    def status(self) -> FeedStatus:
        """How far `latest` can be trusted now, its age aside; without a reading there is nothing to trust."""
        if self.is_released:
            return FeedStatus.OFF
        if self.reachable is False:
            return FeedStatus.UNREACHABLE
        return FeedStatus.STALE if self.latest is None else FeedStatus.OK

    def frame(self, dropped: int = 0, with_raw: bool = False) -> dict[str, Any]:
        """The latest snapshot as a frame, with its true age."""
        now_s = self._clock.steady()
        return frame(self.id, self.latest, self.status, self.reason, now_s, dropped, with_raw)

    def resume(self, latest: Snapshot | None, settings: Mapping[str, Setting]) -> None:
        """Go on with what was known of the unit before: its latest reading and its meter's settings."""
        self.latest = latest
        self.session.restore(settings.items())
        if latest is not None and latest.run_state == "Start" and latest.run_started_at is not None:
            age_s = (self._clock.now() - latest.run_started_at).total_seconds()
            self.session.run.presume(self._clock.steady() - age_s)

    @contextmanager
    def watch(self, size: int) -> Iterator[Subscription[Event]]:
        """Subscribe as a viewer: while the block lasts the meter is polled at the `watched` cadence."""
        self.add_viewer()
        try:
            with self.fanout.subscribe(size) as subscription:
                yield subscription
        finally:
            self.remove_viewer()

    def add_viewer(self) -> None:
        """Count somebody who looks without subscribing; `remove_viewer` takes it back."""
        self._viewers += 1
        self.demand_changed()

    def remove_viewer(self) -> None:
        """One viewer less."""
        self._viewers -= 1
        self.demand_changed()

    def demand_changed(self) -> None:
        """Wake whoever waits for a change of demand, and let the link hurry when somebody looks.

        A rule is nobody who looks: it is told of the outage, and reconnects do a meter that answers badly no good.
        """
        self.link.limit_pauses(_WATCHED_PAUSE_CAP_S if self._viewers > 0 else _PAUSE_CAP_S)
        self._wake()

    def order_background_poll(self) -> None:
        """Have the unit polled once without a monitor; a released one is left alone."""
        self._is_background_due = not self.is_released
        self._wake()

    def take_background_order(self) -> bool:
        """True once per order of the background poller."""
        due, self._is_background_due = self._is_background_due, False
        return due

    async def wait_for_demand(self, timeout_s: float | None = None) -> None:
        """Return at the next change of demand or order of the poller, or after `timeout_s` seconds."""
        if timeout_s is None:
            await self._demand.wait()
            return
        with anyio.CancelScope() as nap:
            self._naps.add(nap)
            try:
                await anyio.sleep(timeout_s)
            finally:
                self._naps.discard(nap)

    def _wake(self) -> None:
        self._demand.set()
        self._demand = anyio.Event()
        for nap in self._naps:
            nap.cancel()

    def release(self, released: bool, at_start: bool = False) -> None:
        """Give the meter's socket up until told otherwise, or take it again."""
        if released != self.is_released:
            self.is_released = released
            self.reachable = self.reason = None
            self.failures_in_a_row = 0
            if not at_start:
                self._change("released", str(not released).lower(), str(released).lower(), None)
            self.demand_changed()

    async def poll(
        self,
        priority: Priority,
        wanted: Callable[[], bool] | None = None,
        patience_s: float = 0.0,
    ) -> Snapshot:
        """Ask the meter for a reading. Raises LinkDown, MeterRefused or NotWanted.

        A link that pauses has not failed once more: such a LinkDown is not counted.
        """
        try:
            answer = await self.link.request(DOD, parse_dod, priority, wanted, patience_s)
        except LinkDown as down:
            if down.was_tried and not self._is_excused():
                self._poll_failed(down)
            raise
        self._judged_s = answer.time
        if answer.value is None:
            self.polls["refusal"] += 1
            raise MeterRefused(answer.result)
        return self._poll_answered(answer, answer.value)

    async def ask_questions(self, priority: Priority) -> None:
        """Ask what the session has to ask, if it is time for it; a failure shows at the next poll."""
        self.session.keep_awake = self.config.keep_awake
        cost_s = self._round_s
        while (question := self.session.next_question(self._clock.steady(), self.cadence_s, cost_s)) is not None:
            if not self.link.is_connected:
                return
            self.session.asked(question, self._clock.steady())
            parse: Callable[[str], object] = _checked_run_state if question == MEASURE else str
            try:
                answer = await self.link.request(question, parse, priority)
            except LinkDown as down:
                if down.was_tried:
                    self.session.failed(question, self._clock.steady())
                return
            self._question_answered(question, answer)

    def _poll_answered(self, answer: Answer[Reading], reading: Reading) -> Snapshot:
        self.polls["ok"] += 1
        self._on_latency(answer.took_s)
        self._round_s = answer.took_s + max(self.config.poll.gap, answer.held_s)
        self.session.polled(self.link.connects, reading, answer.time)
        self.failures_in_a_row = 0
        if self.reachable is not True:
            self._set_reachable(True, None)
        now = self._clock.steady()
        at = self._clock.now() - timedelta(seconds=now - answer.time)
        run_state = self._refreshed_run_state(now)
        snapshot = self.latest = Snapshot(
            self.id,
            self.next_sequence,
            at,
            answer.time,
            reading,
            run_state,
            self.run_started_at,
            qualities(reading, run_state),
            max(self.cadence_s, self._round_s),
        )
        self.next_sequence += 1
        self._emit(snapshot)
        return snapshot

    def _poll_failed(self, down: LinkDown) -> None:
        self.polls[down.failure.value] += 1
        self.failures_in_a_row += 1
        if self.reachable is not False and self._counts_as_offline():
            self._set_reachable(False, down.failure.value, down.detail)
        elif self.reachable is False:
            self.reason = down.failure.value
        cadence_s = max(self.cadence_s, self.config.poll.gap, down.retry_in_s)
        now = self._clock.steady()
        self._emit(PollFailure(self.id, self._clock.now(), now, down.failure, self.reachable, cadence_s))

    def _is_excused(self) -> bool:
        """Whether a poll failed that began before the hub stood still, or was the first one after.

        Its answer, or its connection, may have been lost in the meantime, which is no fault of the meter's.
        """
        is_excused = self._clock.resumed_s > self._judged_s
        self._judged_s = self._clock.steady()
        return is_excused

    def _counts_as_offline(self) -> bool:
        if self.failures_in_a_row >= self.config.offline_after:
            return True
        # A value from before a restart or a release is old through no fault of the meter's.
        latest = self.latest if self.reachable else None
        if latest is None:
            return False
        heard_s = max(latest.time, self._clock.resumed_s)  # nor while the hub stood still
        return self._clock.steady() - heard_s > stale_after_s(latest.cadence_s)

    def _set_reachable(self, reachable: bool, reason: str | None, detail: str | None = None) -> None:
        old = {True: "reachable", False: "unreachable", None: None}[self.reachable]
        self.reachable, self.reason = reachable, reason
        if not reachable:
            log.warning("unit unreachable", unit=self.id, reason=reason, detail=detail)
        elif old is not None:
            log.info("unit recovered", unit=self.id)
        self._change("reachability", old, "reachable" if reachable else "unreachable", reason)

    def _question_answered(self, question: Command, answer: Answer[Any]) -> None:
        was_asleep = self.session.is_sleep_mode_on
        line = answer.value if answer.value is None else str(answer.value)
        session, meter = self.session, self.session.meter
        swaps, before = session.swaps, session.settings.get(question.name)
        session.answered(question, answer.result, line, answer.time)
        if question == MEASURE:
            self._refreshed_run_state(answer.time)
            return
        if session.swaps != swaps:
            log.warning("another meter answers", unit=self.id, before=meter, now=session.meter)
            self._change("meter", meter, session.meter, None)
        elif before is not None and before.value != (now := session.settings[question.name].value):
            self._change(question.name, before.value, now, None)
        self._on_settings(self.id, session.settings)
        if self.session.is_sleep_mode_on is not was_asleep:
            on = {True: "on", False: "off", None: None}
            self._change("sleep_mode", on[was_asleep], on[self.session.is_sleep_mode_on], None)

    def _refreshed_run_state(self, now_s: float) -> RunState | None:
        new, old = self.session.run_state(now_s), self._run_state
        if new != old:
            self._run_state = new
            self._change("run_state", old, new, None)
        return new

    @property
    def run_started_at(self) -> datetime | None:
        """When the run that is on began, to the second; None while no run is known to be on, or nothing tells."""
        started_s = self.session.run.started_s
        if self._run_state != "Start" or started_s is None:
            return None
        if self._run_started is None or self._run_started[0] != started_s:
            at = self._clock.now() - timedelta(seconds=self._clock.steady() - started_s - 0.5)
            self._run_started = started_s, at.replace(microsecond=0)
        return self._run_started[1]

    def _change(self, what: str, old: str | None, new: str | None, reason: str | None) -> None:
        self._emit(StateChange(self.id, self._clock.now(), self._clock.steady(), what, old, new, reason))

    def _emit(self, event: Event) -> None:
        self._publish(event)
        self.fanout.publish_nowait(event)


def link_options(config: UnitConfig) -> LinkOptions:
    """What of a unit's configuration its link is made of; the rest can change while the socket is kept."""
    return {
        "host": config.host,
        "port": config.port,
        "gap_s": config.poll.gap,
        "connect_timeout_s": config.timeouts.connect,
        "reply_timeout_s": config.timeouts.reply,
        "reconnect_s": config.reconnect,
    }


def qualities(reading: Reading, run_state: RunState | None) -> tuple[str, ...]:
    """What is wrong with the values of a reading, in the words of `alerts.model.sample.Quality`."""
    if not (reading.over or reading.under or reading.lp is None or run_state != "Start"):
        return ()
    flags = (
        ("over", reading.over is True),
        ("under", reading.under is True),
        ("missing", reading.lp is None),
        ("unknown_run", run_state is None),
        ("frozen", run_state == "Stop"),
    )
    return tuple(name for name, is_set in flags if is_set)


def _checked_run_state(line: str) -> str:
    return parse_run_state(line).value
