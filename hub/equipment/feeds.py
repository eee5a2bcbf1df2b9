"""Adds, changes and removes the equipment feeds of the hub: each is a supervised child with a listener."""

from collections.abc import Iterable

from alerts.service import AlertService
from hub.cache.redis import RedisClients
from hub.config.models import FeedConfig
from hub.database.database import Database
from hub.equipment.feed import EquipmentFeed
from hub.equipment.listener import FeedListener
from hub.equipment.source import source_of
from hub.oracle.logon import Logons
from hub.runtime.clock import Clock
from hub.runtime.supervisor import Supervisor
from hub.store.recorder import Recorder
from hub.store.tables import last_machine_statuses


class Feeds:
    """Adds and removes feeds while the hub runs. The web reads `feeds`, which changes with them.

    `logons` are shared by all lanes to the feeds' databases, those of the trace too. `timezone` is the hub's, for
    feeds that name none.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        database: Database,
        recorder: Recorder,
        alerts: AlertService,
        clock: Clock,
        timezone: str,
        redis: RedisClients | None,
    ) -> None:
        self.feeds: dict[str, EquipmentFeed] = {}
        self.logons = Logons()
        self._supervisor = supervisor
        self._database = database
        self._recorder = recorder
        self._alerts = alerts
        self._clock = clock
        self._timezone = timezone
        self._redis = redis
        self._listeners: dict[str, FeedListener] = {}
        self._statuses: dict[str, dict[str, str]] = {}  # by feed, also of feeds that are no longer configured

    async def open(self, configs: Iterable[FeedConfig]) -> None:
        """Create the feeds with the last stored statuses, without starting them. Raises DBAPIError."""
        for subject, status in (await self._database.read(last_machine_statuses)).items():
            _, feed_id, resource_id = subject.split("/", 2)
            self._statuses.setdefault(feed_id, {})[resource_id] = status
        for config in configs:
            self._open(config)

    def start(self) -> None:
        """Start every feed; alerts on machines of a feed that is no longer configured close."""
        for alert in self._alerts.open_alerts():
            kind, _, rest = alert.subject.partition("/")
            if kind == "equipment" and rest.partition("/")[0] not in self.feeds:
                self._alerts.remove_subject(alert.subject)
        for feed in self.feeds.values():
            self._spawn(feed)

    def add(self, config: FeedConfig) -> None:
        """Start a new feed."""
        self._spawn(self._open(config))

    async def change(self, config: FeedConfig) -> None:
        """Restart one feed with a changed configuration; its machines and its history stay."""
        await self._supervisor.remove(_child(config.id))
        self._spawn(self._open(config))

    async def remove(self, feed_id: str) -> None:
        """Stop a feed and remove its machines from the rules; their stored rows stay."""
        await self._supervisor.remove(_child(feed_id))
        del self.feeds[feed_id]
        await self._listeners.pop(feed_id).close()

    def _open(self, config: FeedConfig) -> EquipmentFeed:
        listener = self._listeners.get(config.id)
        if listener is None:
            statuses = self._statuses.setdefault(config.id, {})
            listener = FeedListener(config.id, statuses, self._alerts, self._recorder)
            self._listeners[config.id] = listener
        feed = self.feeds[config.id] = EquipmentFeed(
            config.id,
            source_of(config, self._clock, self._timezone, self.logons),
            self._clock,
            config.interval,
            self._redis,
            listener.callbacks(),
            dict(listener.statuses),
        )
        return feed

    def _spawn(self, feed: EquipmentFeed) -> None:
        self._supervisor.spawn(_child(feed.id), feed.run)


def _child(feed_id: str) -> str:
    return f"feed/{feed_id}"
