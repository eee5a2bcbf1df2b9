"""Which alerts report a failing database: one for each cause, however many parts of the hub it affects."""

from collections.abc import Callable, Iterable, Mapping

from alerts.service import NOT_STORED, AlertService
from hub.database.database import Database
from hub.store.recorder import Recorder

_SAME_OUTAGE_S = 10.0
_SELF_TESTING = frozenset({"readings", "transitions", "file"})
"""Parts that the hub tries continuously, so that a failure they report is never over already."""


def broken_parts(database: Database, recorder: Recorder, alerts: AlertService) -> dict[str, str]:
    """The parts that fail now, with the reason, as known without a query."""
    broken = dict(database.outcomes.failing)
    if recorder.failure is not None:
        broken["readings"] = recorder.failure
    if alerts.is_storage_failing:
        broken.setdefault("transitions", database.outcomes.last_reason("transitions") or NOT_STORED)
    return broken


class StorageAlerts:
    """Keeps one alert for each cause, under the part that failed first; it ends when the last affected part works.

    Two failures have one cause where their reason is the same, where they began within 10 s, or while readings
    cannot be stored, which is an outage of the whole database. A failure that a part notices only after the outage
    is reported if it lasts 10 s longer. `report(part, reason)` is called for each alert, with None when it ends.
    """

    def __init__(self, report: Callable[[str, str | None], None]) -> None:
        self._report = report
        self._under: dict[str, str] = {}  # failing part -> the part whose alert covers it
        self._reasons: dict[str, str] = {}  # of the parts with an alert, as reported
        self._began_s: dict[str, float] = {}  # of these alerts
        self._ended_s = -_SAME_OUTAGE_S  # when one ended last

    def clear(self, parts: Iterable[str]) -> None:
        """End the alerts that an earlier process raised for these parts."""
        for part in parts:
            self._report(part, None)

    def update(self, failing: Mapping[str, str], now_s: float) -> None:
        """Report what has changed. `failing` has the reason of each part that fails now."""
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
        affected = [part for part, of in self._under.items() if of == owner]
        if not affected:
            del self._began_s[owner], self._reasons[owner]
            self._ended_s = now_s
            self._report(owner, None)
        elif self._reasons.get(owner) != (reason := failing[owner if owner in affected else affected[0]]):
            self._reasons[owner] = reason
            self._report(owner, reason)
