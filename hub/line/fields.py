"""Reads the quantities of a line, by a pattern with named groups or by columns. Pure."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from hub.line.pattern import compile_pattern

Values = Mapping[str, float | None]
"""By the name of the quantity; None where the line has no number for it."""
Form = Callable[[str], Values | None]
"""Reads the values of a line; None where it is another kind of line."""
DecimalMark = Literal[".", ","]

SKIPPED = "_"
"""Stands for a column that holds no quantity."""
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_MORE = re.compile(r"\d|[eE][+-]?\d", re.ASCII)  # behind a number: it goes on
_FRACTION = re.compile(r"[.,]\d", re.ASCII)
_LARGEST = 1e30  # more is a broken line; sums and squares of less stay within a float


def by_pattern(pattern: str, decimal: DecimalMark = ".") -> Form:
    """Lines that begin with what `pattern` describes; its named groups are the quantities. Raises ValueError.

    Where the pattern ends within a number, as `[\\d.]+` does in `21,5` and in `1e5`, its value is None.
    """
    match = compile_pattern(pattern).match

    def values(line: str) -> Values | None:
        found = match(line)
        if found is None:
            return None
        end = found.end()
        return {
            name: None if found.end(name) == end and _is_cut(text, line, end) else number(text, decimal)
            for name, text in found.groupdict().items()
        }

    return values


def _is_cut(text: str | None, line: str, end: int) -> bool:
    """Whether a number that ends at `end` goes on in the line."""
    if not text or not text[-1].isdigit():
        return False
    has_fraction = "." in text or "," in text
    return bool(_MORE.match(line, end) or (not has_fraction and _FRACTION.match(line, end)))


def by_columns(columns: Sequence[str], separator: str, decimal: DecimalMark = ".") -> Form:
    """Lines of exactly these columns. A blank as `separator` is any number of them."""

    def values(line: str) -> Values | None:
        fields = line.split() if separator == " " else line.split(separator)
        if len(fields) != len(columns):
            return None
        pairs = zip(columns, fields, strict=True)
        return {name: number(field.strip(' "'), decimal) for name, field in pairs if name != SKIPPED}

    return values


def number(text: str | None, decimal: DecimalMark = ".") -> float | None:
    """The finite number that is written there; None for anything else, and beyond 1e30."""
    if text is None:
        return None
    text = text.strip()
    if decimal == ",":
        text = text.translate({ord("."): ",", ord(","): "."})
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if abs(value) <= _LARGEST else None
