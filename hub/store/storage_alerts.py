"""Which alerts tell of a database that fails: one for each cause, however many parts of the hub feel it."""

from collections.abc import Callable, Iterable, Mapping

from alerts.service import NOT_STORED, AlertService
from hub.database.database import Database
from hub.store.recorder import Recorder

_SAME_OUTAGE_S = 10.0
_SELF_TESTING = frozenset({"readings", "transitions", "file"})
"""Parts that are tried again and again, so that what is said of them is never of an outage that is over."""


def broken_parts(database: Database, recorder: Recorder, alerts: AlertService) -> dict[str, str]:
    """What the database does not do now, with the reason: what is known, without asking it."""
    broken = dict(database.outcomes.failing)
    if recorder.trouble is not None:
        broken["readings"] = recorder.trouble
    if alerts.is_storage_failing:
        broken.setdefault("transitions", database.outcomes.last_reason("transitions") or NOT_STORED)
    return broken


class StorageAlerts:
    """Keeps one alert for each cause, under the part that felt it first; it ends with the last part that feels it.

    A part feels the cause of another when it fails for the same reason, begins to within 10 s, or while readings
    cannot be stored, which is an outage of the whole database. What is noticed of an outage only when that is over
    is told if it is still so 10 s later. `tell(part, reason)` hears of alerts, with None when one ends.
    """

    def __init__(self, tell: Callable[[str, str | None], None]) -> None:
        self._tell = tell
        self._under: dict[str, str] = {}  # failing part -> the part whose alert tells of it
        self._reasons: dict[str, str] = {}  # of the parts with an alert, as told
        self._began_s: dict[str, float] = {}  # of these alerts
        self._ended_s = -_SAME_OUTAGE_S  # when one ended last

    def clear(self, parts: Iterable[str]) -> None:
        """End what an earlier process has told of these parts."""
        for part in parts:
            self._tell(part, None)

    def update(self, failing: Mapping[str, str], now_s: float) -> None:
        """Tell what has changed. `failing` has the reason of each part that fails now."""
        for part in [part for part in self._under if part not in failing]:
            del self._under[part]
        for part in sorted(failing, key=lambda part: part not in _SELF_TESTING):
            if part not in self._under and (owner := self._owner(part, failing, now_s)) is not None:
                self._under[part] = owner
                self._began_s.setdefault(owner, now_s)
        for owner in {*self._began_s}:
            self._keep(owner, failing, now_s)

    def _owner(self, part: str, failing: Mapping[str, str], now_s: float) -> str | None:
        for known, owner in self._under.items():
            if (
                known == "readings"
                or failing[known] == failing[part]
                or now_s - self._began_s[owner] <= _SAME_OUTAGE_S
            ):
                return owner
        is_over = part not in _SELF_TESTING and now_s - self._ended_s <= _SAME_OUTAGE_S
        return None if is_over else part

    def _keep(self, owner: str, failing: Mapping[str, str], now_s: float) -> None:
        felt = [part for part, of in self._under.items() if of == owner]
        if not felt:
            del self._began_s[owner], self._reasons[owner]
            self._ended_s = now_s
            self._tell(owner, None)
        elif self._reasons.get(owner) != (reason := failing[owner if owner in felt else felt[0]]):
            self._reasons[owner] = reason
            self._tell(owner, reason)
