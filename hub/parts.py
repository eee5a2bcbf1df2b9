"""The running parts of the hub, handed to those who show and steer them (the web)."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from hub.clock import Clock
from hub.config import Config
from hub.figures import Figures
from hub.reload import ReloadState
from hub.supervisor import Supervisor
from hub.unit import Unit

if TYPE_CHECKING:
    from alerts.desk import Desk
    from alerts.dispatcher import Dispatcher
    from hub.cache.figures import CacheFigures
    from hub.equipment.feed import EquipmentFeed
    from hub.store.database import Database
    from hub.store.recorder import Recorder
    from hub.trace.pipeline import TracePipeline


@dataclass(slots=True)
class Parts:
    """What `app` has built. `config` and the mappings change at a reload; the rest lives as long as the process.

    `release` and `keep_alive` change a unit's state and store it, so that it survives a restart.
    """

    config: Config
    clock: Clock
    started_at: datetime
    started_s: float
    version: str
    database: "Database"
    recorder: "Recorder"
    desk: "Desk"
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
        """Every cache of the hub: the plants of the feeds, and the answers of the trace."""
        trace = [self.trace.cache.figures()] if self.trace is not None else []
        return [feed.cache for feed in self.feeds.values()] + trace
