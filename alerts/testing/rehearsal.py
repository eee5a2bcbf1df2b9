"""The document of a rule test: rules, series, and the transitions expected.

The document, in YAML (`docs/examples/rules-test.yaml` is one):

    rules: [...]                   # as in config.yaml; or  config: ../config.yaml  for the rules of that file
    timezone: Europe/London        # of schedules that name none; default UTC
    start: 2026-03-18T22:00:00Z    # default 2026-01-01T00:00:00Z
    until: 5m                      # when time ends; default the end of the series
    subjects:                      # only where a rule matches labels or the status of a machine
      gate-a: {labels: {site: dockside}}
      equipment/fab/M1: {status: E10, status_category: DOWN}
    series:
      - {subject: gate-a, metric: lp, from: 0s, every: 1s, values: [60, 70 x 30, missing x 3, over, 60 x 12]}
    expect:
      - {at: 31s, type: onset, rule: night-limit, subject: gate-a, severity: critical}

A value is a number, a text, true or false, or a reason for none: missing, over, under, frozen, unknown_run,
run_ended. `70 x 30` is thirty of them. An expected transition is compared in the fields it has; `type` is onset,
clear, level or no_data. Time passes (a tick) every second.
"""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Self

import yaml
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator, model_validator

from alerts.config.rule import Rule, Severity
from alerts.model.duration import Duration
from alerts.model.metrics import METRICS
from alerts.model.spelling import did_you_mean
from alerts.model.timezone import known_timezone


class RehearsalError(Exception):
    """The document cannot be played; the text says what to change."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class SubjectOf(_Strict):
    """The attributes that rules match: labels, and the status of a machine."""

    labels: dict[str, str] = {}
    status: str = ""
    status_category: str = ""


class SeriesOf(_Strict):
    """Values of one metric of one subject, evenly spaced."""

    subject: str
    metric: str
    from_: Duration = Field(0.0, alias="from")
    every: Duration = Field(1.0, gt=0)
    values: tuple[bool | float | str, ...]


class Expected(_Strict):
    """An expected transition; only the given fields are compared."""

    at: Duration
    type: Literal["onset", "clear", "level", "no_data"]
    rule: str | None = None
    subject: str | None = None
    severity: Severity | None = None
    reason: str | None = None


class Rehearsal(_Strict):
    """The document."""

    rules: tuple[Rule, ...]
    timezone: str = "UTC"
    start: AwareDatetime = datetime(2026, 1, 1, tzinfo=UTC)
    until: Duration = 0.0
    subjects: dict[str, SubjectOf] = {}
    series: tuple[SeriesOf, ...]
    expect: tuple[Expected, ...] = ()

    @model_validator(mode="after")
    def _metrics_are_known(self) -> Self:
        known = METRICS.keys() | {series.metric for series in self.series}
        for rule in self.rules:
            if rule.metric not in known:
                hint = did_you_mean(rule.metric, known) or f"; write one of {', '.join(sorted(known))}"
                raise ValueError(f"rule {rule.name}: no series has {rule.metric!r}{hint}")
        return self

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        return known_timezone(name)


def read_rehearsal(path: Path) -> dict[str, object]:
    """The document in a file, with the rules of the configuration it names. Raises RehearsalError."""
    document = _read(path)
    config = document.pop("config", None)
    if config is not None:
        alerts = _read(path.parent / str(config)).get("alerts")
        document["rules"] = alerts.get("rules", []) if isinstance(alerts, dict) else []
    return document


class _PlainLoader(yaml.SafeLoader):
    """YAML 1.2: `22:00`, `on` and `0001` are the texts that were written."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - of the base class


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", "~nN"),
    ("int", r"[-+]?(0|[1-9]\d*)", "-+0123456789"),
    ("float", r"[-+]?(0|[1-9]\d*)?\.\d+([eE][-+]?\d+)?|[-+]?(0|[1-9]\d*)(\.\d*)?([eE][-+]?\d+)?", "-+0123456789."),
):
    _PlainLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))


def _read(path: Path) -> dict[str, object]:
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), _PlainLoader)
    except OSError as error:
        raise RehearsalError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise RehearsalError(f"{path} is not UTF-8 text") from None
    except yaml.YAMLError as error:
        raise RehearsalError(f"{path}: {error}") from None
    if not isinstance(document, dict):
        raise RehearsalError(f"{path} is not a mapping; write rules, series and expect")
    return document
