"""Windowed rules that see nothing: their meter answers, but too seldom or too slowly to fill their window."""

from collections.abc import Iterable, Mapping
from typing import Protocol

import anyio
import structlog

from alerts.alert import Transition
from alerts.engine import Engine
from alerts.pairs import Hearing
from alerts.summary import spoken_duration
from hub.clock import Clock
from hub.samples import UnitSampler, unit_subject
from hub.unit import Unit
from hub.windows import COVERAGE_NEEDED, READINGS_NEEDED, WINDOWS

log = structlog.get_logger()

_LOOK_S = 5.0


class Tells(Protocol):
    """The desk, as seen from here."""

    def take(self, transitions: Iterable[Transition]) -> None: ...
    def report(self, subject: str, ok: bool, reason: str | None = None) -> None: ...


class Coverage:
    """Raises `low-coverage` on `hub/rule/<rule>/<unit>` once a window has had no value for its own length.

    It clears with the next value. A unit that is away is another matter and changes nothing here. What it finds
    is shown as the unit's `uncovered_rules` too.
    """

    def __init__(
        self,
        engine: Engine,
        desk: Tells,
        clock: Clock,
        units: Mapping[str, Unit],
        samplers: Mapping[str, UnitSampler],
    ) -> None:
        self._engine = engine
        self._desk = desk
        self._clock = clock
        self._units = units
        self._samplers = samplers
        self._covered: dict[tuple[str, str], bool | None] = {}  # by rule and unit; None until something is known

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self.look()
            await anyio.sleep(_LOOK_S)

    def look(self) -> None:
        """See what each windowed rule hears of each unit, and tell what has changed."""
        now, now_s = self._clock.now(), self._clock.steady()
        subjects = {unit_subject(unit_id): unit_id for unit_id in self._units}
        hearings = [one for one in self._engine.hearing(WINDOWS, now_s) if one.subject in subjects]
        pairs = {(one.rule, subjects[one.subject]): one for one in hearings}
        for gone in self._covered.keys() - pairs.keys():
            del self._covered[gone]
            self._desk.take(self._engine.remove_subject(_subject(*gone), now, now_s))
        for pair, hearing in pairs.items():
            if pair not in self._covered:
                self._covered[pair] = None
                self._desk.take(self._engine.add_subject(_subject(*pair), {}, now, now_s))
            is_covered = _verdict(hearing)
            if is_covered is not None and is_covered is not self._covered[pair]:
                self._covered[pair] = is_covered
                self._tell(pair, hearing, is_covered, now_s)
        for unit in self._units.values():
            unit.uncovered_rules = ()
        for rule, unit_id in sorted(pair for pair, is_covered in self._covered.items() if is_covered is False):
            self._units[unit_id].uncovered_rules += (rule,)

    def _tell(self, pair: tuple[str, str], hearing: Hearing, is_covered: bool, now_s: float) -> None:
        rule, unit_id = pair
        if is_covered:
            self._desk.report(_subject(*pair), True)
            return
        basis, window_s = self._samplers[unit_id].basis(hearing.metric, now_s), WINDOWS[hearing.metric].seconds
        reason = (
            f"{self._units[unit_id].quantities[hearing.metric]} has had no value for {spoken_duration(window_s)}: "
            f"{basis.samples} readings cover {basis.coverage:.0%} of it, "
            f"{READINGS_NEEDED} and {COVERAGE_NEEDED:.0%} are needed"
        )
        log.warning("a rule sees nothing", rule=rule, unit=unit_id, reason=reason)
        self._desk.report(_subject(*pair), False, reason)


def _verdict(hearing: Hearing) -> bool | None:
    """Whether the rule sees something; None while that is not known yet."""
    if hearing.has_value:
        return True
    return False if hearing.silent_s > WINDOWS[hearing.metric].seconds + _LOOK_S else None


def _subject(rule: str, unit_id: str) -> str:
    return f"hub/rule/{rule}/{unit_id}"
