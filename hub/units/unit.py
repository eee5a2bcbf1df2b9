"""One unit: what is known of it, who wants it, and how a poll becomes a snapshot."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Literal

import structlog

from hub.instruments.exchange import LinkDown, Priority, Received, Refused
from hub.instruments.instrument import Connect
from hub.instruments.setting import Setting
from hub.instruments.unit_config import UnitConfig
from hub.readings.reading import is_of, own_quantities
from hub.readings.snapshot import (
    Event,
    FeedStatus,
    PollFailure,
    RunState,
    Snapshot,
    StateChange,
    frame,
)
from hub.runtime.clock import Clock
from hub.units.fanout import Fanout, Subscription
from hub.units.reachability import is_offline
from hub.units.wakeup import Wakeup

Mode = Literal["watched", "idle", "backoff", "off"]

_PAUSE_CAP_S = 60.0
_WATCHED_PAUSE_CAP_S = 10.0
_LATENCY_OUTCOMES = ("ok", "refusal", "refused", "timeout", "mute", "protocol", "wedged")

log = structlog.get_logger()


class Unit:
    """State and demand of one instrument. `publish` gets every event; `sequence` goes on from `first_sequence`.

    `on_settings(unit_id, settings)` hears of all that is known of the instrument's settings each time one was asked
    for.
    A monitor runs while `is_wanted`; whoever changes the demand wakes it through `demand_changed`.
    """

    def __init__(
        self,
        config: UnitConfig,
        clock: Clock,
        publish: Callable[[Event], None],
        connect: Connect,
        first_sequence: int = 1,
        on_latency: Callable[[float], None] = lambda seconds: None,
        on_settings: Callable[[str, Mapping[str, Setting]], None] = lambda unit_id, settings: None,
    ) -> None:
        self.config = config
        self.id = config.id
        self.fanout: Fanout[Event] = Fanout()
        self.instrument = connect(self._changed, lambda settings: on_settings(config.id, settings))
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
        self._round_s = 0.0  # from the last poll sent until the next command could be
        self.next_sequence = first_sequence
        self._viewers = 0
        self._run_state: RunState | None = None
        self._wakeup = Wakeup()
        self._is_background_due = False

    @property
    def name(self) -> str:
        """What people call the unit; its id where the configuration gives it no name."""
        return self.config.name or self.id

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
        if self.failures_in_a_row and not self.instrument.is_connected:
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
        own = () if self.latest else own_quantities(self.instrument.quantities)
        return frame(self.id, self.latest, self.status, self.reason, now_s, dropped, with_raw, own)

    def configure(self, config: UnitConfig) -> bool:
        """Take up another configuration; False, and nothing changed, where its instrument has to be another one."""
        if not self.instrument.configure(config):
            return False
        self.config = config
        if self.latest is not None and not is_of(self.latest.reading, self.instrument.quantities):
            self.latest = None
        return True

    def resume(self, latest: Snapshot | None, settings: Mapping[str, Setting]) -> None:
        """Go on with what was known of the unit before: its latest reading and its instrument's settings."""
        if latest is not None and is_of(latest.reading, self.instrument.quantities):
            self.latest = latest
        self.instrument.resume(self.latest, settings)

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
        self.instrument.limit_pauses(_WATCHED_PAUSE_CAP_S if self._viewers > 0 else _PAUSE_CAP_S)
        self._wakeup.wake()

    def order_background_poll(self) -> None:
        """Have the unit polled once without a monitor; a released one is left alone."""
        self._is_background_due = not self.is_released
        self._wakeup.wake()

    def take_background_order(self) -> bool:
        """True once per order of the background poller."""
        due, self._is_background_due = self._is_background_due, False
        return due

    async def wait_for_demand(self, timeout_s: float | None = None) -> None:
        """Return at the next change of demand or order of the poller, or after `timeout_s` seconds."""
        await self._wakeup.wait(timeout_s)

    def release(self, released: bool, at_start: bool = False) -> None:
        """Give the meter's socket up until told otherwise, or take it again."""
        if released != self.is_released:
            self.is_released = released
            self.reachable = self.reason = None
            self.failures_in_a_row = 0
            if not at_start:
                self._changed("released", str(not released).lower(), str(released).lower())
            self.demand_changed()

    async def poll(
        self,
        priority: Priority,
        wanted: Callable[[], bool] | None = None,
        patience_s: float = 0.0,
    ) -> Snapshot:
        """Ask the instrument for a reading. Raises LinkDown, Refused or NotWanted.

        A link that pauses has not failed once more: such a LinkDown is not counted.
        """
        try:
            received = await self.instrument.poll(priority, wanted, patience_s)
        except LinkDown as down:
            if down.was_tried and not self._is_excused():
                self._poll_failed(down)
            raise
        except Refused as refused:
            self._judged_s = refused.time
            self.polls["refusal"] += 1
            raise
        self._judged_s = received.time
        return self._poll_answered(received)

    async def ask_questions(self, priority: Priority) -> None:
        """Ask what the instrument has to ask, if it is time for it; a failure shows at the next poll."""
        while await self.instrument.ask_question(priority, self.cadence_s, self._round_s):
            self._refreshed_run_state(self._clock.steady())

    def _poll_answered(self, received: Received) -> Snapshot:
        self.polls["ok"] += 1
        self._on_latency(received.took_s)
        self._round_s = received.took_s + max(self.config.poll.gap, received.held_s)
        self.failures_in_a_row = 0
        if self.reachable is not True:
            self._set_reachable(True, None)
        now = self._clock.steady()
        at = self._clock.now() - timedelta(seconds=now - received.time)
        run_state = self._refreshed_run_state(now)
        snapshot = self.latest = Snapshot(
            self.id,
            self.next_sequence,
            at,
            received.time,
            received.reading,
            run_state,
            self.instrument.run_started_at,
            received.reading.qualities(run_state),
            max(self.cadence_s, self._round_s),
        )
        self.next_sequence += 1
        self._emit(snapshot)
        return snapshot

    def _poll_failed(self, down: LinkDown) -> None:
        self.polls[down.failure.value] += 1
        self.failures_in_a_row += 1
        now_s, latest = self._clock.steady(), self.latest if self.reachable else None
        is_gone = is_offline(
            self.failures_in_a_row, self.config.offline_after, latest, now_s, self._clock.resumed_s
        )
        if self.reachable is not False and is_gone:
            self._set_reachable(False, down.failure.value, down.detail)
        elif self.reachable is False:
            self.reason = down.failure.value
        cadence_s = max(self.cadence_s, self.config.poll.gap, down.retry_in_s)
        self._emit(PollFailure(self.id, self._clock.now(), now_s, down.failure, self.reachable, cadence_s))

    def _is_excused(self) -> bool:
        """Whether a poll failed that began before the hub stood still, or was the first one after.

        Its answer, or its connection, may have been lost in the meantime, which is no fault of the meter's.
        """
        is_excused = self._clock.resumed_s > self._judged_s
        self._judged_s = self._clock.steady()
        return is_excused

    def _set_reachable(self, reachable: bool, reason: str | None, detail: str | None = None) -> None:
        old = {True: "reachable", False: "unreachable", None: None}[self.reachable]
        self.reachable, self.reason = reachable, reason
        if not reachable:
            log.warning("unit unreachable", unit=self.id, reason=reason, detail=detail)
        elif old is not None:
            log.info("unit recovered", unit=self.id)
        self._changed("reachability", old, "reachable" if reachable else "unreachable", reason)

    def _refreshed_run_state(self, now_s: float) -> RunState | None:
        new, old = self.instrument.run_state(now_s), self._run_state
        if new != old:
            self._run_state = new
            self._changed("run_state", old, new)
        return new

    def _changed(self, what: str, old: str | None, new: str | None, reason: str | None = None) -> None:
        self._emit(StateChange(self.id, self._clock.now(), self._clock.steady(), what, old, new, reason))

    def _emit(self, event: Event) -> None:
        self._publish(event)
        self.fanout.publish_nowait(event)
