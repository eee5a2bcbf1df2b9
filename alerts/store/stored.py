"""Encodes alerts as JSON and decodes them without loss; timers are stored in epoch seconds."""

import json
from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from math import isfinite
from typing import Any

from alerts.model.alert import Alert, State
from alerts.model.sample import Value, WindowBasis

_NAMES = tuple(field.name for field in fields(Alert))
_WALL = ("started_at", "cleared_at", "acknowledged_at")
_STEADY = tuple(name for name in _NAMES if name.endswith("_s"))


def encode_alert(alert: Alert, offset_s: float) -> str:
    """JSON of every field; steady times become epoch seconds by adding `offset_s` (see `wall_offset_s`)."""
    document = {name: getattr(alert, name) for name in _NAMES}
    for name in _WALL:
        if document[name] is not None:
            document[name] = document[name].isoformat()
    for name in _STEADY:
        document[name] = _shift(document[name], offset_s)
    return json.dumps(document)


def decode_alert(text: str, offset_s: float) -> Alert:
    """The alert again, its timers on the steady clock of this process. Fields of other versions are left out."""
    stored = json.loads(text)
    document = {name: stored[name] for name in _NAMES if name in stored}
    for name in _WALL:
        if document.get(name) is not None:
            document[name] = datetime.fromisoformat(document[name])
    for name in _STEADY:
        if name in document:
            document[name] = _shift(document[name], -offset_s)
    if document.get("window") is not None:
        samples, coverage, quality = document["window"]
        document["window"] = WindowBasis(samples, coverage, tuple(quality))
    document["state"] = State(document["state"])
    return Alert(**document)


def _shift(times: Any, by_s: float) -> Any:
    if isinstance(times, list | tuple):
        return tuple(_shift(time, by_s) for time in times)
    return None if times is None else times + by_s


def encode_value(value: Value) -> str:
    """A value as JSON."""
    return repr(value) if type(value) is float and isfinite(value) else json.dumps(value)


def decode_value(text: str) -> Value:
    """A value of JSON, with the type it had."""
    value: Value = json.loads(text)
    return value


def encode_labels(labels: Mapping[str, str]) -> str:
    """Labels as a JSON object."""
    return json.dumps(dict(labels), ensure_ascii=False)


def decode_labels(text: str) -> dict[str, str]:
    """Labels of a JSON object."""
    return {str(key): str(value) for key, value in json.loads(text).items()}
