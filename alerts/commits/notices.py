"""Makes the notice of a transition: its receivers, its summary and its names."""

from collections.abc import Callable, Mapping

from alerts.config.caption import Caption
from alerts.config.rule import AlertsConfig
from alerts.delivery.summary import summarize
from alerts.model.alert import Transition
from alerts.model.delivery import Notice
from alerts.rules.routing import Routing


class Notices:
    """Makes a notice of each transition; remembers for each open alert which receivers were notified of it."""

    def __init__(self, labels_of: Callable[[str], Mapping[str, str]], caption_of: Callable[[str], Caption]) -> None:
        """`labels_of` gives the labels of a subject, `caption_of` the names that people use for it."""
        self._labels_of = labels_of
        self._caption_of = caption_of
        self._routing = Routing(AlertsConfig())
        self._notified: dict[str, set[str]] = {}  # by alert id

    def configure(self, config: AlertsConfig) -> None:
        """Use other rules and receivers from the next notice on."""
        self._routing = Routing(config)

    def restore(self, notified: dict[str, set[str]]) -> None:
        """Continue with the receivers that were notified of each open alert, by its id."""
        self._notified = notified

    def of(self, transition: Transition) -> Notice:
        """The notice of a transition. Called once for each transition, in the order of the decisions."""
        alert = transition.alert
        notified = self._notified.setdefault(alert.id or "", set())
        receivers = self._routing.receivers_of(alert, notified)
        notified.update(receivers)
        if not alert.is_open:
            self._notified.pop(alert.id or "")
        caption = self._caption_of(alert.subject)
        return Notice(
            transition,
            self._labels_of(alert.subject),
            summarize(transition, self._routing.rule(alert.rule), caption),
            True,
            (transition.decided_s - transition.sample_time_s) * 1000,
            receivers,
            name=caption.name,
            metric_label=caption.metric_label(alert.metric),
        )
