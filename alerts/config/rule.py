"""The models of the alert configuration: rule, schedule, receiver, and the receivers of the hub's own alerts."""

import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from math import isfinite
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator, model_validator

from alerts.config.receiver_fields import (
    check_headers,
    check_proxy,
    check_rate,
    check_secret,
    check_timeout,
    check_url,
)
from alerts.config.trust import ClientCertificate, client_context
from alerts.delivery.formats import FORMATS as CHANNELS
from alerts.model.category import Category
from alerts.model.duration import Duration
from alerts.model.metrics import Metric, metric_of
from alerts.model.sample import Value
from alerts.model.spelling import did_you_mean
from alerts.model.timezone import known_timezone

Severity = Literal["info", "warning", "critical"]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]

SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")

_TIME_OF_DAY = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
_RECEIVER_CHECKS: Mapping[str, Callable[[Any], None]] = MappingProxyType(
    {
        "url": check_url,
        "headers": check_headers,
        "secret": check_secret,
        "rate_limit": check_rate,
        "drain": check_rate,
        "timeout": check_timeout,
        "proxy": check_proxy,
    }
)
FORMATS = tuple(CHANNELS)
if TYPE_CHECKING:
    Format = str
else:
    Format = Literal[FORMATS]
_CONDITIONS = ("above", "below", "equals", "in", "levels")
_METRIC_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Level(_Frozen):
    """One step of a `levels` condition: at this value the alert has this severity."""

    severity: Severity
    above: float


class NoData(_Frozen):
    """What to do when a subject has had no value for `after` seconds."""

    after: Duration = 60.0
    action: Literal["hold", "alarm", "clear"] = "hold"

    @field_validator("after")
    @classmethod
    def _lasts(cls, after: float) -> float:
        if after <= 0:
            raise ValueError("no data after 0 s would be always; write a duration such as 60s")
        return after


class Schedule(_Frozen):
    """When a rule holds. `to` at or before `from` runs over midnight and belongs to the day it starts on."""

    days: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    from_: str = Field("00:00", alias="from")
    to: str = "24:00"
    timezone: str | None = None  # IANA name; None is the hub's own

    @field_validator("days")
    @classmethod
    def _some_day(cls, days: tuple[Day, ...]) -> tuple[Day, ...]:
        if not days:
            raise ValueError(
                "a schedule without days never holds; name some (mon, tue, ...) or leave `days` out for all"
            )
        return days

    @field_validator("from_", "to")
    @classmethod
    def _time_of_day(cls, text: str, info: ValidationInfo) -> str:
        if _TIME_OF_DAY.fullmatch(text) or (info.field_name == "to" and text == "24:00"):
            return text
        raise ValueError(
            f'{text!r} is not a time of day; write hours and minutes with two digits each, such as "07:00"'
        )

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str | None) -> str | None:
        return None if name is None else known_timezone(name)


