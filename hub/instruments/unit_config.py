"""What the configuration of every unit has, whatever its kind."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from alerts.model.duration import Duration
from hub.fields.scalars import Count, Host, Id, LabelName, LabelValue, Port, UnitName, between


class Frozen(BaseModel):
    """A part of config.yaml: no key but its own, and no value in an error of pydantic's."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Poll(Frozen):
    """Seconds from send to send; `gap` is from the end of a reply to the next send, and wins."""

    watched: Annotated[Duration, between("100ms", "1h")] = 1.0
    idle: Annotated[Duration, between("100ms", "1d")] = 10.0
    background: Annotated[Duration, between("100ms", "1d")] = 60.0
    gap: Annotated[Duration, between("0s", "1m")] = 1.0


class Timeouts(Frozen):
    """How long an instrument may take, seconds."""

    connect: Annotated[Duration, between("10ms", "5m")] = 5.0
    reply: Annotated[Duration, between("10ms", "5m")] = 3.0


class UnitConfig(Frozen):
    """One unit. A kind narrows `kind` to its own name and adds its keys.

    `reconnect` is the pause after a lost connection, seconds; `offline_after` counts failed polls.
    """

    id: Id
    kind: str
    name: UnitName | None = None
    host: Host
    port: Port
    labels: Annotated[dict[LabelName, LabelValue], Field(max_length=32)] = {}
    monitor: bool = True
    poll: Poll = Poll()
    timeouts: Timeouts = Timeouts()
    offline_after: Annotated[Count, Field(ge=1, le=1000)] = 3
    reconnect: Annotated[Duration, between("10ms", "1h")] = 5.0
