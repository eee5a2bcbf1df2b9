"""config.yaml as frozen models: attribute names are the keys, durations are seconds, secrets do not print."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, SecretStr

from alerts.config.rule import AlertsConfig
from alerts.model.addresses import is_loopback
from alerts.model.duration import Duration
from hub.fields.scalars import (
    BearerToken,
    Count,
    DatabaseUrl,
    Folder,
    HubName,
    Id,
    Listen,
    Network,
    OracleDsn,
    OracleUser,
    PublicUrl,
    RedisUrl,
    Retention,
    Size,
    Timezone,
    between,
    matching,
    parse_listen,
)
from hub.instruments.unit_config import Frozen, UnitConfig
from hub.kinds.registry import unit_model

Role = Literal["viewer", "operator", "admin"]
PersonalColumn = Literal[
    "CREATEUSERNAME", "CREATEUSER", "TECHNICIANUSERNAME", "TECHNICIANUSER", "LOTTRACKINEMPLOYEE"
]  # fmt: skip
_OBJECT_NAME = r"[A-Za-z][A-Za-z0-9_$#]*(\.[A-Za-z][A-Za-z0-9_$#]*){0,2}"


class Token(Frozen):
    """A secret that opens the hub's HTTP interface, and what it is good for."""

    name: Id
    token: BearerToken
    role: Role


class HubSection(Frozen):
    """The process: its name, where it listens, where its files are, who may talk to it.

    `public_url` is where people reach it, and `trusted_proxies` whose X-Forwarded headers count.
    """

    name: HubName = "hub"
    listen: Listen = "127.0.0.1:8480"
    public_url: PublicUrl | None = None
    trusted_proxies: tuple[Network, ...] = ()
    timezone: Timezone = "UTC"
    data_dir: Folder = Field(Path("data"), validate_default=True)
    tokens: tuple[Token, ...] = ()
    log: Literal["console", "json"] | None = None  # None: console on a terminal, JSON elsewhere

    @property
    def host(self) -> str:
        """The host part of `listen`, an IPv6 address without its brackets."""
        return parse_listen(self.listen)[0]

    @property
    def port(self) -> int:
        """The port part of `listen`; 0 is any free one."""
        return parse_listen(self.listen)[1]

    @property
    def is_loopback(self) -> bool:
        """True when only this machine can reach the hub."""
        return is_loopback(self.host)


class RetentionSection(Frozen):
    """How long rows are kept, seconds."""

    readings: Retention = 14 * 86400.0
    minutes: Retention = 2 * 365 * 86400.0
    alerts: Retention = 5 * 365 * 86400.0


class DatabaseSection(Frozen):
    """Where rows are kept. `max_size` in bytes; `keep_raw` stores the meter's own lines with the readings."""

    url: DatabaseUrl = Field(SecretStr("sqlite:///data/hub.db"), validate_default=True)
    retention: RetentionSection = RetentionSection()
    keep_raw: bool = False
    max_size: Size | None = None


class RedisSection(Frozen):
    """The shared cache; without it the cache of the process serves alone."""

    url: RedisUrl
    prefix: Id = "hub"


if TYPE_CHECKING:
    _Unit = UnitConfig
else:
    _Unit = unit_model()


class TraceSection(Frozen):
    """Bulk reads of the history in a feed's database.

    `workers`: statements at once for one request. `bulk_sessions`: sessions of this hub for all of them.
    `fleet_cap`: sessions of all hubs that share the Redis. `max_rss`: no large request begins above it.
    """

    workers: Annotated[Count, Field(ge=1, le=16)] = 2
    bulk_sessions: Annotated[Count, Field(ge=1, le=64)] = 4
    fleet_cap: Annotated[Count, Field(ge=1, le=256)] = 8
    max_rss: Size | None = None  # 1500MB


class OracleEquipmentFeed(Frozen):
    """The equipment view of an Oracle database, read every `interval` seconds."""

    kind: Literal["oracle-equipment"]
    id: Id
    dsn: Annotated[OracleDsn, Field(min_length=1, max_length=4000)]
    user: Annotated[OracleUser, Field(min_length=1, max_length=128)]
    password: Annotated[SecretStr, Field(min_length=1)]
    view: Annotated[str, matching(_OBJECT_NAME, "must be the name of a view, such as OWNER.VIEW")] = (
        "DWH.DW_MES_EQUIPMENTSTATUS_WIP_V"
    )
    interval: Annotated[Duration, between("1s", "1d")] = 300.0
    timezone: Timezone | None = None  # of the view's zone-less dates; None: the hub's own
    drop_columns: tuple[PersonalColumn, ...] = ()  # personal data that never enters the hub
    trace: TraceSection = TraceSection()


class SampleEquipmentFeed(Frozen):
    """Invented machines inside the process, for demonstration; the same seed gives the same machines."""

    kind: Literal["sample-equipment"]
    id: Id
    machines: Annotated[Count, Field(ge=1, le=100_000)] = 2600
    seed: Count = 1
    interval: Annotated[Duration, between("1s", "1d")] = 300.0


FeedConfig = Annotated[OracleEquipmentFeed | SampleEquipmentFeed, Field(discriminator="kind")]


class Config(Frozen):
    """The whole of config.yaml; units of included files are in `units`."""

    # validated where they are left out, too: a relative path in them is taken from the folder of config.yaml
    hub: HubSection = Field(default={}, validate_default=True)
    database: DatabaseSection = Field(default={}, validate_default=True)
    redis: RedisSection | None = None
    units: tuple[_Unit, ...] = ()
    feeds: tuple[FeedConfig, ...] = ()
    alerts: AlertsConfig = AlertsConfig()
    include: tuple[str, ...] = ()
