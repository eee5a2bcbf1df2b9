"""Which receivers are notified of an alert."""

from collections.abc import Collection, Iterable

from alerts.config.rule import AlertsConfig, Rule
from alerts.model.alert import Alert
from alerts.rules.system import SYSTEM_SUBJECTS

_RECEIVER = "hub/receiver/"


class Routing:
    """The receivers of each rule, and of the hub's own."""

    def __init__(self, config: AlertsConfig) -> None:
        self._rules = {rule.name: rule for rule in config.rules}
        self._receivers = tuple(receiver.name for receiver in config.receivers)
        self._system = self._receivers if config.system.notify is None else config.system.notify

    def rule(self, name: str) -> Rule | None:
        """The rule of this name, if it is configured."""
        return self._rules.get(name)

    def receivers_of(self, alert: Alert, notified: Collection[str]) -> tuple[str, ...]:
        """The receivers of a transition: those `notified` of the alert before, else those that the rule names.

        Receivers that are no longer configured are left out, and so is one that is the subject of the alert.
        """
        rule = self._rules.get(alert.rule)
        own: Iterable[str] = self._system if alert.rule in SYSTEM_SUBJECTS else ()
        wanted: Iterable[str] = notified or (own if rule is None else rule.notify)
        about = alert.subject.removeprefix(_RECEIVER) if alert.subject.startswith(_RECEIVER) else None
        return tuple(name for name in self._receivers if name in set(wanted) and name != about)
