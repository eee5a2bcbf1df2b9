"""Transitions and alert states that are not committed yet. Pure."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from alerts.model.alert import Alert
from alerts.model.delivery import Delivery, Notice

Pair = tuple[str, str]  # rule and subject


@dataclass(frozen=True, slots=True)
class Batch:
    """The content of one transaction. No state in it is ahead of the transitions that led to it."""

    notices: list[Notice]
    states: dict[Pair, Alert]


class Uncommitted:
    """Keeps transitions and states until they are committed, with the deliveries of those announced before."""

    def __init__(self) -> None:
        self.since_s: float | None = None  # something has been waiting since
        self._notices: deque[Notice] = deque()
        self._states: dict[Pair, Alert] = {}
        self._announced: dict[tuple[str, int], list[Delivery]] = {}

    def __len__(self) -> int:
        return len(self._notices)

    def __bool__(self) -> bool:
        return bool(self._notices or self._states)

    def __iter__(self) -> Iterator[Notice]:
        return iter(self._notices)

    def add(self, notice: Notice, now_s: float) -> None:
        """Append a transition, and keep its alert as the newest state."""
        self._notices.append(notice)
        self.put(notice.transition.alert, now_s)

    def put(self, alert: Alert, now_s: float) -> None:
        """Keep the newest state of an alert."""
        self._states[_pair(alert)] = alert
        if self.since_s is None:
            self.since_s = now_s

    def drop_oldest(self) -> None:
        """Forget the oldest transition, which is then never stored."""
        self._announced.pop(_key(self._notices.popleft()), None)

    def announced(self, notice: Notice, deliveries: list[Delivery]) -> None:
        """Remember that the notice was announced from memory with these deliveries."""
        self._announced[_key(notice)] = deliveries

    def announcement(self, notice: Notice) -> list[Delivery] | None:
        """The deliveries it was announced with from memory; None when it was not."""
        return self._announced.get(_key(notice))

    def next_batch(self, most: int) -> Batch:
        """The oldest transitions and the states that go with them; the transitions stay until `committed`."""
        notices = list(islice(self._notices, most))
        later = {_pair(notice.transition.alert) for notice in islice(self._notices, most, None)}
        states = {_pair(notice.transition.alert): notice.transition.alert for notice in notices}
        states |= {pair: alert for pair, alert in self._states.items() if pair not in later}
        self._states = {pair: alert for pair, alert in self._states.items() if pair in later}
        return Batch(notices, states)

    def put_back(self, batch: Batch) -> None:
        """Return a batch that was not committed; newer states win."""
        self._states = batch.states | self._states

    def committed(self, batch: Batch, now_s: float) -> list[Notice]:
        """Remove a committed batch; return its transitions that have not been announced yet."""
        unannounced = []
        for notice in batch.notices:
            if self._notices and self._notices[0] is notice:
                self._notices.popleft()
            if self._announced.pop(_key(notice), None) is None:
                unannounced.append(notice)
        self.since_s = now_s if self else None
        return unannounced


def _pair(alert: Alert) -> Pair:
    return alert.rule, alert.subject


def _key(notice: Notice) -> tuple[str, int]:
    return notice.alert_id, notice.transition.alert.sequence
