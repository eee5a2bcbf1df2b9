"""Builds the trace pipeline of a configuration: on Oracle, on the simulated plant, or none."""

from zoneinfo import ZoneInfo

from hub.cache.redis import RedisClients
from hub.cache.slots import Slots
from hub.config.models import Config, OracleEquipmentFeed, SampleEquipmentFeed
from hub.oracle.connection import Account
from hub.oracle.fleet_cap import FleetCap
from hub.oracle.logon import Logons
from hub.oracle.oracle_lanes import OracleLanes
from hub.runtime.clock import Clock
from hub.trace.cache import EventCache
from hub.trace.jobs import MAX_RSS, JobLimits
from hub.trace.pipeline import TracePipeline
from hub.trace.sample import SampleHistory
from hub.trace.source import OracleSource

FOLDER = "trace"
"""The folder of the results on disk, below `hub.data_dir`."""


def trace_of(
    config: Config, clock: Clock, redis: RedisClients | None, logons: Logons | None = None
) -> TracePipeline | None:
    """The trace of the first Oracle feed, else of the first sample feed; None without either."""
    folder = config.hub.data_dir / FOLDER
    oracle = next((feed for feed in config.feeds if isinstance(feed, OracleEquipmentFeed)), None)
    if oracle is not None:
        settings, lanes = oracle.trace, lanes_of(oracle, redis, logons)
        zone = ZoneInfo(oracle.timezone or config.hub.timezone)
        cache = EventCache(redis, clock)
        limits = JobLimits(max_rss=settings.max_rss or MAX_RSS)
        source = OracleSource(lanes.bulk)
        return TracePipeline(
            source,
            folder,
            clock,
            zone,
            cache,
            workers=settings.workers,
            limits=limits,
            lanes=lanes,
            feed_id=oracle.id,
        )
    if any(isinstance(feed, SampleEquipmentFeed) for feed in config.feeds):
        zone = ZoneInfo(config.hub.timezone)
        return TracePipeline(SampleHistory(), folder, clock, zone, EventCache(None, clock))
    return None


def lanes_of(feed: OracleEquipmentFeed, redis: RedisClients | None, logons: Logons | None = None) -> OracleLanes:
    """The lanes to a feed's database. All hubs on one Redis share the session limit of a database and user."""
    account = Account(feed.dsn, feed.user, feed.password, program=f"hub-{feed.id}")
    cap = None
    if redis is not None:
        slots = Slots(redis, f"bulk/{feed.user}@{feed.dsn}", feed.trace.fleet_cap)
        cap = FleetCap(slots)
    logon = (logons or Logons()).of(account, feed.interval)
    return OracleLanes(account, bulk_sessions=feed.trace.bulk_sessions, cap=cap, logon=logon)
