"""The units of the hub as they come, change and go: each with its task group, its samples and its place in SQL."""

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from functools import partial
from hashlib import sha256

import structlog
from sqlalchemy.exc import DBAPIError

from alerts.config.caption import UNNAMED, Caption
from alerts.service import AlertService
from hub.database.database import Database
from hub.instruments.setting import Setting
from hub.instruments.unit_config import UnitConfig
from hub.kinds.registry import kind_of
from hub.readings.samples import UnitSampler, unit_subject
from hub.readings.snapshot import Event
from hub.readings.windows import WINDOWS
from hub.runtime.clock import Clock
from hub.runtime.figures import Histogram
from hub.runtime.supervisor import Supervisor
from hub.store.meter_settings import load_settings, restored
from hub.store.recorder import Recorder
from hub.store.resume import latest_snapshots, recent_lp
from hub.store.tables import UnitState, load_unit_states, save_unit_state
from hub.units.coverage import Coverage
from hub.units.monitor import run_unit
from hub.units.unit import Unit

log = structlog.get_logger()

_LONGEST_WINDOW = timedelta(seconds=max(window.seconds for window in WINDOWS.values()))


class Fleet:
    """Adds and removes units while the hub runs. `units` is live: it is what the poller and the web look at.

    Every event of a unit goes to the recorder and, as samples, to the rules, before its viewers see it.
    """

    def __init__(
        self,
        feeds: Supervisor,
        database: Database,
        recorder: Recorder,
        alerts: AlertService,
        clock: Clock,
        poll_s: Histogram,
        on_settings: Callable[[str, Mapping[str, Setting]], None],
        first_sequence: int,
    ) -> None:
        self.units: dict[str, Unit] = {}
        self._feeds = feeds
        self._database = database
        self._recorder = recorder
        self._alerts = alerts
        self._clock = clock
        self._poll_s = poll_s
        self._on_settings = on_settings
        self._first_sequence = first_sequence
        self._samplers: dict[str, UnitSampler] = {}
        self.coverage = Coverage(alerts, clock, self.units, self._samplers)
        self._states: dict[str, UnitState] = {}
        self._resting: dict[tuple[str, int], float] = {}  # until when a meter may hold the slot of a unit that went

    async def open(self, configs: Iterable[UnitConfig]) -> None:
        """Register the units as they were left, without starting them. Raises DBAPIError."""
        self._states = await self._database.read(load_unit_states)
        latest = await self._database.read(latest_snapshots)
        settings = await self._database.read(load_settings)
        for config in configs:
            known = restored(settings.get(config.id, ()), self._clock)
            self._register(config, None).resume(latest.get(config.id), known)
        self.coverage.check()  # so that what was told of it before finds its subjects

    async def start(self) -> None:
        """Start every registered unit."""
        await self.rules_changed()
        for index, unit in enumerate(self.units.values()):
            self._spawn(unit, index / len(self.units))

    async def add(self, config: UnitConfig) -> None:
        """Take up a new unit at once."""
        unit = self._register(config, None)
        await self.rules_changed()
        self._spawn(unit, 0.0)

    async def change(self, config: UnitConfig) -> None:
        """Take up another configuration of a unit; its numbers and its latest reading go on.

        Only where it needs another connection is the unit restarted, as a meter frees its socket slowly.
        """
        unit = self.units[config.id]
        if unit.configure(config):
            self._introduce(unit)
            await self.rules_changed()
            self._feeds.start(_child(unit.id))  # one that was given up
            return
        await self._stop(unit)
        again = self._register(config, unit)
        unit.fanout.close()
        await self.rules_changed()
        self._spawn(again, 0.0)

    async def remove(self, unit_id: str) -> None:
        """Stop a unit and forget it; its rows stay."""
        await self._stop(self.units[unit_id])
        self._alerts.remove_subject(unit_subject(unit_id))  # while it has a name
        self.units.pop(unit_id).fanout.close()
        self._samplers.pop(unit_id)

    async def rules_changed(self) -> None:
        """Sample what the rules ask for now, as often as they ask."""
        empty = []
        for unit in self.units.values():
            poll = unit.config.poll
            needs = self._alerts.needs(unit_subject(unit.id), poll.watched)
            unit.rule_cadence_s = None if needs.every_s is None else min(needs.every_s, poll.idle)
            unit.demand_changed()
            if self._samplers[unit.id].need(needs.metrics):
                empty.append(unit)
        await self._refill(empty)

    async def release(self, unit_id: str, released: bool) -> None:
        """Give a meter's socket up until told otherwise, over restarts too; or take it again. Raises DBAPIError."""
        unit = self.units[unit_id]
        await self._store_state(unit, released=released)
        unit.release(released)
        self._alerts.set_reachable(unit_subject(unit_id), not released)

    async def keep_alive(self, unit_id: str, keep_alive: bool) -> None:
        """Keep the monitor on without viewers, or not; holds until the unit's configuration changes."""
        unit = self.units[unit_id]
        await self._store_state(unit, keep_alive=keep_alive)
        unit.keep_alive = keep_alive
        unit.demand_changed()

    def caption_of(self, subject: str) -> Caption:
        """What people call a unit and its levels, also where the subject is a rule's view of the unit.

        Other subjects have no name.
        """
        is_unit = subject.startswith(("unit/", "hub/rule/"))
        unit = self.units.get(subject.rpartition("/")[2]) if is_unit else None
        return UNNAMED if unit is None else Caption(unit.name, unit.instrument.symbols, unit.instrument.quantities)

    def close_streams(self) -> None:
        """End every viewer's stream."""
        for unit in self.units.values():
            unit.fanout.close()

    def _register(self, config: UnitConfig, before: Unit | None) -> Unit:
        unit = Unit(
            config,
            self._clock,
            self._take,
            partial(kind_of(config).connect, config, self._clock),
            before.next_sequence if before else self._first_sequence,
            on_latency=self._poll_s.observe,
            on_settings=self._on_settings,
        )
        unit.instrument.rest_until(self._resting.get((config.host, config.port), 0.0))
        if before is not None:
            same = (before.config.host, before.config.port) == (config.host, config.port)  # else another meter
            unit.resume(before.latest, before.instrument.settings if same else {})
            unit.reachable, unit.reason = before.reachable, before.reason
        state = self._states.get(config.id)
        if state is not None:
            unit.release(state.released, at_start=True)
        self.units[config.id] = unit
        self._samplers.setdefault(config.id, UnitSampler(config.id, frozenset()))
        self._introduce(unit)
        if unit.is_released:
            self._alerts.set_reachable(unit_subject(unit.id), False)
        return unit

    def _introduce(self, unit: Unit) -> None:
        """Tell the rules its labels, and keep it alive as its configuration says, or people said of that."""
        said = self._states.get(unit.id)
        if said is None or said.keep_alive is None or said.config_hash != _hash(unit.config):
            unit.keep_alive = unit.config.monitor
        else:
            unit.keep_alive = said.keep_alive
        metrics = {*unit.instrument.quantities, "reachable"}
        self._alerts.add_subject(unit_subject(unit.id), unit.config.labels, metrics=metrics)

    async def _stop(self, unit: Unit) -> None:
        await self._feeds.remove(_child(unit.id))
        now_s = self._clock.steady()
        self._resting = {address: until_s for address, until_s in self._resting.items() if until_s > now_s}
        self._resting[unit.config.host, unit.config.port] = now_s + unit.instrument.retry_in_s

    def _spawn(self, unit: Unit, phase: float) -> None:
        self._feeds.spawn(_child(unit.id), lambda: run_unit(unit, self._clock, phase))

    def _take(self, event: Event) -> None:
        self._recorder.offer_nowait(event)
        sampler = self._samplers.get(event.unit_id)
        if sampler is not None and (samples := sampler.samples(event)):
            self._alerts.submit(samples)

    async def _refill(self, units: Iterable[Unit]) -> None:
        """Fill windows from what is stored, so that a restart does not blind their rules."""
        since = self._clock.now() - _LONGEST_WINDOW
        for unit in units:
            try:
                rows = await self._database.read(lambda session, u=unit: recent_lp(session, u.id, since))  # type: ignore[misc]
            except DBAPIError as error:
                log.warning("windows begin empty", unit=unit.id, reason=type(error).__name__)
                continue
            self._samplers[unit.id].refill(rows, self._clock.steady())

    async def _store_state(self, unit: Unit, **decided: bool) -> None:
        known, mark = self._states.get(unit.id) or UnitState(unit_id=unit.id), _hash(unit.config)
        kept = known.keep_alive if known.config_hash == mark else None  # said of another configuration: it is over
        fresh = UnitState(**{**known.model_dump(), "keep_alive": kept, **decided, "config_hash": mark})
        await self._database.write(lambda session: save_unit_state(session, fresh), durable=True)
        self._states[unit.id] = fresh


def _child(unit_id: str) -> str:
    return f"unit/{unit_id}"


def _hash(config: UnitConfig) -> str:
    return sha256(config.model_dump_json(include=set(UnitConfig.model_fields)).encode()).hexdigest()[:16]
