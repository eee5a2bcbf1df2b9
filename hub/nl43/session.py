"""What is asked of a meter between polls: its run state every 30 s, and its settings once per session."""

from dataclasses import dataclass, field
from typing import Literal

from hub.nl43.commands import (
    ECHO_OFF,
    FREQUENCY_WEIGHTING,
    MEASURE,
    SLEEP_MODE,
    SLEEP_MODE_OFF,
    TIME_WEIGHTING,
    Command,
    Kind,
    percentile,
)
from hub.nl43.fields import FieldError, parse_on_off, parse_run_state

RUN_STATE_EVERY_S = 30.0
RUN_STATE_LIFE_S = 90.0
_POLLS_BETWEEN = 2  # so that a question is at most every third command
_SLOW_S = 12.0  # polls this far apart leave room for questions after each of them
_QUESTIONS_AT_ONCE = 2
_SETTINGS_EVERY_S = 10.0  # so that readings keep their cadence while a session begins
_PAUSE_S, _LONGEST_PAUSE_S = 60.0, 960.0  # for a question that has cost a connection twice or more in a row
_SETTINGS = (ECHO_OFF, SLEEP_MODE, FREQUENCY_WEIGHTING, TIME_WEIGHTING, *(percentile(n) for n in range(1, 6)))


@dataclass(slots=True)
class Session:
    """The questions of one meter and what it answered; decides, and never talks to the meter itself.

    Times are the steady clock, seconds. `settings` holds each answer as the meter wrote it.
    """

    settings: dict[str, str] = field(default_factory=dict)
    is_sleep_mode_on: bool | None = None
    _run_state: Literal["Start", "Stop"] | None = None
    _run_state_s: float = 0.0
    _run_state_due_s: float = 0.0
    _settings_due_s: float = 0.0
    _polls: int = 0
    _asked: int = 0
    _connects: int = 0
    _to_ask: list[Command] = field(default_factory=list)
    _failures: dict[Command, tuple[int, float]] = field(default_factory=dict)  # in a row; not to be asked before

    def polled(self, connects: int, now_s: float) -> None:
        """A poll has been answered on connection number `connects`; a new connection is a new session."""
        self._asked = 0
        if connects != self._connects:
            self._connects = connects
            self._run_state_due_s = self._not_before_s(MEASURE)
            self._polls = _POLLS_BETWEEN
            self._to_ask = [question for question in _SETTINGS if self._not_before_s(question) <= now_s]
        else:
            self._polls += 1

    def next_question(self, now_s: float, cadence_s: float) -> Command | None:
        """What to ask now, if it is time for a question at all.

        A question is at most every third command, so that readings keep their cadence. Where polls are far
        apart two may follow each: else the run state would be too old, and the settings never asked for.
        """
        is_slow = cadence_s >= _SLOW_S
        if self._polls < _POLLS_BETWEEN and (not is_slow or self._asked >= _QUESTIONS_AT_ONCE):
            return None
        if now_s >= self._run_state_due_s:
            return MEASURE
        return self._to_ask[0] if self._to_ask and (is_slow or now_s >= self._settings_due_s) else None

    def asked(self, question: Command, now_s: float) -> None:
        """The question is on its way: it is not asked again in this session, the run state not for 30 s."""
        self._polls = 0
        self._asked += 1
        self._settings_due_s = now_s + _SETTINGS_EVERY_S
        if question == MEASURE:
            self._run_state_due_s = now_s + RUN_STATE_EVERY_S
        elif self._to_ask and self._to_ask[0] == question:
            self._to_ask.pop(0)

    def failed(self, question: Command, now_s: float) -> None:
        """The connection was lost over this question: where that goes on, it is asked ever less often."""
        times = self._failures.get(question, (0, 0.0))[0] + 1
        pause_s = 0.0 if times == 1 else min(_PAUSE_S * 2.0 ** (times - 2), _LONGEST_PAUSE_S)
        self._failures[question] = times, now_s + pause_s

    def _not_before_s(self, question: Command) -> float:
        return self._failures.get(question, (0, 0.0))[1]

    def answered(self, question: Command, is_accepted: bool, line: str | None, now_s: float) -> None:
        """Take an answer. A question refused leaves the matter unknown, a setting refused leaves it as it was.

        `line` is None for a refusal, and for a setting: what was set is then what the meter has.
        """
        self._failures.pop(question, None)
        if question == MEASURE:
            self._run_state = None if line is None else parse_run_state(line).value
            self._run_state_s = now_s
            return
        if question.kind is Kind.SETTING:
            if not is_accepted:
                return
            line = question.param
        if line is not None:
            self.settings[question.name] = line.strip()
        if question.name == SLEEP_MODE.name:
            self.is_sleep_mode_on = _on_or_off(line)
            if self.is_sleep_mode_on and self._run_state == "Stop":
                self._to_ask.insert(0, SLEEP_MODE_OFF)

    def run_state(self, now_s: float) -> Literal["Start", "Stop"] | None:
        """Whether a measurement runs; None when never told, or not within 90 s."""
        return self._run_state if now_s - self._run_state_s <= RUN_STATE_LIFE_S else None


def _on_or_off(line: str | None) -> bool | None:
    try:
        return None if line is None else parse_on_off(line)
    except FieldError:
        return None
