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
_LARGEST = 1e30  # more is a broken line; sums and squares of less stay within a float


def by_pattern(pattern: str, decimal: DecimalMark = ".") -> Form:
    """Lines that begin with what `pattern` describes; its named groups are the quantities. Raises ValueError."""
    match = compile_pattern(pattern).match

    def values(line: str) -> Values | None:
        found = match(line)
        return None if found is None else {n: number(text, decimal) for n, text in found.groupdict().items()}

    return values


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
