import anyio
import pytest

from hub.oracle.connection import OracleUnavailable
from tests.hub.equipment.scripted import Heard, ScriptedView, feed, machine, machines
from tests.redis_server import eventually, shared_redis
from tests.virtual_time import VirtualClock, virtual

pytestmark = pytest.mark.anyio


async def test_changes_and_samples_are_announced_once_per_plant() -> None:
    heard = Heard()
    view = ScriptedView(machine(1, "PRD"), machine(2, "SBY"))
    one = feed(view, callbacks=heard.callbacks())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.run)
        await eventually(lambda: len(heard.samples) == 8)
        assert heard.changes == []
        view.show(machine(1, "UDT", EQUIPMENTASSETSSTATUSREASON="Vacuum low"), machine(2, "SBY"))
        await one.refresh(force=True)
        await eventually(lambda: len(heard.samples) == 16)
        tasks.cancel_scope.cancel()
    [change] = heard.changes
    assert (change.subject, change.old, change.new) == (f"equipment/fab/{1:016x}", "PRD", "UDT")
    assert change.reason == "Vacuum low"
    values = {s.metric: s.value for s in heard.samples[8:] if s.subject.endswith("1")}
    assert values.pop("age_s") is not None
    assert values == {"status_category": "DOWN", "status": "UDT", "lot_count": 0.0}
    assert {s.cadence_s for s in heard.samples} == {300.0}
    assert all(s.at.tzinfo for s in heard.samples)


async def test_what_changed_while_the_hub_was_away_is_a_change() -> None:
    heard = Heard()
    view = ScriptedView(machine(1, "UDT"))
    one = feed(view, callbacks=heard.callbacks(), known={f"{1:016x}": "PRD"})
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.run)
        await eventually(lambda: bool(heard.changes))
        tasks.cancel_scope.cancel()
    assert [(each.old, each.new) for each in heard.changes] == [("PRD", "UDT")]


async def test_a_cycle_without_an_answer_announces_only_the_age() -> None:
    heard = Heard()
    view = ScriptedView(*machines(3))
    one = feed(view, callbacks=heard.callbacks())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.run)
        await eventually(lambda: len(heard.samples) == 12)
        view.fails = OracleUnavailable("ORA-03113", "gone")
        await one.refresh(force=True)
        await eventually(lambda: len(heard.samples) == 15)
        tasks.cancel_scope.cancel()
    assert {s.metric for s in heard.samples[12:]} == {"age_s"}


async def test_thousands_of_samples_come_in_chunks() -> None:
    heard = Heard()
    one = feed(ScriptedView(*machines(2600)), callbacks=heard.callbacks())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.run)
        await eventually(lambda: len(heard.samples) == 10_400)
        tasks.cancel_scope.cancel()
    assert max(heard.chunks) <= 100


async def test_staleness_is_reported_at_its_start_and_its_end() -> None:
    heard = Heard()
    view = ScriptedView(*machines(3))
    one = feed(view, interval_s=0.1, callbacks=heard.callbacks())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.run)
        await view.asked.wait()
        view.fails = OracleUnavailable("ORA-03113", "gone")
        await eventually(lambda: len(heard.stale) == 1)
        view.fails = None
        await eventually(lambda: len(heard.stale) == 2)
        tasks.cancel_scope.cancel()
    assert heard.stale == [("fab", True, "gone"), ("fab", False, None)]


async def test_a_refusal_is_reported_at_its_start_and_its_end_and_so_is_the_first_accepted_answer() -> None:
    heard = Heard()
    view = ScriptedView(*machines(10))
    one = feed(view, interval_s=0.1, callbacks=heard.callbacks())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.run)
        await eventually(lambda: one.head.generation is not None)
        view.show(*machines(2))
        await eventually(lambda: len(heard.refused) == 2)
        view.show(*machines(9))
        await eventually(lambda: len(heard.refused) == 3)
        tasks.cancel_scope.cancel()
    assert [(name, reason is None) for name, reason in heard.refused] == [
        ("fab", True),
        ("fab", False),
        ("fab", True),
    ]


async def test_a_hub_that_never_reads_announces_the_changes_that_another_has_read() -> None:
    async with shared_redis() as redis:
        view = ScriptedView(machine(1, "PRD"))
        heard = Heard()
        writer = feed(view, redis=redis)
        reader = feed(ScriptedView(machine(9)), redis=redis, callbacks=heard.callbacks())
        await writer.refresh()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(reader.run)
            await eventually(lambda: len(heard.samples) == 4 and reader.status()["last_outcome"] == "fresh")
            view.show(machine(1, "UDT"))
            assert (await writer.refresh(force=True)).kind == "refreshed"
            await eventually(lambda: bool(heard.changes))
            tasks.cancel_scope.cancel()
        assert [(each.old, each.new) for each in heard.changes] == [("PRD", "UDT")]
        assert reader.head.source == "l2"
        assert reader.head.generation == writer.head.generation


@virtual
async def test_a_standstill_of_the_hub_does_not_make_a_feed_stale_nor_end_that_it_is() -> None:
    heard, clock = Heard(), VirtualClock()
    one = feed(ScriptedView(*machines(3)), callbacks=heard.callbacks(), clock=clock)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one._watch_staleness)
        await anyio.sleep(590)
        clock.resumed_s = clock.steady()
        await anyio.sleep(500)
        assert heard.stale == []
        await anyio.sleep(200)
        assert heard.stale == [("fab", True, None)]
        clock.resumed_s = clock.steady()
        await anyio.sleep(100)
        assert heard.stale == [("fab", True, None)]
        tasks.cancel_scope.cancel()
