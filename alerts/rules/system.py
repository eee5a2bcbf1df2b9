"""The system rules, which raise the hub's own alerts; the engine evaluates them like every other rule."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from alerts.config.rule import AlertsConfig, Rule, Severity

UNIT_UNREACHABLE = "unit-unreachable"
LOW_COVERAGE = "low-coverage"

SYSTEM_SUBJECTS: Mapping[str, str] = MappingProxyType(
    {
        UNIT_UNREACHABLE: "unit/",
        "storage-failing": "hub/storage",
        "receiver-failing": "hub/receiver/",
        "child-failed": "hub/child/",
        "feed-failing": "hub/feed/",
        "config-rejected": "hub/config",
        "disk-full": "hub/disk",
        LOW_COVERAGE: "hub/rule/",
        "edge-overloaded": "hub/edge",
    }
)
"""Name of each system rule -> the prefix of the subjects it matches."""


class SystemRule(Rule):
    """A rule of the hub on itself: the metric `ok` (or `reachable`) of the subjects under a prefix turns False."""

    is_of_the_hub: ClassVar[bool] = True

    prefix: str


def system_rule(name: str, severity: Severity, notify: tuple[str, ...]) -> SystemRule:
    """The system rule of this name, one of `SYSTEM_SUBJECTS`. A sample states the reason."""
    return SystemRule(
        name=name,
        metric="reachable" if name == UNIT_UNREACHABLE else "ok",
        equals=False,
        prefix=SYSTEM_SUBJECTS[name],
        severity=severity,
        notify=notify,
        cooldown=0.0,
    )


def system_rules(severity: Severity, notify: tuple[str, ...]) -> tuple[SystemRule, ...]:
    """All of them, for the same receivers."""
    return tuple(system_rule(name, severity, notify) for name in SYSTEM_SUBJECTS)


def all_rules(config: AlertsConfig) -> list[Rule]:
    """The configured rules, and the hub's own, which notify every receiver unless `system` names some."""
    notify = config.system.notify
    if notify is None:
        notify = tuple(receiver.name for receiver in config.receivers)
    return [*config.rules, *system_rules(config.system.severity, notify)]


def own_subjects(config: AlertsConfig) -> list[str]:
    """The parts of the hub that are subjects from the start: those there is one of, and every receiver."""
    single = (prefix for prefix in SYSTEM_SUBJECTS.values() if not prefix.endswith("/"))
    return [*single, *(receiver_subject(receiver.name) for receiver in config.receivers)]


def receiver_subject(name: str) -> str:
    """The subject of a receiver, for the alert `receiver-failing`."""
    return SYSTEM_SUBJECTS["receiver-failing"] + name
