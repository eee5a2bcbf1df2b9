"""Which subjects a rule matches."""

import re
from collections.abc import Callable, Mapping
from fnmatch import translate

from alerts.config.rule import Rule
from alerts.model.metrics import metric_of
from alerts.rules.system import SystemRule

Attributes = Mapping[str, str]
Matcher = Callable[[str, Mapping[str, str], Attributes], bool]
_MAGIC = re.compile(r"[*?\[]")


def matcher_of(rule: Rule) -> Matcher:
    """A function of (subject, labels, attributes) that says whether the rule matches.

    Subjects are `unit/<id>`, `equipment/<feed>/<id>` and `hub/<thing>`; attributes of a machine are
    its `status` and `status_category`, and may change.
    """
    if isinstance(rule, SystemRule):
        prefix = rule.prefix
        return lambda subject, labels, attributes: subject.startswith(prefix)
    asked = tuple(rule.match.items())
    machine = rule.equipment
    kind = "equipment/" if metric_of(rule.metric).of == "machine" else "unit/"
    ids = _globs(machine.id if machine else rule.units or ())
    categories = frozenset(machine.category if machine else ())
    statuses = frozenset(machine.status if machine else ())

    def matches(subject: str, labels: Mapping[str, str], attributes: Attributes) -> bool:
        return (
            subject.startswith(kind)
            and (ids is None or ids(subject.split("/", 2 if kind == "equipment/" else 1)[-1]))
            and all(labels.get(name) == value for name, value in asked)
            and (not categories or attributes.get("status_category") in categories)
            and (not statuses or attributes.get("status") in statuses)
        )

    return matches


def named_by(rule: Rule) -> frozenset[str] | None:
    """The only subjects a rule can match, where it names its units without globs; else None."""
    if isinstance(rule, SystemRule) or not rule.units or any(_MAGIC.search(glob) for glob in rule.units):
        return None
    return frozenset(f"unit/{unit}" for unit in rule.units)


def _globs(globs: tuple[str, ...]) -> Callable[[str], bool] | None:
    if not globs:
        return None
    plain = frozenset(glob for glob in globs if not _MAGIC.search(glob))
    patterns = re.compile("|".join(translate(glob) for glob in globs if glob not in plain) or r"(?!)")
    return lambda identifier: identifier in plain or patterns.match(identifier) is not None
