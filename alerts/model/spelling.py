"""Suggestions for misspelt names. Pure."""

from collections.abc import Iterable
from difflib import get_close_matches

_LONGEST = 256


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """`; did you mean 'port'?` for the closest of the choices whatever its case, empty when none is close."""
    if len(word) > _LONGEST:
        return ""
    by_lower = {choice.lower(): choice for choice in choices}
    close = get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return f"; did you mean {by_lower[close[0]]!r}?" if close else ""
