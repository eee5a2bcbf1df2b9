"""The source of a feed's rows: a view in Oracle, or the simulated plant, through the same lane."""

from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo

from hub.config.models import OracleEquipmentFeed, SampleEquipmentFeed
from hub.equipment.sample_view import SampleView
from hub.equipment.view import select_sql
from hub.oracle.connection import Account, Rows, connector
from hub.oracle.lanes import Deadlines, SyncLane, backstop_s
from hub.oracle.logon import Logon, Logons
from hub.runtime.clock import Clock


@dataclass(frozen=True, slots=True)
class ViewSource:
    """A view that can be read. Its dates are in `zone`; its columns in `drop` must not be kept."""

    lane: SyncLane
    sql: str
    zone: tzinfo = UTC
    drop: tuple[str, ...] = field(default=())
    logon: Logon | None = None

    async def read(self) -> Rows:
        """All rows, within the lane's deadlines. Raises `OracleError`; `LaneBusy` before anything was sent."""
        return await self.lane.fetch(self.sql)


def source_of(
    feed: OracleEquipmentFeed | SampleEquipmentFeed, clock: Clock, zone: str = "UTC", logons: Logons | None = None
) -> ViewSource:
    """The source that a feed configures. `zone` is the hub's, for a feed that names none.

    `logons` are shared by all lanes to a database.
    """
    query_s = min(60.0, max(feed.interval, 5.0))
    deadlines = Deadlines(query_s=query_s)
    if isinstance(feed, SampleEquipmentFeed):
        view = SampleView(feed.machines, feed.seed, clock)
        return ViewSource(SyncLane(view.connect, deadlines), select_sql("SAMPLE"))
    account = Account(feed.dsn, feed.user, feed.password, program=f"hub-eq-sync-{feed.id}")
    logon = (logons or Logons()).of(account, feed.interval)
    lane = SyncLane(logon.through(connector(account, backstop_s(deadlines)), "sync"), deadlines)
    drop = tuple(feed.drop_columns)
    return ViewSource(lane, select_sql(feed.view, drop), ZoneInfo(str(feed.timezone or zone)), drop, logon)
