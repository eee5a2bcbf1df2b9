"""What is asked of a meter between polls, and what it answered: its run state, its settings, who it is.

Rules:
- A question never follows another before two polls, and settings wait where a question would cost a poll: the
  readings come first.
- The run state is asked for when the totals of `DOD?` cast doubt on it, and before what is known of it is too old.
  Totals that move are evidence of a run, totals that stand still since a Stop are evidence of the Stop.
- Settings belong to a meter, not to a connection. They are asked for when they are not known, after a Stop and
  Start, and daily. A new connection asks for the serial number alone, and ever more rarely where connections keep
  being lost; another number makes everything unknown.
- What the meter refuses is an answer: it is not asked for again before the settings are.
- Nothing is written to the meter, but for `Sleep Mode,Off` where `keep_awake` says so.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from hub.instruments.setting import Setting
from hub.nl43.commands import MEASURE, SERIAL_NUMBER, SLEEP_MODE, SLEEP_MODE_OFF, TYPE, Command, Kind
from hub.nl43.fields import FieldError, parse_on_off, parse_run_state
from hub.nl43.protocol import Result
from hub.nl43.run import Evidence, RunTotals
from hub.nl43.settings import IDENTITY, LONGEST_VALUE, SETTINGS
from hub.readings.reading import Reading

RUN_STATE_LIFE_S = 90.0
_MARGIN_S = 5.0  # the run state is asked for so long before it is too old
_RUN_STATE_EVERY_S = 600.0  # however much evidence there is
_RUN_STATE_AGAIN_S = 30.0  # after a question without an answer
_LONGEST_REFUSAL_S = 3600.0
_DOUBT_S, _LONGEST_DOUBT_S = 5.0, 80.0  # between two questions because of the totals, while the answer is the same
_POLLS_BETWEEN = 2  # so that a question is at most every third command
_SLOW_S = 12.0  # polls this far apart leave room for questions after each of them
_QUESTIONS_AT_ONCE = 2
_SETTINGS_EVERY_S = 5.0
_BUDGET_S, _BUDGET = 100.0, 2  # questions where each costs a poll
_DAY_S = 86400.0
_BUSY_S = 3600.0  # a refusal because of the meter's present state says nothing of the next hour
_IDENTITY_EVERY_S, _LONGEST_IDENTITY_S = 60.0, 3600.0
_PAUSE_S, _LONGEST_PAUSE_S = 60.0, 960.0  # for a question that has cost a connection twice or more in a row


@dataclass(slots=True)
class Session:
    """The questions of one meter and what it answered; decides, and never talks to the meter itself.

    Times are the steady clock, seconds. `keep_awake` has Sleep Mode switched off while no run is on. `swaps` counts
    how often another meter answered than before.
    """

    keep_awake: bool = False
    settings: dict[str, Setting] = field(default_factory=dict)
    swaps: int = 0
    run: RunTotals = field(default_factory=RunTotals)
    _run_state: Literal["Start", "Stop"] | None = None
    _run_state_s: float = -RUN_STATE_LIFE_S - 1.0  # the run state was so at this time
    _has_evidence: bool = False
    _is_doubted: bool = False
    _doubt_pause_s: float = _DOUBT_S
    _refusal_pause_s: float = _RUN_STATE_AGAIN_S
    _measure_asked_s: float | None = None
    _is_asked_in_doubt: bool = False
    _renew_s: float = float("-inf")  # settings asked for before are to be asked for again
    _renew_sleep_s: float = float("-inf")  # the same for Sleep Mode alone
    _identity_due_s: float | None = None
    _identity_asked_s: float | None = None
    _identity_pause_s: float = _IDENTITY_EVERY_S
    _write_due_s: float = 0.0
    _began_s: float | None = None
    _last_poll_s: float = 0.0
    _polls: int = 0
    _asked: int = 0
    _connects: int = 0
    _recent: deque[float] = field(default_factory=lambda: deque(maxlen=_BUDGET))
    _setting_asked_s: float = float("-inf")
    _failures: dict[Command, tuple[int, float]] = field(default_factory=dict)  # in a row; not to be asked before

    @property
    def is_sleep_mode_on(self) -> bool | None:
        """Whether the meter may sleep between measurements; None while unknown."""
        setting = self.settings.get(SLEEP_MODE.name)
        try:
            return None if setting is None or setting.value is None else parse_on_off(setting.value)
        except FieldError:
            return None

    @property
    def meter(self) -> str | None:
        """The meter's type and serial number; None while the latter is unknown."""
        model, number = (self.settings.get(question.name) for question in IDENTITY)
        if number is None or number.value is None:
            return None
        return number.value if model is None or model.value is None else f"{model.value} {number.value}"

    def restore(self, settings: Iterable[tuple[str, Setting]]) -> None:
        """Take up what was known before a restart; the meter is asked whether it is still the same."""
        self.settings = dict(settings)

    def polled(self, connects: int, reading: Reading, now_s: float) -> None:
        """A poll has been answered on connection number `connects`."""
        self._asked = 0
        if connects != self._connects:
            self._connects = connects
            self._polls = _POLLS_BETWEEN
            self._ask_identity(now_s)
        else:
            self._polls += 1
        if self._began_s is None:
            self._began_s = now_s
        self._weigh(self.run.add(reading, now_s), now_s)
        self._last_poll_s = now_s

    def next_question(self, now_s: float, cadence_s: float, cost_s: float) -> Command | None:
        """What to ask now, if it is time for a question at all. `cost_s` is how long one holds up the next poll.

        Where polls are far apart two may follow each: else the run state would be too old.
        """
        is_slow = cadence_s >= _SLOW_S
        if self._polls < _POLLS_BETWEEN and (not is_slow or self._asked >= _QUESTIONS_AT_ONCE):
            return None
        if self._is_run_state_due(now_s, cadence_s):
            return MEASURE
        if not self._has_room(now_s, is_free=cadence_s >= 2 * cost_s):
            return None
        if self._is_to_be_kept_awake(now_s):
            return SLEEP_MODE_OFF
        setting = next((question for question in self._questions() if self._is_due(question, now_s)), None)
        # On a new connection the meter says who it is before it is asked for a setting.
        return SERIAL_NUMBER if self._is_identity_due(now_s, setting is not None) else setting

    def asked(self, question: Command, now_s: float) -> None:
        """The question is on its way."""
        self._polls = 0
        self._asked += 1
        self._recent.append(now_s)
        if question == MEASURE:
            self._measure_asked_s = now_s
            self._is_asked_in_doubt, self._is_doubted = self._is_doubted, False
            return
        self._setting_asked_s = now_s
        if question == SERIAL_NUMBER:
            self._identity_asked_s, self._identity_due_s = now_s, None

    def failed(self, question: Command, now_s: float) -> None:
        """The connection was lost over this question: where that goes on, it is asked ever less often."""
        times = self._failures.get(question, (0, 0.0))[0] + 1
        pause_s = _RUN_STATE_AGAIN_S if times == 1 else min(_PAUSE_S * 2.0 ** (times - 2), _LONGEST_PAUSE_S)
        self._failures[question] = times, now_s + pause_s

    def answered(self, question: Command, result: Result, line: str | None, now_s: float) -> None:
        """Take an answer; `line` is None for a refusal and for what was set.

        A question refused leaves the matter unknown, a write refused leaves it as it was.
        """
        self._failures.pop(question, None)
        if question == MEASURE:
            self._take_run_state(None if line is None else parse_run_state(line).value, now_s)
        elif question.kind is not Kind.SETTING:
            self._take_setting(question, result, line, now_s)
        elif result.ok:
            self._keep(question.name, question.param, now_s, None)
        else:
            self._write_due_s = now_s + _BUSY_S

    def run_state(self, now_s: float) -> Literal["Start", "Stop"] | None:
        """Whether a measurement runs; None when never told, or not within 90 s."""
        return self._run_state if now_s - self._run_state_s <= RUN_STATE_LIFE_S else None

    def _weigh(self, evidence: Evidence, now_s: float) -> None:
        """What the totals say of the run state."""
        state = self.run_state(now_s)
        if state == "Stop":
            if evidence.is_same:
                self._know("Stop", now_s)
            self._is_doubted |= evidence.has_moved or evidence.has_restarted
        elif state == "Start":
            if evidence.has_moved:
                self._know("Start", self._last_poll_s)
                self._doubt_pause_s = _DOUBT_S
            self._is_doubted |= evidence.is_frozen or evidence.has_restarted
        elif evidence.has_grown:
            self._know("Start", self._last_poll_s)
        if evidence.has_restarted:
            self._renew_s = now_s

    def _know(self, state: Literal["Start", "Stop"], time: float) -> None:
        self._run_state, self._run_state_s, self._has_evidence = state, max(time, self._run_state_s), True

    def _take_run_state(self, state: Literal["Start", "Stop"] | None, now_s: float) -> None:
        before, known_s = self.run_state(now_s), self._run_state_s
        self._refusal_pause_s = (
            _RUN_STATE_AGAIN_S if state is not None else min(2 * self._refusal_pause_s, _LONGEST_REFUSAL_S)
        )
        if state is None and self._has_evidence and not self._is_asked_in_doubt:
            return  # the totals tell what the meter does not
        self._has_evidence = False
        self._run_state, self._run_state_s = state, now_s
        if state != before:
            self._doubt_pause_s = _DOUBT_S
        elif self._is_asked_in_doubt:
            self._doubt_pause_s = min(2 * self._doubt_pause_s, _LONGEST_DOUBT_S)
        if (before, state) == ("Stop", "Start"):
            self.run.began(known_s, now_s)
            self._renew_s = now_s
        elif (before, state) == ("Start", "Stop") and self.keep_awake:
            self._renew_sleep_s = now_s

    def _take_setting(self, question: Command, result: Result, line: str | None, now_s: float) -> None:
        before = self.settings.get(question.name)
        value = None if line is None else line.strip()[:LONGEST_VALUE]
        if question in IDENTITY:
            known = None if before is None else before.value
            if value is None:
                value = known  # who the meter is does not become unknown because it is busy
            elif known is not None and known != value:
                self._forget_meter(question)
            elif question == SERIAL_NUMBER:
                self._identity_pause_s = min(2 * self._identity_pause_s, _LONGEST_IDENTITY_S)
        self._keep(question.name, value, now_s, None if result.ok else f"R+{result:04d}")

    def _keep(self, name: str, value: str | None, now_s: float, refusal: str | None) -> None:
        before = self.settings.get(name)
        since_s = before.since_s if before is not None and before.value == value else now_s
        self.settings[name] = Setting(value, now_s, since_s, refusal)

    def _forget_meter(self, question: Command) -> None:
        """Another meter: nothing that was known of the one before holds, and its run is not this one's."""
        self.swaps += 1
        kept = SERIAL_NUMBER.name if question == TYPE else None
        self.settings = {name: setting for name, setting in self.settings.items() if name == kept}
        self._identity_pause_s = _IDENTITY_EVERY_S
        self.run = RunTotals()
        self._run_state = None

    def _ask_identity(self, now_s: float) -> None:
        """A new connection may lead to another meter: ask, but ever more rarely where connections do not hold."""
        asked_s = self._identity_asked_s
        if asked_s is not None and now_s - asked_s > _LONGEST_IDENTITY_S:
            self._identity_pause_s = _IDENTITY_EVERY_S
        due_s = now_s if asked_s is None else max(now_s, asked_s + self._identity_pause_s)
        self._identity_due_s = due_s

    def _is_identity_due(self, now_s: float, has_more: bool) -> bool:
        """Of a meter that is not known yet the order of the questions is that of the settings."""
        return (
            SERIAL_NUMBER.name in self.settings
            and self._identity_due_s is not None
            and (has_more or now_s >= self._identity_due_s)
            and now_s >= self._not_before_s(SERIAL_NUMBER)
        )

    def _is_run_state_due(self, now_s: float, cadence_s: float) -> bool:
        if now_s < self._not_before_s(MEASURE):
            return False
        asked_s = self._measure_asked_s
        if asked_s is None:
            return True
        if self._is_doubted and now_s >= asked_s + self._doubt_pause_s:
            return True
        if self._run_state is None:
            return now_s >= asked_s + self._refusal_pause_s
        again_s = min(_RUN_STATE_AGAIN_S, RUN_STATE_LIFE_S - cadence_s)
        due_s = self._run_state_s + RUN_STATE_LIFE_S - 1.5 * cadence_s - _MARGIN_S
        every_s = max(_RUN_STATE_EVERY_S, self._refusal_pause_s)
        return now_s >= asked_s + again_s and now_s >= min(due_s, asked_s + every_s)

    def _has_room(self, now_s: float, is_free: bool) -> bool:
        """Whether a setting may be asked for; where that costs a poll, two questions in 100 s are enough.

        One of them is the run state's, where no totals tell: at first it is left to it.
        """
        if is_free:
            return now_s >= self._setting_asked_s + _SETTINGS_EVERY_S
        if now_s < self._setting_asked_s + _BUDGET_S / _BUDGET:
            return False
        recent = sum(asked_s > now_s - _BUDGET_S for asked_s in self._recent)
        is_early = self._began_s is None or now_s < self._began_s + _BUDGET_S
        return recent < (_BUDGET if self._has_evidence or not is_early else 1)

    def _questions(self) -> Iterable[Command]:
        return (SLEEP_MODE, *SETTINGS) if self.keep_awake else SETTINGS

    def _is_due(self, question: Command, now_s: float) -> bool:
        if now_s < self._not_before_s(question):
            return False
        setting = self.settings.get(question.name)
        if setting is None:
            return True
        life_s = _BUSY_S if setting.refusal == f"R+{Result.STATUS:04d}" else _DAY_S
        renew_s = max(self._renew_s, self._renew_sleep_s if question == SLEEP_MODE else self._renew_s)
        is_renewed = question not in IDENTITY and setting.asked_s < renew_s
        return is_renewed or now_s >= setting.asked_s + life_s

    def _is_to_be_kept_awake(self, now_s: float) -> bool:
        return (
            self.keep_awake
            and self.is_sleep_mode_on is True
            and self.run_state(now_s) == "Stop"
            and now_s >= max(self._write_due_s, self._not_before_s(SLEEP_MODE_OFF))
        )

    def _not_before_s(self, question: Command) -> float:
        return self._failures.get(question, (0, 0.0))[1]
