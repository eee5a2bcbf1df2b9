"""Windowed rules that see nothing: their meter answers, but too seldom or too slowly to fill their window."""

from collections.abc import Collection, Mapping
from typing import Protocol

import anyio
import structlog
from anyio.lowlevel import checkpoint

from alerts.delivery.summary import spoken_duration
from alerts.rules.pairs import Hearing
from hub.readings.samples import UnitSampler, unit_subject
from hub.readings.windows import COVERAGE_NEEDED, READINGS_NEEDED, WINDOWS
from hub.runtime.clock import Clock
from hub.units.unit import Unit

log = structlog.get_logger()

_LOOK_S = 5.0
_UNITS_AT_ONCE = 20


class Alerts(Protocol):
    """What is asked of the `AlertService` here."""

    def add_subject(self, subject: str, labels: Mapping[str, str]) -> None: ...
    def remove_subject(self, subject: str) -> None: ...
    def hearing(self, subject: str, metrics: Collection[str]) -> list[Hearing]: ...
    def report(self, subject: str, ok: bool, reason: str | None = None) -> None: ...


class Coverage:
    """Raises `low-coverage` on `hub/rule/<rule>/<unit>` once a window has had no value for its own length.

    It clears with the next value. A unit that is away is another matter and changes nothing here. What it finds
    is shown as the unit's `uncovered_rules` too.
    """

    def __init__(
        self,
        alerts: Alerts,
        clock: Clock,
        units: Mapping[str, Unit],
        samplers: Mapping[str, UnitSampler],
    ) -> None:
        self._alerts = alerts
        self._clock = clock
        self._units = units
        self._samplers = samplers
        self._covered: dict[str, dict[str, bool | None]] = {}  # by unit and rule; None until something is known

    async def run(self) -> None:
        """Look until cancelled, at some units at once: a thousand would hold everybody up."""
        while True:
            for number, unit_id in enumerate(self._unit_ids()):
                self._look_at(unit_id)
                if number % _UNITS_AT_ONCE == 0:
                    await checkpoint()
            await anyio.sleep(_LOOK_S)

    def look(self) -> None:
        """See what each windowed rule hears of each unit, and report what has changed."""
        for unit_id in self._unit_ids():
            self._look_at(unit_id)

    def _unit_ids(self) -> list[str]:
        """Those there are, and those that went."""
        return list(dict.fromkeys([*self._units, *self._covered]))

    def _look_at(self, unit_id: str) -> None:
        now_s, unit = self._clock.steady(), self._units.get(unit_id)
        hearings = [] if unit is None else self._alerts.hearing(unit_subject(unit_id), WINDOWS)
        covered = self._covered.setdefault(unit_id, {})
        for gone in covered.keys() - {hearing.rule for hearing in hearings}:
            del covered[gone]
            self._alerts.remove_subject(_subject(gone, unit_id))
        for hearing in hearings:
            if hearing.rule not in covered:
                covered[hearing.rule] = None
                self._alerts.add_subject(_subject(hearing.rule, unit_id), {})
            is_covered = _verdict(hearing)
            if is_covered is not None and is_covered is not covered[hearing.rule]:
                covered[hearing.rule] = is_covered
                self._report(unit_id, hearing, is_covered, now_s)
        if unit is None:
            del self._covered[unit_id]
        else:
            unit.uncovered_rules = tuple(
                sorted(rule for rule, is_covered in covered.items() if is_covered is False)
            )

    def _report(self, unit_id: str, hearing: Hearing, is_covered: bool, now_s: float) -> None:
        subject = _subject(hearing.rule, unit_id)
        if is_covered:
            self._alerts.report(subject, True)
            return
        basis, window_s = self._samplers[unit_id].basis(hearing.metric, now_s), WINDOWS[hearing.metric].seconds
        symbol = self._units[unit_id].instrument.symbols[hearing.metric]
        reason = (
            f"{symbol} has had no value for {spoken_duration(window_s)}: "
            f"{basis.samples} readings cover {basis.coverage:.0%} of it, "
            f"{READINGS_NEEDED} and {COVERAGE_NEEDED:.0%} are needed"
        )
        log.warning("a rule sees nothing", rule=hearing.rule, unit=unit_id, reason=reason)
        self._alerts.report(subject, False, reason)


def _verdict(hearing: Hearing) -> bool | None:
    """Whether the rule sees something; None while that is not known yet."""
    if hearing.has_value:
        return True
    return False if hearing.silent_s > WINDOWS[hearing.metric].seconds + _LOOK_S else None


def _subject(rule: str, unit_id: str) -> str:
    return f"hub/rule/{rule}/{unit_id}"
