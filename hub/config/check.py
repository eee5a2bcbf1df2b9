"""Checks a configuration file for `hub check`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hub.config.file import load_config
from hub.config.models import Config
from hub.config.problem import ConfigError, Problem
from hub.fields.spelling import counted


@dataclass(frozen=True, slots=True)
class Checked:
    """The problems, or a summary such as `3 units, 2 rules, 1 receiver, no feeds`; warnings do not fail it."""

    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    summary: str | None = None

    @property
    def exit_code(self) -> int:
        """0 when the file is valid, else 2."""
        return 2 if self.problems else 0


def check(path: Path, environ: Mapping[str, str] | None = None) -> Checked:
    """Load the file as `hub run` would."""
    try:
        loaded = load_config(path, environ)
    except ConfigError as error:
        return Checked(problems=error.problems)
    return Checked(warnings=loaded.warnings, summary=_summary(loaded.config))


def _summary(config: Config) -> str:
    alerts = config.alerts
    counts = (
        (len(config.units), "unit"),
        (len(alerts.rules), "rule"),
        (len(alerts.receivers), "receiver"),
        (len(config.feeds), "feed"),
    )
    return ", ".join(counted(count, what) if count else f"no {what}s" for count, what in counts)
