"""Turns YAML nodes into plain data: YAML 1.2 scalars, with variables and files replaced and positions recorded."""

import re
from collections.abc import Mapping as Environ
from dataclasses import dataclass, field
from pathlib import Path

from hub.config.problem import Position, Problem
from hub.config.yaml_nodes import Mapping, Node, Scalar, Sequence
from hub.fields.spelling import Suggestions
from hub.runtime.regular_file import Stamp, read_regular

Loc = tuple[str | int, ...]

MAX_SECRET_BYTES = 64 * 1024

_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,18})")
_FLOAT = re.compile(r"-?(0|[1-9][0-9]{0,18})(\.[0-9]{1,30})?([eE][-+]?[0-9]{1,2})?")
_VARIABLE = re.compile(r"\$\$\{|\$\{([^}]*)\}?")
_NAME_AND_DEFAULT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)
_NEVER_A_FILE = ("labels", "match", "headers")  # mappings of free names, where a key may be called `file`
_SECRETS = ("secret", "token", "password", "url", "dsn")


def resolve_scalar(text: str) -> str | int | float | bool | None:
    """The value of an unquoted scalar: null, true, false, a decimal number; anything else is text."""
    if text in ("", "~", "null"):
        return None
    if text in ("true", "false"):
        return text == "true"
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def without_line_end(text: str) -> str:
    """A value without the line end that `echo` and editors append."""
    return text.rstrip("\r\n")


def shown_path(loc: Loc) -> str:
    """`units[0].port` for ("units", 0, "port")."""
    path = ""
    for part in loc:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


@dataclass(frozen=True, slots=True)
class Spot:
    """The positions of a value and its key, the path to show, and the text as written (None for non-scalars)."""

    position: Position
    key: Position
    path: str
    text: str | None = None
    filled_in: bool = False  # from the environment or a file: must not be shown


@dataclass(slots=True)
class Source:
    """Plain data with a spot for every loc, the problems so far, and the files that were read.

    `stamps` are those of the files, by name. `unread` are the files and paths of values that could not be read;
    further problems there are only consequences.
    """

    folder: Path
    environ: Environ[str, str]
    data: object = None
    spots: dict[Loc, Spot] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    stamps: dict[str, Stamp] = field(default_factory=dict)
    unread: set[tuple[str, str]] = field(default_factory=set)
    suggestions: Suggestions = field(default_factory=Suggestions)

    def construct(self, node: Node, loc: Loc = (), shown: Loc | None = None, key: Position | None = None) -> object:
        """The data of a node, recorded under `loc` and shown to the user as `shown`."""
        shown = loc if shown is None else shown
        self.spots[loc] = Spot(node.position, key or node.position, shown_path(shown))
        if isinstance(node, Scalar):
            return self._scalar(node, loc)
        if isinstance(node, Sequence):
            return [self.construct(item, (*loc, i), (*shown, i)) for i, item in enumerate(node.items)]
        entries = self._entries(node, loc)
        if list(entries) == ["file"] and (not loc or loc[-1] not in _NEVER_A_FILE):
            return self._file(entries["file"][1], loc)
        return {
            name: self.construct(value, (*loc, name), (*shown, name), at) for name, (at, value) in entries.items()
        }

    def problem(self, loc: Loc, message: str, at_key: bool = False) -> Problem:
        """The problem at a loc, without the value if it may be a secret.

        A loc that is not in the file is reported at its nearest ancestor that is.
        """
        known = loc
        while known not in self.spots:
            known = known[:-1]
        spot = self.spots[known]
        path = shown_path((spot.path, *loc[len(known) :]) if spot.path else loc[len(known) :])
        if known == loc and spot.text and (spot.filled_in or loc[-1] in _SECRETS):
            message = message.replace(repr(spot.text), "the value")
            message = message.replace(spot.text, "…") if len(spot.text) > 3 else message
        return Problem(spot.key if at_key else spot.position, path, message)

    def _entries(self, node: Mapping, loc: Loc) -> dict[str, tuple[Position, Node]]:
        written: dict[str, tuple[Position, Node]] = {}
        merged: dict[str, tuple[Position, Node]] = {}
        for key, value in node.entries:
            if not isinstance(key, Scalar):
                self.problems.append(Problem(key.position, self.spots[loc].path, "a key must be a single word"))
            elif key.text == "<<" and key.plain:
                for part in value.items if isinstance(value, Sequence) else (value,):
                    if isinstance(part, Mapping):
                        merged = self._entries(part, loc) | merged
                    else:
                        message = "<< needs a mapping, such as *name, or a list of them"
                        self.problems.append(Problem(value.position, self.spots[loc].path, message))
            elif key.text in written:
                first = written[key.text][0]
                path = f"{self.spots[loc].path}.{key.text}".lstrip(".")
                message = f"is written twice; the first is on line {first.line}"
                self.problems.append(Problem(key.position, path, message))
            else:
                written[key.text] = (key.position, value)
        return merged | written

    def _scalar(self, node: Scalar, loc: Loc) -> object:
        text, filled_in = node.text, False
        if "${" in text:
            text, filled_in = self._fill_in(node, loc)
        spot = self.spots[loc]
        self.spots[loc] = Spot(spot.position, spot.key, spot.path, text, filled_in)
        return resolve_scalar(text) if node.plain else text

    def _fill_in(self, node: Scalar, loc: Loc) -> tuple[str, bool]:
        filled_in = False

        def replacement(match: re.Match[str]) -> str:
            nonlocal filled_in
            if match[0] == "$${":
                return "${"
            parts = _NAME_AND_DEFAULT.fullmatch(match[1]) if match[0].endswith("}") else None
            if parts is None:
                message = "write ${NAME} or ${NAME:-default} for a variable, $${ for the characters themselves"
                self._cannot_read(loc, self.spots[loc].position, message)
                return ""
            name, default = parts.groups()
            value = self.environ.get(name)
            value = None if value is None else without_line_end(value)
            if default is not None and not value:
                return str(default)
            if value is None:
                message = f"the variable {name} is not set; set it, or write ${{{name}:-default}}"
                self._cannot_read(loc, self.spots[loc].position, message)
            filled_in = True
            return value or ""

        return _VARIABLE.sub(replacement, node.text), filled_in

    def _file(self, node: Node, loc: Loc) -> object:
        spot = self.spots[loc]
        name = self._scalar(node, loc) if isinstance(node, Scalar) else None
        text = ""
        if (spot.position.file, spot.path) in self.unread:
            pass  # the name of the file is unknown, which is reported already
        elif not isinstance(name, str) or not name:
            self._cannot_read(loc, node.position, "file: needs the name of a file")
        else:
            path = self.folder / name
            self.files.append(path)
            try:
                content, self.stamps[str(path)] = read_regular(path, MAX_SECRET_BYTES)
                text = without_line_end(content.decode("utf-8"))
                if len(content) > MAX_SECRET_BYTES:
                    self._cannot_read(loc, node.position, f"{path} is too large to be a value")
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or "not UTF-8 text"
                self._cannot_read(loc, node.position, f"cannot read {path}: {reason}")
        self.spots[loc] = Spot(spot.position, spot.key, spot.path, text, filled_in=True)
        return text

    def _cannot_read(self, loc: Loc, position: Position, message: str) -> None:
        path = self.spots[loc].path
        self.unread.add((position.file, path))
        self.problems.append(Problem(position, path, message))
