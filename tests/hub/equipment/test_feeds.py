"""Feeds in the hub: machines are subjects of rules, history continues across restarts, failures raise an alert."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
from sqlmodel import Session, select

from alerts.config.rule import AlertsConfig
from alerts.model.alert import Alert
from alerts.service import AlertService
from hub.config.models import SampleEquipmentFeed
from hub.database.database import Database, open_database
from hub.equipment.feeds import Feeds
from hub.oracle.connection import OracleUnavailable
from hub.runtime.clock import Clock
from hub.runtime.supervisor import ChildState, Supervisor
from hub.store.recorder import Recorder
from hub.store.schema import upgrade
from hub.store.tables import StoredMachineChange, register_boot
from tests.hub.equipment.scripted import ScriptedView, machine, machines
from tests.redis_server import eventually

pytestmark = pytest.mark.anyio

DOWN = {"name": "down", "match": {"feed": "fab"}, "metric": "status_category", "equals": "DOWN", "cooldown": "0s"}


@dataclass
class Hub:
    """What feeds need of one, at work."""

    feeds: Feeds
    alerts: AlertService
    supervisor: Supervisor
    database: Database

    def open_alerts(self, rule: str = "down") -> list[str]:
        """The last parts of their subjects."""
        return sorted(_last(alert) for alert in self.alerts.open_alerts() if alert.rule == rule)

    async def changes(self) -> list[tuple[int, str | None, str | None]]:
        """Every row of history: machine, old, new."""

        def rows(session: Session) -> list[StoredMachineChange]:
            return list(session.exec(select(StoredMachineChange).order_by("id")))

        return [(int(row.subject[-16:], 16), row.old, row.new) for row in await self.database.read(rows)]


def fab(**keys: Any) -> SampleEquipmentFeed:
    return SampleEquipmentFeed(kind="sample-equipment", id="fab", **keys)


@pytest.fixture
def view(monkeypatch: pytest.MonkeyPatch) -> ScriptedView:
    """What every feed reads."""
    scripted = ScriptedView()
    monkeypatch.setattr("hub.equipment.feeds.source_of", lambda *args: scripted.source())
    return scripted


Running = Callable[..., Any]


@pytest.fixture
def running(tmp_path: Path) -> Running:
    """Opens a hub on the data of the one before."""

    @asynccontextmanager
    async def opened(*configs: SampleEquipmentFeed, rule: dict[str, Any] = DOWN) -> AsyncIterator[Hub]:
        clock = Clock()
        config = AlertsConfig.model_validate({"rules": [rule]})
        async with open_database(f"sqlite:///{tmp_path / 'hub.db'}") as database:
            await database.write(upgrade)
            boot = await database.write(lambda session: register_boot(session, clock.now(), "1"))
            recorder = Recorder(database, boot, clock, interval_s=0.01)
            alerts = AlertService(database, clock, "site", "UTC", {})
            alerts.configure(config)
            async with Supervisor("sinks", clock) as sinks:
                sinks.spawn("recorder", recorder.run)
                sinks.spawn("alerts", alerts.run)
                async with Supervisor("feeds", clock) as supervisor:
                    feeds = Feeds(supervisor, database, recorder, alerts, clock, "UTC", None)
                    await feeds.open(configs)
                    await alerts.restore()
                    feeds.start()
                    yield Hub(feeds, alerts, supervisor, database)
                await eventually(lambda: not alerts.pending and not recorder.pending)

    return opened


async def test_a_machine_is_a_subject_with_the_label_of_its_feed(view: ScriptedView, running: Running) -> None:
    view.show(machine(1, "PRD"), machine(2, "UDT"))
    async with running(fab()) as hub:
        await eventually(lambda: bool(hub.open_alerts()))
        assert hub.open_alerts() == [f"{2:016x}"]
        assert hub.alerts.labels_of(f"equipment/fab/{1:016x}") == {"feed": "fab"}
        view.show(machine(1, "SDT"), machine(2, "PRD"))
        await hub.feeds.feeds["fab"].refresh(force=True)
        await eventually(lambda: hub.open_alerts() == [f"{1:016x}"])


async def test_a_rule_about_machines_in_a_state_follows_them(view: ScriptedView, running: Running) -> None:
    rule = {**DOWN, "equipment": {"category": ["DOWN"]}, "metric": "lot_count", "below": 1}
    del rule["equals"]
    view.show(machine(1, "PRD"), machine(2, "UDT"))
    async with running(fab(), rule=rule) as hub:
        await eventually(lambda: hub.open_alerts() == [f"{2:016x}"])
        view.show(machine(1, "SDT"), machine(2, None))
        await hub.feeds.feeds["fab"].refresh(force=True)
        await eventually(lambda: hub.open_alerts() == [f"{1:016x}"])


async def test_a_machine_that_leaves_the_view_leaves_the_rules(view: ScriptedView, running: Running) -> None:
    view.show(machine(1, "UDT"), machine(2, "UDT"))
    async with running(fab()) as hub:
        await eventually(lambda: len(hub.open_alerts()) == 2)
        view.show(machine(1, "UDT"))
        await hub.feeds.feeds["fab"].refresh(force=True)
        await eventually(lambda: hub.open_alerts() == [f"{1:016x}"])
        assert hub.alerts.needs(f"equipment/fab/{2:016x}", 1.0).every_s is None
    assert (await _history(running))[-1] == (2, "UDT", None)


async def test_a_restart_neither_invents_nor_loses_a_change(view: ScriptedView, running: Running) -> None:
    view.show(machine(1, "PRD"), machine(2, "UDT"), machine(3, None))
    seen = [(1, None, "PRD"), (2, None, "UDT")]
    async with running(fab()) as hub:
        await eventually(lambda: hub.open_alerts() == [f"{2:016x}"])
    async with running(fab()) as hub:
        await eventually(lambda: hub.feeds.feeds["fab"].plant is not None and not hub.alerts.pending)
        assert hub.open_alerts() == [f"{2:016x}"]
        assert await hub.changes() == seen
    view.show(machine(1, "SBY"), machine(3, "PRD"))
    async with running(fab()) as hub:
        await eventually(lambda: not hub.open_alerts())
    assert await _history(running) == [*seen, (1, "PRD", "SBY"), (3, None, "PRD"), (2, "UDT", None)]


async def test_a_changed_feed_goes_on_where_it_was(view: ScriptedView, running: Running) -> None:
    view.show(machine(1, "UDT"))
    async with running(fab()) as hub:
        await eventually(lambda: len(hub.open_alerts()) == 1)
        before = hub.feeds.feeds["fab"]
        [alert] = [alert.id for alert in hub.alerts.open_alerts()]
        view.asked = anyio.Event()
        await hub.feeds.change(fab(interval="5s"))
        await view.asked.wait()
        feed = hub.feeds.feeds["fab"]
        assert (feed is before, feed.interval_s) == (False, 5.0)
        await eventually(lambda: feed.plant is not None)
        assert [alert.id for alert in hub.alerts.open_alerts()] == [alert]
    assert await _history(running) == [(1, None, "UDT")]


async def test_a_removed_feed_takes_its_machines_and_alerts_with_it(view: ScriptedView, running: Running) -> None:
    view.show(*machines(120, "UDT"))
    async with running(fab()) as hub:
        await eventually(lambda: len(hub.open_alerts()) == 120)
        await hub.feeds.remove("fab")
        assert hub.alerts.open_alerts() == []
        assert (hub.feeds.feeds, list(hub.supervisor.children)) == ({}, [])
        assert hub.alerts.needs("hub/feed/fab", 1.0).every_s is None
        hub.feeds.add(fab())
        await eventually(lambda: len(hub.open_alerts()) == 120)
        assert hub.supervisor.children["feed/fab"].state is ChildState.RUNNING
    assert len(await _history(running)) == 120


async def test_alerts_of_a_feed_that_is_no_longer_configured_close_at_the_start(
    view: ScriptedView, running: Running
) -> None:
    view.show(machine(1, "UDT"))
    async with running(fab()) as hub:
        await eventually(lambda: len(hub.open_alerts()) == 1)
    async with running() as hub:
        assert hub.open_alerts() == []


async def test_a_feed_that_is_stale_is_an_alert_until_it_is_back_even_after_a_restart(
    view: ScriptedView, running: Running
) -> None:
    view.show(machine(1, "UDT"))
    view.fails = OracleUnavailable("ORA-03113", "gone")
    async with running(fab(interval="1s")) as hub:
        await eventually(lambda: hub.open_alerts("feed-failing") == ["fab"])
        [alert] = hub.alerts.open_alerts()
    async with running(fab(interval="1s")) as hub:
        assert [alert.id] == [each.id for each in hub.alerts.open_alerts()]
        view.fails = None
        await eventually(lambda: not hub.open_alerts("feed-failing"))


async def test_a_refused_answer_is_an_alert_and_the_machines_stay(view: ScriptedView, running: Running) -> None:
    view.show(*machines(10, "UDT"))
    async with running(fab(interval="1s")) as hub:
        await eventually(lambda: len(hub.open_alerts()) == 10)
        view.show(machine(1, "PRD"))
        await eventually(lambda: hub.open_alerts("feed-failing") == ["fab"])
        assert len(hub.open_alerts()) == 10
        view.show(*machines(9, "UDT"))
        await eventually(lambda: not hub.open_alerts("feed-failing"))
        assert len(hub.open_alerts()) == 9


def _last(alert: Alert) -> str:
    return alert.subject.rpartition("/")[2]


async def _history(running: Running) -> list[tuple[int, str | None, str | None]]:
    """Read by the next hub, once the one before has written everything."""
    async with running() as after:
        rows: list[tuple[int, str | None, str | None]] = await after.changes()
        return rows


async def test_an_emptied_view_is_an_alert_until_a_good_answer_comes(view: ScriptedView, running: Running) -> None:
    view.show(machine(1, "PRD"), machine(2, "PRD"))
    async with running(fab()) as hub:
        feed = hub.feeds.feeds["fab"]
        await eventually(lambda: feed.plant is not None)
        view.show()
        assert (await feed.ask_refresh(force=True)).kind == "refused"
        await eventually(lambda: hub.open_alerts("feed-failing") == ["fab"])
        for _ in range(3):
            assert (await feed.ask_refresh()).kind == "refused"
        assert hub.open_alerts("feed-failing") == ["fab"]
        assert feed.health == "degraded"
        view.show(machine(1, "PRD"))
        assert (await feed.ask_refresh(force=True)).kind == "refreshed"
        await eventually(lambda: not hub.open_alerts("feed-failing"))
        assert feed.health == "ok"
