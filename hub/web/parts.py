"""The running parts of the hub that web routes read and control."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from hub.config.models import Config
from hub.config.reload import ReloadState
from hub.runtime.clock import Clock
from hub.runtime.figures import Figures
from hub.runtime.supervisor import Supervisor
from hub.units.unit import Unit

if TYPE_CHECKING:
    from alerts.delivery.dispatcher import Dispatcher
    from alerts.service import AlertService
    from hub.cache.figures import CacheFigures
    from hub.database.database import Database
    from hub.equipment.feed import EquipmentFeed
    from hub.store.recorder import Recorder
    from hub.trace.pipeline import TracePipeline


@dataclass(slots=True)
class Parts:
    """What `hub.app` has built. A reload replaces `config` and changes the mappings; the rest stays the same.

    `release` and `keep_alive` set a unit's state and store it, so that it survives a restart.
    """

    config: Config
    clock: Clock
    started_at: datetime
    started_s: float
    version: str
    database: "Database"
    recorder: "Recorder"
    alerts: "AlertService"
    dispatchers: "dict[str, Dispatcher]"
    figures: Figures
    release: Callable[[str, bool], Awaitable[None]]
    keep_alive: Callable[[str, bool], Awaitable[None]]
    units: dict[str, Unit] = field(default_factory=dict)
    feeds: "dict[str, EquipmentFeed]" = field(default_factory=dict)
    trace: "TracePipeline | None" = None
    supervisors: list[Supervisor] = field(default_factory=list)
    reload: ReloadState | None = None

    @property
    def caches(self) -> "list[CacheFigures]":
        """The statistics of every cache: the equipment of each feed, and the trace results."""
        trace = [self.trace.cache.figures()] if self.trace is not None else []
        return [feed.cache for feed in self.feeds.values()] + trace
