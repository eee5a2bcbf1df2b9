"""Regular expressions that people write, checked so that no line can keep the event loop busy. Pure.

`re` tries one way of matching after another, and some patterns have more ways than can ever be tried: `(a+)+b` has
2 to the power of n on n letters a. `compile_pattern` counts the ways a pattern has on a line of `LONGEST` bytes and
refuses it where they are more than `_MOST_WAYS`. It counts from the end of the pattern to its beginning:

- A repeated character that cannot begin what follows, as in `\\d+,`, ends where its run ends: one way.
- A repeated character that can, such as `.*` before anything, may end anywhere: as many ways as it may be long.
- Alternatives that begin with different characters leave one of them to try; others add up.
- A repeated group must leave no choice, neither inside nor as to whether it goes on: one way, or refused.

Each way reads the line at most once, because a match begins where the line begins: so the count bounds the work.
"""

import re
import re._parser as parser  # type: ignore[import-not-found]  # `re` has no public way to see what a pattern consists of
from collections.abc import Iterable
from functools import reduce
from typing import Any, NamedTuple
from warnings import catch_warnings, simplefilter

from hub.line.lines import LONGEST

LONGEST_PATTERN = 500
_MOST_WAYS = 2 * (LONGEST + 1)
_MOST_COPIES = 20  # of a group that is repeated a fixed number of times
_MOST_STEPS = 2_000  # of the count itself: groups within groups multiply
_NOTHING = ""  # represents the end of the examined part, in place of a character
_NO_FLAGS = "must have no flags such as (?i); write [Tt] for either letter"
_HINT = r"write what may stand there, such as [^,]* instead of .* and \d+(?:\.\d+)? instead of \d+\.?\d*"


class _Rest(NamedTuple):
    """What follows a place in a pattern: the characters it can begin with, and in how many ways it can match."""

    first: frozenset[str]
    ways: int


def compile_pattern(text: str) -> re.Pattern[str]:
    """The pattern, to be used with `match`. Raises ValueError, its text says what to write instead."""
    if len(text) > LONGEST_PATTERN:
        raise ValueError(f"must have at most {LONGEST_PATTERN} characters")
    try:
        with catch_warnings():
            simplefilter("error", FutureWarning)
            pattern = re.compile(text, re.ASCII)
            tree = parser.parse(text, re.ASCII)
        ways = _Ways(text).before(tree, _Rest(frozenset(), 1)).ways
    except (re.error, FutureWarning, OverflowError) as error:
        raise ValueError(f"is no regular expression: {error}") from None
    except RecursionError:
        raise ValueError("has too many groups within groups") from None
    if pattern.flags != re.ASCII:
        raise ValueError(_NO_FLAGS)
    if ways > _MOST_WAYS:
        raise ValueError(f"could match in too many ways, and take too long on some line; {_HINT}")
    return pattern


class _Ways:
    """Counts for one pattern. Its alphabet has a character at least of each kind that the pattern distinguishes."""

    def __init__(self, text: str) -> None:
        self._alphabet = frozenset(map(chr, range(256))) | frozenset(text) | {"\U0010fffd"}
        self._categories = {
            name: frozenset(filter(re.compile(letter, re.ASCII).match, self._alphabet))
            for name, letter in _CATEGORIES
        }
        self._steps = 0

    def before(self, items: Iterable[Any], rest: _Rest) -> _Rest:
        """`items` and what follows them."""
        return reduce(self._before_item, reversed(list(items)), rest)

    def _before_item(self, rest: _Rest, item: Any) -> _Rest:
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise ValueError("has too many groups within repeated groups")
        operation, value = item
        match str(operation):
            case "LITERAL" | "NOT_LITERAL" | "ANY" | "IN":
                return _Rest(self._characters(item), rest.ways)
            case "AT" if str(value) in ("AT_END", "AT_END_STRING"):
                return _Rest(frozenset(), rest.ways)  # no character follows, but for a line feed that `$` lets pass
            case "AT":
                return rest
            case "SUBPATTERN":
                _, flags, removed, body = value
                if flags or removed:
                    raise ValueError(_NO_FLAGS)
                return self.before(body, rest)
            case "ATOMIC_GROUP":
                return self.before(value, rest)
            case "BRANCH":
                return _either(self.before(body, rest) for body in value[1])
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                least, most, body = value
                return self._before_repeat(least, most, list(body), rest)
            case _:
                raise ValueError("must have no look-ahead, look-behind or reference to a group")

    def _before_repeat(self, least: int, most: int, body: list[Any], rest: _Rest) -> _Rest:
        if len(body) == 1 and (characters := self._characters(body[0])):
            lengths = min(most, LONGEST) - min(least, LONGEST) + 1
            ways = rest.ways * (lengths if characters & rest.first else 1)
            return _Rest(characters | rest.first if least == 0 else characters, ways)
        if most <= _MOST_COPIES:
            following = rest
            for copy in range(most):
                once = self.before(body, following)
                following = once if copy >= most - least else _either((once, rest))
            return following
        return self._before_endless(least, body, rest)

    def _before_endless(self, least: int, body: list[Any], rest: _Rest) -> _Rest:
        starts = self.before(body, _Rest(frozenset({_NOTHING}), 1)).first
        if _NOTHING in starts:
            raise ValueError(f"repeats a group that can be empty; {_HINT}")
        if starts & rest.first or self.before(body, _Rest(starts | rest.first, 1)).ways > 1:
            raise ValueError(f"repeats a group that can match in more than one way; {_HINT}")
        return _Rest(starts | rest.first if least == 0 else starts, rest.ways)

    def _characters(self, item: Any) -> frozenset[str]:
        """Of a single character's item those it matches; none of another item."""
        operation, value = item
        match str(operation):
            case "LITERAL":
                return frozenset(chr(value))
            case "NOT_LITERAL":
                return self._alphabet - {chr(value)}
            case "ANY":
                return self._alphabet - {"\n"}
            case "IN":
                return self._class(value)
        return frozenset()

    def _class(self, parts: list[Any]) -> frozenset[str]:
        found: set[str] = set()
        is_negated = False
        for operation, value in parts:
            match str(operation):
                case "NEGATE":
                    is_negated = True
                case "LITERAL":
                    found.add(chr(value))
                case "RANGE":
                    found.update(c for c in self._alphabet if value[0] <= ord(c) <= value[1])
                case _:
                    found |= self._categories[str(value)]
        return self._alphabet - found if is_negated else frozenset(found)


def _either(choices: Iterable[_Rest]) -> _Rest:
    """One of these follows: where their first characters differ, a line leaves only one of them to try."""
    first: frozenset[str] = frozenset()
    ways = 0
    for choice in choices:
        ways = ways + choice.ways if first & choice.first else max(ways, choice.ways)
        first |= choice.first
    return _Rest(first, ways)


_CATEGORIES = tuple(
    (f"CATEGORY_{negation}{name}", letter.upper() if negation else letter)
    for negation in ("", "NOT_")
    for name, letter in (("DIGIT", r"\d"), ("SPACE", r"\s"), ("WORD", r"\w"))
)
