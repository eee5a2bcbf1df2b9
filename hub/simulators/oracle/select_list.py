"""What a canned server reads in a SQL text: bind names, the select list, tables, the column of an IN list."""

import re
from dataclasses import dataclass

_SKIPPED = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'", re.DOTALL)
_BIND = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"[^\"]*\"|:(\"[^\"]+\"|\w+)", re.DOTALL)
_TABLE = re.compile(r"\b(?:FROM|JOIN)\s+((?:\w+\.)?\w+)", re.IGNORECASE)
_ALIAS = re.compile(r"^(?P<what>.*?)(?:\s+AS\s+|\s+)(?P<alias>\"[^\"]+\"|\w+)$", re.DOTALL | re.IGNORECASE)
_NAME = re.compile(r"^(?:\w+\.)?(\"[^\"]+\"|\w+)$")


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of a select list. `column`: the plain column it names, or None for an expression."""

    column: str | None
    name: str
    text: str


def bind_names(sql: str) -> tuple[str, ...]:
    """Names of the binds in order of occurrence; a name used twice is there twice."""
    return tuple(
        found.strip('"') if found.startswith('"') else found.upper() for found in _BIND.findall(sql) if found
    )


def plain(sql: str) -> str:
    """The text without comments and literals."""
    return _SKIPPED.sub(" ", sql)


def tables(sql: str) -> tuple[str, ...]:
    """Names behind FROM and JOIN, without their schema, in order of appearance."""
    return tuple(name.rpartition(".")[2].upper() for name in _TABLE.findall(plain(sql)))


def filter_column(sql: str) -> str | None:
    """The column in front of the first IN list, LIKE or equality with a bind."""
    found = re.search(r"(?:\w+\.)?(\w+)\s*(?:\bIN\s*\(\s*:|\bLIKE\b|=\s*:)", plain(sql), re.IGNORECASE)
    return found.group(1).upper() if found else None


def _outside(text: str, separator: str) -> list[tuple[int, int]]:
    """Where the separator stands outside parentheses and quotes."""
    spots, depth = [], 0
    pattern = re.compile(rf"[()]|\"[^\"]*\"|{separator}", re.IGNORECASE)
    for found in pattern.finditer(text):
        if found.group() == "(":
            depth += 1
        elif found.group() == ")":
            depth -= 1
        elif depth == 0 and not found.group().startswith('"'):
            spots.append(found.span())
    return spots


def select_list(sql: str) -> list[Item]:
    """The entries of the outermost select list, `*` as an item of that name; empty if this is no query."""
    text = plain(sql)
    selects = _outside(text, r"\bSELECT\b")
    if not selects:
        return []
    start = selects[-1][1] if text.lstrip()[:4].upper() == "WITH" else selects[0][1]
    froms = [at for at, _ in _outside(text, r"\bFROM\b") if at > start]
    chosen = re.sub(
        r"^\s*(?:DISTINCT|UNIQUE|ALL)\s", "", text[start : froms[0] if froms else None], flags=re.IGNORECASE
    )
    items, at = [], 0
    for begin, end in [*_outside(chosen, ","), (len(chosen), len(chosen))]:
        items.append(_item(chosen[at:begin].strip()))
        at = end
    return items


def _item(text: str) -> Item:
    if text == "*" or text.endswith(".*"):
        return Item("*", "*", text)
    if name := _NAME.match(text):
        return Item(_case(name.group(1)), _case(name.group(1)), text)
    aliased = _ALIAS.match(text)
    if aliased is None:
        return Item(None, text.upper(), text)
    what = _NAME.match(aliased["what"].strip())
    return Item(_case(what.group(1)) if what else None, _case(aliased["alias"]), text)


def _case(name: str) -> str:
    return name[1:-1] if name.startswith('"') else name.upper()
