"""The problems of a configuration with their positions: one line each, all of them at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from hub.fields.spelling import counted
from hub.runtime.regular_file import Stamp

_SHOWN = 100


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A position in a file; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One problem. `path` is such as `units[0].port`, and empty for the whole file."""

    position: Position
    path: str
    message: str

    @property
    def where(self) -> str:
        """The position in the file, and the path."""
        return f"{self.position}: {self.path}" if self.path else str(self.position)

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


def lines_of(problems: Sequence[Problem]) -> list[str]:
    """A line for each of the first hundred problems, and one that counts the rest."""
    rest = len(problems) - _SHOWN
    lines = [str(problem) for problem in problems[:_SHOWN]]
    return [*lines, f"and {counted(rest, 'more problem')}"] if rest > 0 else lines


class ConfigError(Exception):
    """The configuration is invalid; `str()` has one line per problem.

    `files` are those that were read, `stamps` their stamps.
    """

    files: tuple[Path, ...] = ()
    stamps: Mapping[str, Stamp] = MappingProxyType({})

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(lines_of(self.problems)))
