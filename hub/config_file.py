"""Reads config.yaml."""

from dataclasses import dataclass
from pathlib import Path

import yaml

from hub.config import Config


@dataclass(frozen=True, slots=True)
class Loaded:
    """A valid configuration, what to tell about it, and the files it was read from."""

    config: Config
    warnings: tuple[str, ...]
    files: tuple[Path, ...]


def load_config(path: Path) -> Loaded:
    """The configuration in the file."""
    data = {"hub": {}, "database": {}} | (yaml.safe_load(path.read_text("utf-8")) or {})
    return Loaded(Config.model_validate(data, context={"folder": path.parent.absolute()}), (), (path,))
