"""The configuration of a unit of kind line."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from alerts.model.duration import Duration
from alerts.model.spelling import did_you_mean
from hub.fields.scalars import Count, QuantityName, between, matching
from hub.instruments.unit_config import Frozen, UnitConfig
from hub.line.fields import SKIPPED, DecimalMark
from hub.line.lines import LONGEST
from hub.line.pattern import compile_pattern

_ESCAPE = re.compile(r"\\(x[0-9A-Fa-f]{2}|.?)", re.DOTALL)
_ESCAPES = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\"}
_MOST_QUANTITIES = 32


def parse_bytes(text: str) -> bytes:
    r"""The bytes of a text with the escapes \r \n \t \0 \\ \xHH. Raises ValueError with what to write instead."""
    found, at = b"", 0
    for escape in _ESCAPE.finditer(text):
        name = escape[1]
        if name not in _ESCAPES and len(name) != len("x00"):
            raise ValueError(rf"{escape[0]!r} is no escape; write \r, \n, \t, \0, \xHH, or \\ for a backslash")
        found += text[at : escape.start()].encode() + (_ESCAPES.get(name) or bytes.fromhex(name[1:]))
        at = escape.end()
    return found + text[at:].encode()


def _with_escapes(text: str) -> str:
    if len(parse_bytes(text)) > LONGEST:
        raise ValueError(f"must have at most {LONGEST} bytes")
    return text


def _pattern(text: str) -> str:
    if not compile_pattern(text).groupindex:
        raise ValueError(r"has no named group; write one per quantity, such as (?P<temperature>-?[\d.]+)")
    return text


Escaped = Annotated[str, Field(min_length=1), AfterValidator(_with_escapes)]
OnOneLine = matching(r"[^\x00-\x1f\x7f]{0,32}", "must be at most 32 characters on one line")


class QuantityConfig(Frozen):
    """A quantity. `name` is what people call it; `mean` how it is averaged over time, `none` for not at all."""

    unit: Annotated[str, OnOneLine] = ""
    decimals: Annotated[Count, Field(ge=0, le=9)] | None = None
    name: Annotated[str, OnOneLine] | None = None
    mean: Literal["arithmetic", "energy", "none"] = "arithmetic"


class LineConfig(UnitConfig):
    """One instrument of lines of text.

    With `ask` the hub sends it and reads the answer; without, the instrument sends by itself, and is silent for
    `push_within` seconds at most. A line ends with `end`. `pattern`, by groups of their names, or `columns`, in
    order, say where the quantities are in a line.
    """

    kind: Literal["line"]
    ask: Escaped | None = None
    end: Escaped = r"\n"
    push_within: Annotated[Duration, between("100ms", "1d")] = 30.0
    pattern: Annotated[str, AfterValidator(_pattern)] | None = None
    columns: Annotated[tuple[str, ...], Field(min_length=1, max_length=1000)] | None = None
    separator: Annotated[str, Field(min_length=1, max_length=8)] = ","
    decimal: DecimalMark = "."
    quantities: Annotated[dict[QuantityName, QuantityConfig], Field(min_length=1, max_length=_MOST_QUANTITIES)]

    @field_validator("push_within")
    @classmethod
    def _only_where_pushed(cls, value: float, info: ValidationInfo) -> float:
        if info.data.get("ask") is not None:
            raise ValueError("is for an instrument that sends by itself; with `ask` write timeouts: {reply: …}")
        return value

    @field_validator("columns")
    @classmethod
    def _columns(cls, columns: tuple[str, ...] | None, info: ValidationInfo) -> tuple[str, ...] | None:
        if columns is None:
            return None
        if info.data.get("pattern") is not None:
            raise ValueError("there is a pattern too: write one of them, `pattern` or `columns`")
        named = [name for name in columns if name != SKIPPED]
        for name in named:
            if named.count(name) > 1:
                raise ValueError(f"{name!r} is named twice; write {SKIPPED} for a column that holds no quantity")
        return columns

    @field_validator("separator")
    @classmethod
    def _only_with_columns(cls, separator: str, info: ValidationInfo) -> str:
        if info.data.get("pattern") is not None:
            raise ValueError("is for `columns`; a pattern says itself what stands between its groups")
        return separator

    @field_validator("decimal")
    @classmethod
    def _no_separator(cls, decimal: DecimalMark, info: ValidationInfo) -> DecimalMark:
        if info.data.get("columns") is not None and decimal == info.data.get("separator"):
            raise ValueError(f"{decimal!r} separates the columns; write another `separator`, such as ';'")
        return decimal

    @field_validator("quantities")
    @classmethod
    def _quantities(cls, quantities: dict[str, QuantityConfig], info: ValidationInfo) -> dict[str, QuantityConfig]:
        if not {"pattern", "columns"} <= info.data.keys():
            return quantities  # what is wrong there has been said
        pattern, columns = info.data["pattern"], info.data["columns"]
        if pattern is not None:
            names, what = list(re.compile(pattern).groupindex), "group of the pattern"
        elif columns is not None:
            names, what = [name for name in columns if name != SKIPPED], "column"
        else:
            raise ValueError("need a `pattern` with a group for each, or `columns` that names each")
        for name in names:
            if name not in quantities:
                hint = did_you_mean(name, quantities) or f"; add {name}: {{unit: …}}"
                raise ValueError(f"have no {name!r}, which is a {what}{hint}")
        for name in quantities:
            if name not in names:
                raise ValueError(f"{name!r} is no {what}{did_you_mean(name, names)}")
        return quantities

    @property
    def ask_bytes(self) -> bytes | None:
        """What is sent for each reading."""
        return None if self.ask is None else parse_bytes(self.ask)

    @property
    def end_bytes(self) -> bytes:
        """What ends a line."""
        return parse_bytes(self.end)
