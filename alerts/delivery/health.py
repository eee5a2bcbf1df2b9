"""Whether a receiver is in trouble that others must hear of: pure, told of every attempt."""

_AFTER_S = 600.0
_BETWEEN_S = 600.0  # lines in the log at least, for a receiver that fails every now and then


class Trouble:
    """Failing since the first failure without a success after it; worth a report after ten minutes, once."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self._since_s: float | None = None
        self._is_reported = False
        self.has_worked = False
        self._logged_s: float | None = None

    @property
    def is_failing(self) -> bool:
        """True since an attempt failed, until one gets through."""
        return self._since_s is not None

    @property
    def report_at_s(self) -> float | None:
        """When it will be worth a report; None while all is well or it has been reported."""
        return None if self._since_s is None or self._is_reported else self._since_s + _AFTER_S

    def failed(self, reason: str, now_s: float, is_final: bool = False) -> bool:
        """An attempt failed; a final failure is worth a report at once. True when it is worth a line in the log.

        It is as the first failure since a success, or ever.
        """
        self.reason, is_first = reason, self._since_s is None
        if self._since_s is None or is_final:
            self._since_s = now_s - _AFTER_S if is_final else now_s
        if not is_first or (self._logged_s is not None and now_s < self._logged_s + _BETWEEN_S):
            return False
        self._logged_s = now_s
        return True

    def worked(self) -> bool:
        """An attempt got through; True when that is news.

        It is after reported trouble, and the first time at all: an earlier process may have reported some.
        """
        is_news = self._is_reported or not self.has_worked
        self.reason, self._since_s, self._is_reported, self.has_worked = None, None, False, True
        return is_news

    def is_news(self, now_s: float) -> bool:
        """True once, when the time for a report has come."""
        due_s = self.report_at_s
        self._is_reported |= (is_due := due_s is not None and now_s >= due_s)
        return is_due