class EquipmentMatch(_Frozen):
    """Which machines of the equipment feeds a rule matches; globs in `id`. An empty field matches every machine."""

    category: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
    id: tuple[str, ...] = ()

    @field_validator("category")
    @classmethod
    def _known_categories(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            _check_category(name)
        return names


class Rule(_Frozen):
    """A threshold on a metric of some subjects. Durations in seconds, values in the unit of the metric.

    A metric that is not in the table of metrics is a quantity of a unit; whether any unit measures it is not known
    here.
    """

    is_of_the_hub: ClassVar[bool] = False  # the hub's own metrics are for its own rules

    name: Name
    match: dict[str, str] = {}
    units: tuple[str, ...] | None = None
    equipment: EquipmentMatch | None = None
    metric: str
    above: float | None = None
    below: float | None = None
    equals: float | bool | str | None = None
    in_: tuple[str, ...] | None = Field(None, alias="in")
    levels: tuple[Level, ...] | None = None
    clear_margin: float | None = None  # None: the margin of the metric
    for_: Duration = Field(0.0, alias="for")
    clear_for: Duration | None = None  # None: the same as `for`
    every: Duration | None = None
    cooldown: Duration = 300.0
    no_data: NoData = NoData()
    schedule: Schedule | None = None
    severity: Severity = "warning"
    notify: tuple[str, ...] = ()
    flow: str | None = None

    @property
    def margin(self) -> float:
        """How far back over the threshold a value must go to clear, in the unit of the metric."""
        return metric_of(self.metric).margin if self.clear_margin is None else self.clear_margin

    @property
    def clear_for_s(self) -> float:
        """How long a value must stay clear."""
        return self.for_ if self.clear_for is None else self.clear_for

    @field_validator("metric")
    @classmethod
    def _is_a_name(cls, metric: str) -> str:
        is_for_others = metric_of(metric).of != "hub" or cls.is_of_the_hub
        if not _METRIC_NAME.fullmatch(metric) or not is_for_others:
            raise ValueError(f"{metric[:64]!r} is not a metric; a name has letters, digits and _, such as laeq_15m")
        return metric

    @field_validator("above", "below")
    @classmethod
    def _threshold_can_be_crossed(cls, threshold: float | None, info: ValidationInfo) -> float | None:
        metric = info.data.get("metric")
        if threshold is not None and metric is not None and info.field_name is not None:
            _check_threshold(metric, info.field_name, threshold)
        return threshold

    @field_validator("levels")
    @classmethod
    def _levels_rise(cls, levels: tuple[Level, ...] | None, info: ValidationInfo) -> tuple[Level, ...] | None:
        if levels is None:
            return None
        if not levels:
            raise ValueError("levels without a level never fire; write {severity: warning, above: 65}")
        for lower, higher in pairwise(levels):
            if higher.above <= lower.above or SEVERITIES.index(higher.severity) <= SEVERITIES.index(lower.severity):
                raise ValueError(
                    "levels must rise in value and in severity; "
                    "write the lowest first: {severity: warning, above: 65}, {severity: critical, above: 75}"
                )
        if "metric" in info.data:
            for level in levels:
                _check_threshold(info.data["metric"], "levels", level.above)
        return levels

    @field_validator("equals")
    @classmethod
    def _value_can_occur(cls, value: float | bool | str | None, info: ValidationInfo) -> float | bool | str | None:
        if value is not None and "metric" in info.data:
            _check_value(info.data["metric"], "equals", value)
        return value

    @field_validator("in_")
    @classmethod
    def _values_can_occur(cls, values: tuple[str, ...] | None, info: ValidationInfo) -> tuple[str, ...] | None:
        if values is None or "metric" not in info.data:
            return values
        if not values:
            raise ValueError("`in` without values never fires; name at least one, such as [DOWN]")
        if metric_of(info.data["metric"]).sort != "state":
            raise ValueError(
                f"`in` compares text and {info.data['metric']} is not text; use above, below or equals"
            )
        for value in values:
            _check_value(info.data["metric"], "in", value)
        return values

    @field_validator("clear_margin")
    @classmethod
    def _margin_is_not_negative(cls, margin: float | None) -> float | None:
        if margin is not None and not 0 <= margin < float("inf"):
            raise ValueError(
                "clear_margin must be 0 or more: how far beyond the threshold a value must go to clear"
            )
        return margin

    @field_validator("every")
    @classmethod
    def _every_lasts(cls, every: float | None) -> float | None:
        if every == 0:
            raise ValueError("every 0 s is no cadence; write a duration such as 5s or leave it out")
        return every

    @field_validator("flow")
    @classmethod
    def _no_flows(cls, flow: str | None) -> str | None:
        if flow is not None:
            raise ValueError("flows are not available in this version; name receivers under `notify`")
        return flow

    @model_validator(mode="after")
    def _can_fire(self) -> Self:
        given = [name for name in _CONDITIONS if getattr(self, "in_" if name == "in" else name) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise ValueError(f"a rule has exactly one of above, below, equals, in, levels; this one has {found}")
        is_of_machines = metric_of(self.metric).of == "machine"
        if is_of_machines and self.units is not None:
            raise ValueError(
                f"{self.metric} is known of machines, not of units; write `equipment` instead of `units`"
            )
        if not is_of_machines and self.equipment is not None:
            raise ValueError(
                f"{self.metric} is known of units, not of machines; write `units` instead of `equipment`"
            )
        if self.units == ():
            raise ValueError("`units` without a glob matches nothing; name some or leave it out for every unit")
        return self


class Receiver(_Frozen):
    """A receiver of webhooks."""

    model_config = ConfigDict(hide_input_in_errors=True)

    name: Name
    url: str = Field(repr=False)  # may contain a token
    secret: SecretStr | tuple[SecretStr, ...] | None = None
    format: Format = "hub"
    headers: dict[str, str] = Field({}, repr=False)  # may contain credentials
    timeout: Duration = 15.0
    group_by: tuple[str, ...] = ()
    group_wait: Duration = 30.0
    group_interval: Duration = 300.0
    rate_limit: str | None = None  # such as 10/min
    drain: str = "20/s"  # how fast deliveries are sent after an outage
    allow_private: bool = True
    proxy: str | None = Field(None, repr=False)  # may contain credentials; None: as the environment says
    ca_file: Path | None = None
    client_cert: ClientCertificate | None = None

    @field_validator("ca_file", "client_cert")
    @classmethod
    def _can_be_read(cls, value: Any, info: ValidationInfo) -> Any:
        """Relative paths are taken from the folder of config.yaml."""
        folder = (info.context or {}).get("folder") or Path()
        if isinstance(value, Path):
            value = Path(folder, value)
            client_context(value, None)
        elif value is not None:
            value = ClientCertificate(cert=Path(folder, value.cert), key=Path(folder, value.key))
            client_context(None, value)
        return value

    @field_validator("url", "headers", "secret", "rate_limit", "drain", "timeout", "proxy")
    @classmethod
    def _can_be_used(cls, value: Any, info: ValidationInfo) -> Any:
        _RECEIVER_CHECKS[info.field_name or ""](value)
        return value


class System(_Frozen):
    """The receivers of the hub's own alerts; without `notify`, every receiver."""

    notify: tuple[str, ...] | None = None
    severity: Severity = "warning"


class AlertsConfig(_Frozen):
    """The `alerts:` section of config.yaml."""

    rules: tuple[Rule, ...] = ()
    receivers: tuple[Receiver, ...] = ()
    system: System = System()


def _check_category(name: str) -> None:
    if name not in (known := [each.value for each in Category]):
        hint = did_you_mean(name, known) or f"; write one of {', '.join(known)}"
        raise ValueError(f"{name!r} is not a status category, so this never fires{hint}")


def _check_threshold(name: str, side: str, threshold: float) -> None:
    """Raise ValueError where no value of the metric can lie beyond the threshold."""
    metric = metric_of(name)
    if not metric.is_number:
        instead = "equals: false" if metric.sort == "flag" else "equals or in"
        raise ValueError(f"`{side}` compares numbers and {name} is not a number; write `{instead}`")
    if not (threshold > metric.lowest if side == "below" else threshold < metric.highest):
        raise ValueError(f"{name} {side} {threshold:g} can never fire; write a number {_range(metric)}")


def _range(metric: Metric) -> str:
    if isfinite(metric.highest):
        return f"between {metric.lowest:g} and {metric.highest:g} {metric.unit}"
    return f"of {metric.lowest:g} or more" if isfinite(metric.lowest) else "other than infinity"


def _check_value(metric: str, side: str, value: Value) -> None:
    """Raise ValueError where the metric can never have the value."""
    if metric == "status_category":
        _check_category(str(value))
    elif metric_of(metric).sort == "state":
        if not isinstance(value, str) or not value.strip():
            raise ValueError(f"{metric} is text, so {value!r} never occurs; write the text in quotes")
    elif metric_of(metric).sort == "flag":
        if not isinstance(value, bool):
            raise ValueError(f"{metric} is true or false, so {value!r} never occurs; write `{side}: false`")
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{metric} is a number, so {value!r} never occurs; write a number, or use above or below")
    elif metric == "lot_count" and (value < 0 or value != int(value)):
        raise ValueError(f"lot_count counts lots, so {value:g} never occurs; write a whole number of 0 or more")
    else:
        _check_threshold(metric, "above", value)
