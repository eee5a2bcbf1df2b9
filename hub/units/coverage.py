"""Reports windowed rules without values: their unit answers, but too seldom or too slowly to fill the window."""

from collections.abc import Collection, Mapping
from typing import Protocol

import anyio
import structlog
from anyio.lowlevel import checkpoint

from alerts.delivery.summary import spoken_duration
from alerts.rules.pairs import RuleInput
from hub.readings.samples import UnitSampler, unit_subject
from hub.readings.windows import COVERAGE_NEEDED, READINGS_NEEDED, WINDOWS
from hub.runtime.clock import Clock
from hub.units.unit import Unit

log = structlog.get_logger()

_CHECK_S = 5.0
_UNITS_AT_ONCE = 20


class Alerts(Protocol):
    """The methods of `AlertService` that `Coverage` calls."""

    def add_subject(self, subject: str, labels: Mapping[str, str]) -> None: ...
    def remove_subject(self, subject: str) -> None: ...
    def rule_inputs(self, subject: str, metrics: Collection[str]) -> list[RuleInput]: ...
    def report(self, subject: str, ok: bool, reason: str | None = None) -> None: ...


class Coverage:
    """Raises `low-coverage` on `hub/rule/<rule>/<unit>` once a window has had no value for its own length.

    The alert clears with the next value. A unit that is away changes nothing. The rules without values are in the
    unit's `uncovered_rules` too.
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
        self._covered: dict[str, dict[str, bool | None]] = {}  # by unit and rule; None until the first verdict

    async def run(self) -> None:
        """Check until cancelled, some units at a time: a thousand at once would block the event loop."""
        while True:
            for number, unit_id in enumerate(self._unit_ids()):
                self._check(unit_id)
                if number % _UNITS_AT_ONCE == 0:
                    await checkpoint()
            await anyio.sleep(_CHECK_S)

    def check(self) -> None:
        """Check what each windowed rule receives of each unit, and report changes."""
        for unit_id in self._unit_ids():
            self._check(unit_id)

    def _unit_ids(self) -> list[str]:
        """The present units, and the removed ones whose subjects are still known."""
        return list(dict.fromkeys([*self._units, *self._covered]))

    def _check(self, unit_id: str) -> None:
        now_s, unit = self._clock.steady(), self._units.get(unit_id)
        inputs = [] if unit is None else self._alerts.rule_inputs(unit_subject(unit_id), WINDOWS)
        covered = self._covered.setdefault(unit_id, {})
        for gone in covered.keys() - {seen.rule for seen in inputs}:
            del covered[gone]
            self._alerts.remove_subject(_subject(gone, unit_id))
        for seen in inputs:
            if seen.rule not in covered:
                covered[seen.rule] = None
                self._alerts.add_subject(_subject(seen.rule, unit_id), {})
            is_covered = _verdict(seen)
            if is_covered is not None and is_covered is not covered[seen.rule]:
                covered[seen.rule] = is_covered
                self._report(unit_id, seen, is_covered, now_s)
        if unit is None:
            del self._covered[unit_id]
        else:
            unit.uncovered_rules = tuple(
                sorted(rule for rule, is_covered in covered.items() if is_covered is False)
            )

    def _report(self, unit_id: str, seen: RuleInput, is_covered: bool, now_s: float) -> None:
        subject = _subject(seen.rule, unit_id)
        if is_covered:
            self._alerts.report(subject, True)
            return
        basis, window_s = self._samplers[unit_id].basis(seen.metric, now_s), WINDOWS[seen.metric].seconds
        symbol = self._units[unit_id].instrument.symbols[seen.metric]
        reason = (
            f"{symbol} has had no value for {spoken_duration(window_s)}: "
            f"{basis.samples} readings cover {basis.coverage:.0%} of it, "
            f"{READINGS_NEEDED} and {COVERAGE_NEEDED:.0%} are needed"
        )
        log.warning("a rule has no values", rule=seen.rule, unit=unit_id, reason=reason)
        self._alerts.report(subject, False, reason)


def _verdict(seen: RuleInput) -> bool | None:
    """Whether the rule has values; None while the window may still fill."""
    if seen.has_value:
        return True
    return False if seen.silent_s > WINDOWS[seen.metric].seconds + _CHECK_S else None


def _subject(rule: str, unit_id: str) -> str:
    return f"hub/rule/{rule}/{unit_id}"
