"""Loads config.yaml and the files it includes: returns a valid configuration, or raises every problem at once."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from glob import glob, has_magic
from os.path import isdir
from pathlib import Path

from pydantic import ValidationError

from hub.config.models import Config
from hub.config.problem import ConfigError, Position, Problem
from hub.config.references import reference_problems, reference_warnings
from hub.config.wording import problems_of, written_as_text
from hub.config.yaml_nodes import MAX_BYTES, Node, Scalar, Sequence, parse_nodes
from hub.config.yaml_nodes import Mapping as MappingNode
from hub.config.yaml_source import Source, Spot
from hub.runtime.regular_file import Stamp, read_regular

_SECTIONS = {"units": "[]", "feeds": "[]", "include": "[]", "hub": "{}", "database": "{}", "alerts": "{}"}
_UNSUPPORTED = ("flows", "silences")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A valid configuration, its warnings, and the files it was read from.

    `files` are absolute, with the patterns of includes, so that new files are noticed. `stamps` are those of the
    files when they were read.
    """

    config: Config
    warnings: tuple[Problem, ...]
    files: tuple[Path, ...]
    stamps: Mapping[str, Stamp]


def load_config(path: Path, environ: Mapping[str, str] | None = None) -> Loaded:
    """The configuration in a file, with variables from `environ`, by default the process'. Raises ConfigError."""
    source = Source(path.absolute().parent, os.environ if environ is None else environ)
    try:
        return _load(source, path)
    except ConfigError as error:
        error.files, error.stamps = tuple(dict.fromkeys(source.files)), source.stamps
        raise


def _load(source: Source, path: Path) -> Loaded:
    _read(source, path)
    problems = list(reference_problems(source))
    context = {"folder": source.folder}
    config = None
    try:
        config = Config.model_validate(source.data, context=context)
    except ValidationError as error:
        if written_as_text(error, source):
            try:
                config = Config.model_validate(source.data, context=context)
            except ValidationError as second:
                problems += problems_of(second, source)
        else:
            problems += problems_of(error, source)
    problems = [*source.problems, *(p for p in problems if (p.position.file, p.path) not in source.unread)]
    if problems or config is None:
        raise ConfigError(problems)
    warnings = tuple(sorted(reference_warnings(source, config)))
    return Loaded(config, warnings, tuple(dict.fromkeys(source.files)), source.stamps)


def _read(source: Source, path: Path) -> None:
    node = _nodes(source, path, str(path))
    start = Position(str(path), 1, 1)
    source.spots[()] = Spot(start, start, "")
    if node is None:
        raise ConfigError([Problem(start, "", "is empty: write units, feeds or at least `hub:` with a name")])
    data = source.construct(node)
    if not isinstance(data, dict):
        raise ConfigError([Problem(start, "", "must be a mapping with the keys hub, database, units, alerts, …")])
    for key, value in data.items():
        if value is None and key in _SECTIONS:
            source.problems.append(source.problem((key,), f"is empty; write {_SECTIONS[key]}, or remove the key"))
        elif value is None and key in Config.model_fields:
            source.problems.append(source.problem((key,), "is empty; write what belongs there, or remove the key"))
    source.data = {key: value for key, value in data.items() if value is not None or key not in Config.model_fields}
    _include(source, path)
    _refuse_unsupported_keys(source)


def _nodes(source: Source, path: Path, shown: str) -> Node | None:
    source.files.append(path.absolute())
    try:
        content, source.stamps[str(path.absolute())] = read_regular(path, MAX_BYTES)
        return parse_nodes(content, shown)
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        raise ConfigError([Problem(Position(shown, 1, 1), "", message)]) from None


def _include(source: Source, path: Path) -> None:
    """Append the units of the included files to `units`; problems show their index in their own file."""
    assert isinstance(source.data, dict)
    patterns = source.data.get("include")
    units = source.data.get("units", [])
    if not isinstance(patterns, list) or not isinstance(units, list):
        return
    included = {path.absolute()}
    for i in range(len(patterns)):
        pattern = source.spots[("include", i)].text  # as written, even if it looks like a number
        if pattern is None:
            continue
        files = [Path(name) for name in sorted(glob(str(source.folder / pattern), recursive=True))]
        if not files and not has_magic(pattern):
            source.problems.append(source.problem(("include", i), f"there is no file {source.folder / pattern}"))
        source.files.append(source.folder / pattern)
        for file in files:
            if file in included or (has_magic(pattern) and isdir(file)):
                continue
            included.add(file)
            shown = (
                str(path.parent / file.relative_to(source.folder))
                if file.is_relative_to(source.folder)
                else str(file)
            )
            try:
                _include_units(source, file, shown, units)
            except ConfigError as error:
                source.problems += error.problems
    if units:
        source.data["units"] = units


def _include_units(source: Source, file: Path, shown: str, units: list[object]) -> None:
    node = _nodes(source, file, shown)
    prefix: tuple[str, ...] = ()
    if isinstance(node, MappingNode) and len(node.entries) == 1:
        key, value = node.entries[0]
        if isinstance(key, Scalar) and key.text == "units":
            node, prefix = value, ("units",)
    if node is None:
        return
    if not isinstance(node, Sequence):
        raise ConfigError([Problem(node.position, "", "an included file has a list of units and nothing else")])
    for i, item in enumerate(node.items):
        units.append(source.construct(item, ("units", len(units)), (*prefix, i)))


def _refuse_unsupported_keys(source: Source) -> None:
    assert isinstance(source.data, dict)
    alerts = source.data.get("alerts")
    if not isinstance(alerts, dict):
        return
    for key in _UNSUPPORTED:
        if alerts.pop(key, None):
            source.problems.append(source.problem(("alerts", key), "is not available in this version", at_key=True))
