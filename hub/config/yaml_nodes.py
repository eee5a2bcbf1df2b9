"""Parses YAML into a tree of nodes with positions; refuses tags, deep nesting, and files that become huge."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from hub.config.problem import ConfigError, Position, Problem

MAX_BYTES = 4 * 2**20
MAX_DEPTH = 32
MAX_ENTRIES = 10_000
MAX_VALUES = 200_000
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Scalar:
    """A text as written; `plain` without quotes, so that it may be a number."""

    position: Position
    text: str
    plain: bool
    size: int = 1
    height: int = 0


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list. `size` and `height` count values and levels with all aliases expanded."""

    position: Position
    items: tuple["Node", ...]
    size: int
    height: int


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys and values in the order they were written, duplicates included."""

    position: Position
    entries: tuple[tuple["Node", "Node"], ...]
    size: int
    height: int


Node = Scalar | Sequence | Mapping


def parse_nodes(text: bytes, file: str) -> Node | None:
    """The one document in the text; None when it is empty. Raises ConfigError for invalid YAML."""
    if len(text) > MAX_BYTES:
        raise _error(Position(file, 1, 1), f"is larger than {MAX_BYTES // 2**20} MB")
    try:
        decoded = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise _error(Position(file, line, 1), "is not UTF-8 text") from None
    if unprintable := _UNPRINTABLE.search(decoded):
        before = decoded[: unprintable.start()]
        position = Position(file, before.count("\n") + 1, len(before) - before.rfind("\n"))
        raise _error(position, f"the character #x{ord(unprintable[0]):02x} is not allowed")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml is ten times as fast, but often missing
    try:
        return _Composer(yaml.parse(decoded, Loader=loader), file).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        position = Position(file, mark.line + 1, mark.column + 1) if mark else Position(file, 1, 1)
        if mark and (tab := _tab_in_indentation(decoded.split("\n")[mark.line : mark.line + 1])):
            message = f"line {position.line} uses a tab; YAML indents with spaces"
            raise _error(Position(file, position.line, tab), message) from None
        message = ", ".join(part for part in (error.context, error.problem) if part)
        if "unknown escape character" in message:
            message += "; in single quotes, '…', a backslash stands for itself"
        raise _error(position, f"is not YAML: {message}") from None


class _Composer:
    """Builds nodes from the events of a parser."""

    def __init__(self, events: Iterator[yaml.Event], file: str) -> None:
        self._events = events
        self._file = file
        self._anchors: dict[str, Node] = {}
        self._values = 0

    def document(self) -> Node | None:
        root = None
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    raise _error(self._position(event), "only one YAML document is allowed in a file")
                root = self._node(next(self._events), 0)
        return root

    def _node(self, event: yaml.Event, depth: int) -> Node:
        position = self._position(event)
        self._values += 1
        if self._values > MAX_VALUES:  # checked while parsing, to limit memory and time
            raise _error(
                position, f"the file has more than {MAX_VALUES:,} values up to here; split it with include"
            )
        if depth > MAX_DEPTH:
            raise _error(position, f"is nested deeper than {MAX_DEPTH} levels")
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise _error(position, f"no anchor &{event.anchor} comes before *{event.anchor}")
            return self._anchors[event.anchor]
        if getattr(event, "tag", None) not in (None, "!"):
            raise _error(position, "tags (!…) are not supported; write the value alone")
        if isinstance(event, yaml.ScalarEvent):
            return self._anchored(event, Scalar(position, event.value, plain=event.implicit[0]))
        end = yaml.SequenceEndEvent if isinstance(event, yaml.SequenceStartEvent) else yaml.MappingEndEvent
        most = MAX_ENTRIES * (1 if isinstance(event, yaml.SequenceStartEvent) else 2)
        parts = tuple(self._until(end, depth, position, most))
        size = 1 + sum(part.size for part in parts)
        height = 1 + max((part.height for part in parts), default=0)
        if size > MAX_VALUES or height > MAX_DEPTH:
            raise _error(position, "unfolds to too many or too deeply nested values; use fewer aliases")
        if isinstance(event, yaml.SequenceStartEvent):
            return self._anchored(event, Sequence(position, parts, size, height))
        entries = tuple(zip(parts[::2], parts[1::2], strict=True))
        return self._anchored(event, Mapping(position, entries, size, height))

    def _anchored(self, event: yaml.Event, node: Node) -> Node:
        anchor = getattr(event, "anchor", None)
        if anchor is not None:
            self._anchors[anchor] = node
        return node

    def _until(self, end: type[yaml.Event], depth: int, start: Position, most: int) -> Iterator[Node]:
        while not isinstance(event := next(self._events), end):
            if most == 0:
                raise _error(start, f"has more than {MAX_ENTRIES:,} entries")
            most -= 1
            yield self._node(event, depth + 1)

    def _position(self, event: yaml.Event) -> Position:
        mark = event.start_mark
        return Position(self._file, mark.line + 1, mark.column + 1) if mark else Position(self._file, 1, 1)


def _tab_in_indentation(lines: list[str]) -> int | None:
    """The column of a tab in the indentation of a line; None without one."""
    match = re.match(r"[ -]*\t", lines[0]) if lines else None
    return None if match is None else match.end()


def _error(position: Position, message: str) -> ConfigError:
    return ConfigError([Problem(position, "", message)])
