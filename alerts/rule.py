"""The nouns of the alert configuration: rule, its schedule, receiver, and who hears the hub's own alerts."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from alerts.duration import Duration

Severity = Literal["info", "warning", "critical"]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]

RUN_TOTALS = frozenset({"leq", "le", "lmax", "lmin", "lpeak", "ln1", "ln2", "ln3", "ln4", "ln5"})
WINDOWED = frozenset({"laeq_1m", "laeq_5m", "laeq_15m", "laeq_1h", "la10_15m", "la90_15m"})
LEVELS = RUN_TOTALS | WINDOWED | {"lp"}
MACHINE_METRICS = frozenset({"status", "status_category", "lot_count", "age_s"})
METRICS = LEVELS | MACHINE_METRICS | {"reachable"}


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


class Schedule(_Frozen):
    """When a rule holds. `to` at or before `from` runs over midnight and belongs to the day it starts on."""

    days: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    from_: str = Field("00:00", alias="from")
    to: str = "24:00"
    timezone: str | None = None  # IANA name; None is the hub's own


class EquipmentMatch(_Frozen):
    """Which machines of the equipment feeds a rule is about; globs in `id`."""

    category: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
    id: tuple[str, ...] = ()


class Rule(_Frozen):
    """A threshold on a metric of some subjects. Durations in seconds, levels in dB."""

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
    clear_margin: float | None = None  # None: 2 for dB metrics, else 0
    for_: Duration = Field(0.0, alias="for")
    clear_for: Duration | None = None  # None: the same as `for`
    every: Duration | None = None
    cooldown: Duration = 300.0
    no_data: NoData = NoData()
    schedule: Schedule | None = None
    severity: Severity = "warning"
    notify: tuple[str, ...] = ()
    flow: str | None = None


class Receiver(_Frozen):
    """Where webhooks go."""

    name: Name
    url: str
    secret: SecretStr | tuple[SecretStr, ...] | None = None
    format: Literal["hub"] = "hub"
    headers: dict[str, str] = {}
    timeout: Duration = 15.0
    group_by: tuple[str, ...] = ()
    group_wait: Duration = 30.0
    group_interval: Duration = 300.0
    rate_limit: str | None = None  # such as 10/min
    allow_private: bool = True


class System(_Frozen):
    """Who hears the hub's own alerts; without `notify`, every receiver."""

    notify: tuple[str, ...] | None = None
    severity: Severity = "warning"


class AlertsConfig(_Frozen):
    """The `alerts:` section of config.yaml."""

    rules: tuple[Rule, ...] = ()
    receivers: tuple[Receiver, ...] = ()
    system: System = System()
