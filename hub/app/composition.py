"""The composition root: builds the parts, nests their task groups, and so owns the order of start and stop."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from importlib.metadata import version
from socket import socket

import anyio
import structlog

from alerts.rules.system import receiver_subject
from alerts.service import AlertService
from alerts.store.queries import delete_older_than
from hub.app.descriptors import limit, most_connections, too_few
from hub.app.receivers import Receivers
from hub.cache.redis import RedisClients, open_redis
from hub.config.models import Config
from hub.config.reload import Changes, ReloadState, changes_between
from hub.database.checks import STORAGE_PARTS
from hub.database.database import Database, open_database
from hub.equipment.feeds import Feeds
from hub.kinds.registry import kind_of
from hub.runtime.clock import Clock
from hub.runtime.figures import Figures, run_loop_lag
from hub.runtime.imports import load_everything
from hub.runtime.lock import open_lock
from hub.runtime.memory_upkeep import run_memory_upkeep
from hub.runtime.supervisor import Supervisor
from hub.store.meter_settings import SettingsWriter
from hub.store.recorder import Recorder
from hub.store.repair import repair
from hub.store.retention import Ages, Retention
from hub.store.schema import adopt, upgrade
from hub.store.storage_alerts import StorageAlerts, broken_parts
from hub.store.tables import register_boot, sequence_base
from hub.store.upkeep import run_checks, run_file_watch, run_guard
from hub.trace.build import trace_of
from hub.units.fleet import Fleet
from hub.units.poller import Poller
from hub.web.http.address import is_of, networks
from hub.web.parts import Parts
from hub.web.routes.app import create_app
from hub.web.server.connections import Connections
from hub.web.server.server import Server, bind, url_of

log = structlog.get_logger()

_DRAIN_S = 1.5
_POLL_S = 0.02


class Hub:
    """The connected parts of one hub. `open_hub` starts and stops them; `reload` applies a new configuration."""

    def __init__(
        self,
        config: Config,
        clock: Clock,
        database: Database,
        boot: int,
        listener: socket,
        redis: RedisClients | None = None,
    ) -> None:
        self.config = config
        self.redis = redis
        self.listener = listener
        self.clock = clock
        self.database = database
        self.boot = boot
        self.storage_alerts = StorageAlerts(self._report_storage)
        database.outcomes.on_change = lambda part, reason: self._storage_changed()
        self.figures = Figures()
        self.sinks = Supervisor("sinks", clock, on_failed=partial(self._child_failed, "sinks"))
        self.feeds = Supervisor("feeds", clock, on_failed=partial(self._child_failed, "feeds"))
        self.web = Supervisor("web", clock)
        self.receivers = Receivers(
            self.sinks,
            database.of("deliveries"),
            clock,
            config.hub.name,
            version("monitor-hub"),
            lambda name, failing, reason: self.alerts.report(receiver_subject(name), not failing, reason),
        )
        self.alerts: AlertService = AlertService(
            database.of("transitions"),
            clock,
            config.hub.name,
            config.hub.timezone,
            self.receivers.dispatchers,
            caption_of=lambda subject: self.fleet.caption_of(subject),
            on_latency=self.figures.alert_stage,
            on_storage=self._storage_changed,
            resumed_s=lambda: clock.resumed_s,
            public_url=lambda: self.config.hub.public_url,
        )
        self.recorder = Recorder(
            database,
            boot,
            clock,
            drain_s=_DRAIN_S,
            keep_raw=config.database.keep_raw,
            on_failure=lambda failing, reason: self._storage_changed(),
            on_commit=lambda rows, latency_s: self.figures.readings_commit_s.observe(latency_s),
        )
        retention = config.database.retention
        self.retention = Retention(
            database.of("retention"),
            clock,
            Ages(retention.readings, retention.minutes, retention.alerts),
            delete_alerts=delete_older_than,
            max_size=config.database.max_size,
            on_space=lambda reason: self.alerts.report("hub/disk", reason is None, reason),
        )
        self.settings = SettingsWriter(database.of("units"), clock)
        self.fleet = Fleet(
            self.feeds,
            database,
            self.recorder,
            self.alerts,
            clock,
            self.figures.poll_s,
            self.settings.offer_nowait,
            sequence_base(boot) + 1,
        )
        self.equipment = Feeds(
            self.feeds,
            database,
            self.recorder,
            self.alerts,
            clock,
            config.hub.timezone,
            redis,
        )
        self.connections = Connections(
            most_connections(config, limit()),
            is_exempt=lambda address: is_of(address, networks(self.config.hub.trusted_proxies)),
        )
        self.parts = Parts(
            config=config,
            clock=clock,
            started_at=clock.now(),
            started_s=clock.steady(),
            version=version("monitor-hub"),
            database=database,
            recorder=self.recorder,
            alerts=self.alerts,
            dispatchers=self.receivers.dispatchers,
            figures=self.figures,
            release=self.fleet.release,
            keep_alive=self.fleet.keep_alive,
            units=self.fleet.units,
            feeds=self.equipment.feeds,
            supervisors=[self.sinks, self.feeds, self.web],
        )

    @property
    def port(self) -> int:
        """The port the web server listens on."""
        port: int = self.listener.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """The URL of the web server."""
        return url_of(self.listener)

    async def restore(self) -> None:
        """Restore rules, units, feeds and alerts as the last process left them. Raises DBAPIError."""
        self.alerts.configure(self.config.alerts)
        await self.fleet.open(self.config.units)
        await self.equipment.open(self.config.feeds)
        await self.alerts.restore()
        self.storage_alerts.clear(STORAGE_PARTS)
        self.config_rejected(None)  # the hub has started, so its file is valid
        self.edge_overloaded(None)
        if (reason := too_few(self.config, limit())) is not None:
            log.warning(reason)

    async def start(self) -> None:
        """Start the sinks, then the feeds."""
        self.sinks.spawn("recorder", self.recorder.run, essential=True)
        self.sinks.spawn("alerts", self.alerts.run, essential=True)
        await self.receivers.configure(self.config.alerts.receivers)
        self.sinks.spawn("settings", self.settings.run)
        self.sinks.spawn("retention", self.retention.run)
        self.sinks.spawn("memory", partial(run_memory_upkeep, self.database.close_idle))
        self.sinks.spawn("loop-lag", partial(run_loop_lag, self.clock, self.figures.loop_lag_s))
        self.sinks.spawn("database-checks", partial(run_checks, self.database, self._storage_changed))
        if self.database.dialect == "postgresql":
            self.sinks.spawn("database-claim", partial(run_guard, self.database), essential=True)
        else:
            self.sinks.spawn("database-file", self._run_file_watch, essential=True)
            self.sinks.spawn("checkpoints", self.database.checkpoints.run)
        await self.fleet.start()
        self.equipment.start()
        self.sinks.spawn("coverage", self.fleet.coverage.run)
        self.feeds.spawn("poller", Poller(self.fleet.units, self.clock).run)
        await self._set_trace()

    async def reload(self, config: Config) -> Changes:
        """Apply a configuration; only units, feeds, rules and receivers that changed are restarted."""
        changes = changes_between(self.config, config)
        self.config = self.parts.config = config
        if changes.receivers_changed:
            await self.receivers.configure(config.alerts.receivers)
        for unit in changes.units_removed:
            await self.fleet.remove(unit.id)
        for unit in changes.units_changed:
            await self.fleet.change(unit)
        for unit in changes.units_added:
            await self.fleet.add(unit)
        for feed in changes.feeds_removed:
            await self.equipment.remove(feed.id)
        for feed in changes.feeds_changed:
            await self.equipment.change(feed)
        for feed in changes.feeds_added:
            self.equipment.add(feed)
        if changes.feeds_added or changes.feeds_removed or changes.feeds_changed:
            await self._set_trace()
        if changes.rules_changed or changes.receivers_changed or changes.system_changed:
            self.alerts.configure(config.alerts)
            await self.fleet.rules_changed()
        if changes.restart_needed:
            log.warning("restart the hub to apply these keys", keys=list(changes.restart_needed))
        return changes

    def edge_overloaded(self, reason: str | None) -> None:
        """Report as a system alert that clients use up the connections of the web server; None ends it."""
        self.alerts.report("hub/edge", reason is None, reason)

    def config_rejected(self, reason: str | None, where: str | None = None) -> None:
        """Report as a system alert that a changed file was rejected; None ends it.

        Everybody may see `where`: it names the position, and no value.
        """
        self.parts.reload = ReloadState(self.clock.now(), reason, where)
        self.alerts.report("hub/config", reason is None, reason)

    async def drain(self) -> None:
        """Let pending alerts be committed and sent, within the time that a stop may take."""
        with anyio.move_on_after(_DRAIN_S):
            while self.alerts.pending:
                await anyio.sleep(_POLL_S)
            self.receivers.stop()
            while any(name in self.sinks.running for name in self.receivers.children):
                await anyio.sleep(_POLL_S)

    async def _set_trace(self) -> None:
        """Replace the trace by that of the configuration; jobs of the former one end."""
        if "trace" in self.feeds.children:
            await self.feeds.remove("trace")
        self.parts.trace = trace_of(self.config, self.clock, self.redis, self.equipment.logons)
        if self.parts.trace is not None:
            self.feeds.spawn("trace", self.parts.trace.run)

    def _storage_changed(self) -> None:
        self.storage_alerts.update(broken_parts(self.database, self.recorder, self.alerts), self.clock.steady())

    def _report_storage(self, part: str, reason: str | None) -> None:
        subject = "hub/storage" if part == "transitions" else f"hub/storage/{part}"
        self.alerts.report(subject, reason is None, reason)

    async def _run_file_watch(self) -> None:
        adopt_own = partial(adopt, boot=self.boot, started_at=self.parts.started_at, version=self.parts.version)
        await run_file_watch(self.database, adopt_own)

    def _child_failed(self, group: str, name: str, reason: str | None) -> None:
        self.alerts.report(f"hub/child/{group}/{name}", reason is None, reason)


@asynccontextmanager
async def open_hub(config: Config) -> AsyncIterator[Hub]:
    """Run a hub; leaving the block stops it in the reverse order of its start, within 5 s.

    Raises OSError for a port or folder that cannot be used, AlreadyRunning or DatabaseInUse when another hub uses
    the same data, DBAPIError for a database that cannot be used.
    """
    load_everything()
    clock = Clock()
    async with AsyncExitStack() as stack:
        stack.enter_context(open_lock(config.hub.data_dir / "hub.lock", config.hub.name))
        listener = stack.enter_context(bind(config.hub.host, config.hub.port))
        url, quarantine = config.database.url.get_secret_value(), config.hub.data_dir / "quarantine.jsonl"
        database = await stack.enter_async_context(open_database(url, quarantine=quarantine))
        await database.write(upgrade)
        quantities = {unit.id: kind_of(unit).quantities(unit) for unit in config.units}
        await database.write(partial(repair, quantities=quantities))
        boot = await database.write(
            lambda session: register_boot(session, clock.now(), version("monitor-hub")), durable=True
        )
        redis = None
        if config.redis is not None:
            redis = await stack.enter_async_context(open_redis(config.redis.url, config.redis.prefix))
        hub = Hub(config, clock, database, boot, listener, redis)
        await hub.restore()
        async with hub.sinks:
            try:
                async with hub.feeds:
                    await hub.start()
                    app = create_app(hub.parts, hub.connections)
                    server = Server(app, listener, hub.connections, hub.edge_overloaded)
                    async with hub.web:
                        hub.web.spawn("server", server.run, essential=True)
                        try:
                            yield hub
                        finally:
                            hub.fleet.close_streams()
                            await server.stop()
            finally:
                with anyio.CancelScope(shield=True):
                    await hub.drain()
