"""Suggestions for the misspelt names of a whole file, and counts in words."""

from collections.abc import Collection

from alerts.model.spelling import did_you_mean

_MOST_COMPARED = 20_000


def counted(count: int, what: str) -> str:
    """`1 unit`, `2 units`."""
    return f"{count} {what}{'' if count == 1 else 's'}"


class Suggestions:
    """Suggestions for one file, with a limit on the comparisons, because every line may have a mistake.

    A repeated mistake is answered from a cache. Beyond the limit there are no further suggestions.
    """

    def __init__(self) -> None:
        self._left = _MOST_COMPARED
        self._known: dict[tuple[str, frozenset[str]], str] = {}

    def did_you_mean(self, word: str, choices: Collection[str]) -> str:
        """Like the function `did_you_mean`; empty beyond the limit."""
        if len(choices) > _MOST_COMPARED:
            return ""
        key = (word, frozenset(choices))
        if key not in self._known:
            if self._left <= 0:
                return ""
            self._left -= len(choices)
            self._known[key] = did_you_mean(word, choices)
        return self._known[key]
