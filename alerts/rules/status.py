"""The status of a rule over all its subjects."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from alerts.config.rule import Rule
from alerts.model.alert import State
from alerts.model.sample import Value
from alerts.rules.pairs import Pair

_BY_URGENCY = (State.INACTIVE, State.PENDING, State.CLEARING, State.FIRING)


@dataclass(frozen=True, slots=True)
class RuleStatus:
    """The most urgent state of a rule's alerts, how many there are, and the newest sample it evaluated."""

    rule: Rule
    state: State
    subjects: int
    open: int
    last_evaluated_at: datetime | None
    last_value: Value


def status_of(rule: Rule, pairs: Sequence[Pair]) -> RuleStatus:
    """Sum up the pairs of a rule."""
    newest = max((pair.series for pair in pairs), key=lambda series: series.last_s, default=None)
    return RuleStatus(
        rule=rule,
        state=max((pair.alert.state for pair in pairs), key=_BY_URGENCY.index, default=State.INACTIVE),
        subjects=len(pairs),
        open=sum(pair.alert.is_open for pair in pairs),
        last_evaluated_at=newest.last_at if newest is not None else None,
        last_value=newest.last_value if newest is not None else None,
    )
