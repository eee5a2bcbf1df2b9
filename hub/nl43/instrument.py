"""An NL-43 as an instrument: polls are `DOD?`, and between them the session's questions are asked."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypedDict

import structlog

from alerts.model.metrics import LEVELS, Metric
from hub.instruments.exchange import LinkDown, LinkStatistics, Priority, Received, Refused
from hub.instruments.instrument import Identity, OnChange, OnSettings
from hub.instruments.setting import Setting
from hub.instruments.unit_config import UnitConfig
from hub.nl43.commands import DOD, MEASURE, SERIAL_NUMBER, TYPE, Command
from hub.nl43.config import NL43Config
from hub.nl43.dialogue import Answer
from hub.nl43.fields import parse_dod, parse_run_state
from hub.nl43.labels import labels
from hub.nl43.link import Link
from hub.nl43.session import Session
from hub.readings.snapshot import RunState, Snapshot
from hub.runtime.clock import Clock

QUANTITIES: Mapping[str, Metric] = {metric.name: metric for metric in LEVELS}

log = structlog.get_logger()


class LinkOptions(TypedDict):
    """Arguments of a `Link`; durations in seconds."""

    host: str
    port: int
    gap_s: float
    connect_timeout_s: float
    reply_timeout_s: float
    reconnect_s: float


class NL43Instrument:
    """The link to one meter and what is known of it besides its readings.

    `on_change(what, old, new)` hears of another meter, of its settings and of its sleep mode; `on_settings` of all
    that is known of the settings each time one was asked for.
    """

    def __init__(
        self,
        config: NL43Config,
        clock: Clock,
        on_change: OnChange,
        on_settings: OnSettings,
        link: Link | None = None,
    ) -> None:
        self.link = link or Link(clock=clock, **link_options(config))
        self.session = Session()
        self._config = config
        self._clock = clock
        self._on_change = on_change
        self._on_settings = on_settings
        self._run_state: RunState | None = None
        self._run_started: tuple[float, datetime] | None = None  # steady, and as it is shown

    @property
    def quantities(self) -> Mapping[str, Metric]:
        """The levels of a frame, and those over a window of time."""
        return QUANTITIES

    @property
    def symbols(self) -> Mapping[str, str]:
        """How the levels are called, as far as the meter's settings are known: `lp` is `LAF`."""
        return labels({name: setting.value for name, setting in self.settings.items()})

    @property
    def settings(self) -> Mapping[str, Setting]:
        """The meter's settings by the meter's own names, as far as they were asked for."""
        return self.session.settings

    @property
    def identity(self) -> Identity:
        """Type and serial number of the meter that answers."""
        model, number = (self.settings.get(question.name) for question in (TYPE, SERIAL_NUMBER))
        return Identity(model and model.value, number and number.value)

    @property
    def is_connected(self) -> bool:
        """True while the socket is open."""
        return self.link.is_connected

    @property
    def retry_in_s(self) -> float:
        """Seconds until a connect may be tried; 0 while connected."""
        return self.link.retry_in_s

    def statistics(self) -> LinkStatistics:
        """What there is to know of the link, for people."""
        return self.link.statistics()

    def configure(self, config: UnitConfig) -> bool:
        """Take up another configuration; False where its link has to be another one."""
        if not isinstance(config, NL43Config) or link_options(config) != link_options(self._config):
            return False
        self._config = config
        return True

    def resume(self, latest: Snapshot | None, settings: Mapping[str, Setting]) -> None:
        """Go on with the settings and the run that were known before a restart."""
        self.session.restore(settings.items())
        if latest is not None and latest.run_state == "Start" and latest.run_started_at is not None:
            age_s = (self._clock.now() - latest.run_started_at).total_seconds()
            self.session.run.presume(self._clock.steady() - age_s)

    def limit_pauses(self, cap_s: float) -> None:
        """Pause for `cap_s` at most between connects, unless the meter answers badly."""
        self.link.limit_pauses(cap_s)

    def rest_until(self, time: float) -> None:
        """Open no socket before `time`: the meter may still hold its slot for another."""
        self.link.rest_until(time)

    async def run(self) -> None:
        """Own the meter's socket until cancelled."""
        await self.link.run()

    async def poll(
        self, priority: Priority, wanted: Callable[[], bool] | None = None, patience_s: float = 0.0
    ) -> Received:
        """Ask for a reading. Raises LinkDown, Refused or NotWanted."""
        answer = await self.link.request(DOD, parse_dod, priority, wanted, patience_s)
        if answer.value is None:
            raise Refused(f"R+{answer.result:04d}", answer.result.meaning, answer.time)
        self.session.polled(self.link.connects, answer.value, answer.time)
        return Received(answer.value, answer.time, answer.took_s, answer.held_s)

    async def ask_question(self, priority: Priority, cadence_s: float, round_s: float) -> bool:
        """Ask what the session has to ask, if it is time for it; a failure shows at the next poll."""
        session = self.session
        session.keep_awake = self._config.keep_awake
        question = session.next_question(self._clock.steady(), cadence_s, round_s)
        if question is None or not self.link.is_connected:
            return False
        session.asked(question, self._clock.steady())
        parse: Callable[[str], object] = _checked_run_state if question == MEASURE else str
        try:
            answer = await self.link.request(question, parse, priority)
        except LinkDown as down:
            if down.was_tried:
                session.failed(question, self._clock.steady())
            return False
        self._answered(question, answer)
        return True

    def run_state(self, now_s: float) -> RunState | None:
        """Whether a measurement runs; None when never told, or not within 90 s."""
        self._run_state = self.session.run_state(now_s)
        return self._run_state

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

    def _answered(self, question: Command, answer: Answer[Any]) -> None:
        session = self.session
        meter, swaps, was_asleep = session.meter, session.swaps, session.is_sleep_mode_on
        before = session.settings.get(question.name)
        session.answered(question, answer.result, None if answer.value is None else str(answer.value), answer.time)
        if question == MEASURE:
            return
        if session.swaps != swaps:
            log.warning("another meter answers", unit=self._config.id, before=meter, now=session.meter)
            self._on_change("meter", meter, session.meter)
        elif before is not None and before.value != (now := session.settings[question.name].value):
            self._on_change(question.name, before.value, now)
        self._on_settings(session.settings)
        if session.is_sleep_mode_on is not was_asleep:
            on = {True: "on", False: "off", None: None}
            self._on_change("sleep_mode", on[was_asleep], on[session.is_sleep_mode_on])


def link_options(config: NL43Config) -> LinkOptions:
    """What of a unit's configuration its link is made of; the rest can change while the socket is kept."""
    return {
        "host": config.host,
        "port": config.port,
        "gap_s": config.poll.gap,
        "connect_timeout_s": config.timeouts.connect,
        "reply_timeout_s": config.timeouts.reply,
        "reconnect_s": config.reconnect,
    }


def _checked_run_state(line: str) -> str:
    return parse_run_state(line).value
