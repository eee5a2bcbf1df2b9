"""Transitions and alert states that are not committed yet. Pure."""

from collections import Counter, deque
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
    """Keeps transitions and states until they are committed, with the deliveries of those announced before.

    The transitions that were announced before are the oldest ones.
    """

    def __init__(self) -> None:
        self.since_s: float | None = None  # something has been waiting since
        self._notices: deque[Notice] = deque()
        self._left: Counter[Pair] = Counter()  # how many of them each pair has
        self._later: dict[Pair, Alert] = {}  # states to be written with or after the last notice of their pair
        self._states: dict[Pair, Alert] = {}  # of pairs without a notice
        self._announced: dict[tuple[str, int], list[Delivery]] = {}

    def __len__(self) -> int:
        return len(self._notices)

    def __bool__(self) -> bool:
        return bool(self._notices or self._states)

    @property
    def oldest(self) -> Notice:
        """The oldest transition; there is one."""
        return self._notices[0]

    def add(self, notice: Notice, now_s: float) -> None:
        """Append a transition, and keep its alert as the newest state."""
        alert = notice.transition.alert
        self._notices.append(notice)
        self._left[_pair(alert)] += 1
        self._states.pop(_pair(alert), None)
        self.put(alert, now_s)

    def put(self, alert: Alert, now_s: float) -> None:
        """Keep the newest state of an alert."""
        self._states_of(_pair(alert))[_pair(alert)] = alert
        if self.since_s is None:
            self.since_s = now_s

    def drop_oldest(self) -> None:
        """Forget the oldest transition, which is then never stored."""
        self._announced.pop(_key(self._notices[0]), None)
        self._remove_oldest()

    @property
    def is_announced(self) -> bool:
        """Everything that waits was announced from memory."""
        return len(self._announced) == len(self._notices)

    def unannounced(self, most: int) -> list[Notice]:
        """The oldest transitions that were not announced from memory."""
        return list(islice(self._notices, len(self._announced), len(self._announced) + most))

    def announced(self, notice: Notice, deliveries: list[Delivery]) -> None:
        """Remember that the notice was announced from memory with these deliveries."""
        self._announced[_key(notice)] = deliveries

    def announcement(self, notice: Notice) -> list[Delivery] | None:
        """The deliveries it was announced with from memory; None when it was not."""
        return self._announced.get(_key(notice))

    def next_batch(self, most: int) -> Batch:
        """The oldest transitions and the states that go with them, `most` of each, and as many other states.

        The transitions stay until `committed`.
        """
        notices = list(islice(self._notices, most))
        states = {_pair(notice.transition.alert): notice.transition.alert for notice in notices}
        for pair, count in Counter(_pair(notice.transition.alert) for notice in notices).items():
            if count == self._left[pair] and pair in self._later:
                states[pair] = self._later.pop(pair)
        for pair in list(islice(self._states, most)):
            states[pair] = self._states.pop(pair)
        return Batch(notices, states)

    def put_back(self, batch: Batch) -> None:
        """Return a batch that was not committed; newer states win."""
        for pair, alert in batch.states.items():
            self._states_of(pair).setdefault(pair, alert)

    def committed(self, batch: Batch, now_s: float) -> list[Notice]:
        """Remove a committed batch; return its transitions that have not been announced yet.

        Those that were dropped during the commit had been announced.
        """
        unannounced = []
        for notice in batch.notices:
            if self._notices and self._notices[0] is notice:
                self._remove_oldest()
                if self._announced.pop(_key(notice), None) is None:
                    unannounced.append(notice)
        self.since_s = now_s if self else None
        return unannounced

    def _remove_oldest(self) -> None:
        pair = _pair(self._notices.popleft().transition.alert)
        self._left[pair] -= 1
        if not self._left[pair]:
            del self._left[pair]
            if pair in self._later:
                self._states[pair] = self._later.pop(pair)

    def _states_of(self, pair: Pair) -> dict[Pair, Alert]:
        return self._later if pair in self._left else self._states


def _pair(alert: Alert) -> Pair:
    return alert.rule, alert.subject


def _key(notice: Notice) -> tuple[str, int]:
    return notice.alert_id, notice.transition.alert.sequence
