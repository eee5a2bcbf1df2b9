import json
from typing import Any

import anyio
import pytest

from hub.cache.redis import open_redis
from hub.equipment.feed import EquipmentFeed
from hub.equipment.reads import Found, Lookup, NotFound, Page, Unavailable
from hub.oracle.connection import OracleUnavailable
from tests.hub.equipment.plant import FIVE
from tests.hub.equipment.scripted import Heard, ScriptedView, SetClock, feed, machine, machines
from tests.redis_server import eventually, private_redis, shared_redis

pytestmark = pytest.mark.anyio

A1 = "48801680000000a1"


async def loaded(*cells: dict[str, Any], **options: Any) -> EquipmentFeed:
    one = feed(ScriptedView(*cells), **options)
    await one.refresh()
    return one


async def test_before_the_first_answer_every_read_is_unavailable_and_not_empty() -> None:
    one = feed(ScriptedView())
    for answer in (one.list(), one.get(A1), one.lookup([A1])):
        assert isinstance(answer, Unavailable)
        assert answer.head.as_json() == {
            "as_of": None,
            "age_s": None,
            "stale": True,
            "generation": None,
            "source": "none",
            "degraded": False,
        }
    status = one.status()
    assert (status["loaded"], status["machines"], status["categories"]) == (False, None, None)
    assert status["health"] == "degraded"


async def test_a_feed_that_never_had_an_answer_becomes_unhealthy() -> None:
    clock = SetClock()
    one = feed(ScriptedView(), interval_s=60.0, clock=clock)
    clock.ahead_s = 361.0
    assert one.health == "unhealthy"


async def test_a_failed_start_says_why_nothing_is_known() -> None:
    view = ScriptedView()
    view.fails = OracleUnavailable("DPY-6005", "cannot connect")
    one = feed(view)
    await one.refresh()
    answer = one.get(A1)
    assert isinstance(answer, Unavailable)
    assert answer.reason == "cannot connect"
    assert one.status()["last_error"] == {"code": "DPY-6005", "text": "cannot connect"}


async def test_one_machine_is_found_or_not_found() -> None:
    one = await loaded(*FIVE)
    found = one.get(A1 + "  ")
    assert isinstance(found, Found)
    body = json.loads(found.body())
    assert body["record"]["EQUIPMENTID"] == "GWBK-9001"
    assert (body["source"], body["stale"], body["generation"]) == ("l1", False, one.head.generation)
    assert isinstance(one.get("nobody"), NotFound)


async def test_many_are_found_and_missing_each_once() -> None:
    one = await loaded(*FIVE)
    lookup = one.lookup([A1, "nobody", A1, "48801680000000b2"])
    assert isinstance(lookup, Lookup)
    body = json.loads(lookup.body())
    assert [record["RESOURCEID"] for record in body["found"]] == [A1, "48801680000000b2"]
    assert body["missing"] == ["nobody"]


async def test_the_body_of_a_list_is_json_with_its_head() -> None:
    page = (await loaded(*FIVE)).list()
    assert isinstance(page, Page)
    body = json.loads(page.body())
    assert [item["EQUIPMENTID"] for item in body["items"]] == ["GWBK-9001", "GDBA-9002", "GWSR-9003"]
    assert set(body) == {*("items", "next_cursor", "as_of", "age_s", "stale", "generation", "source", "degraded")}
    assert body["next_cursor"] is None


async def test_reads_are_counted_as_hits_and_misses() -> None:
    view = ScriptedView(*FIVE)
    one = feed(view)
    one.get(A1)
    await one.refresh()
    one.get(A1)
    one.list()
    one.lookup([A1])
    assert (one.status()["l1"]["misses"], one.status()["l1"]["hits"]) == (1, 3)


async def test_an_empty_selection_is_an_empty_page() -> None:
    page = (await loaded(*FIVE)).list(category="STANDBY")
    assert isinstance(page, Page)
    assert json.loads(page.body())["items"] == []


async def test_pages_together_are_the_list_even_over_a_refresh() -> None:
    view = ScriptedView(*machines(7))
    one = feed(view)
    await one.refresh()
    seen: list[str] = []
    cursor = None
    for _ in range(10):
        page = one.list(limit=3, cursor=cursor)
        assert isinstance(page, Page)
        seen += [each.resource_id for each in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
        view.show(*[each for each in machines(7) if each["RESOURCEID"] != cursor])
        await one.refresh(force=True)
    assert seen == [f"{number:016x}" for number in range(7)]


async def test_a_cursor_keeps_to_its_filter() -> None:
    one = await loaded(*machines(4), *[machine(number, "UDT") for number in range(4, 8)])
    page = one.list(category="DOWN", limit=2)
    assert isinstance(page, Page)
    rest = one.list(category="DOWN", limit=2, cursor=page.next_cursor)
    assert isinstance(rest, Page)
    assert [m.resource_id[-1] for m in (*page.items, *rest.items)] == ["4", "5", "6", "7"]
    assert rest.next_cursor is None


async def test_the_etag_moves_with_the_generation_and_with_staleness() -> None:
    clock = SetClock()
    one = await loaded(*FIVE, clock=clock)
    first = one.head.etag
    assert one.head.etag == first
    clock.ahead_s = 601
    assert one.head.stale
    stale = one.head.etag
    await one.refresh()
    assert len({first, stale, one.head.etag}) == 3


async def test_the_age_counts_from_the_start_of_the_query() -> None:
    view = ScriptedView(*FIVE)
    view.takes_s = 0.2
    one = feed(view)
    await one.refresh()
    assert one.head.age_s is not None
    assert 0.2 <= one.head.age_s < 2


async def test_the_status_reports_the_faults_of_the_view() -> None:
    clock = SetClock()
    one = await loaded(*FIVE, {"EQUIPMENTID": "x"}, machine(1, "ODD"), clock=clock)
    status = one.status()
    assert (status["machines"], status["rows"], status["dropped_rows"]) == (4, 7, 1)
    assert status["unknown_codes"] == {"ODD": 1}
    assert status["categories"]["PRODUCTIVE"] == 1
    assert (status["ou_percent"], status["availability_percent"]) == (50.0, 50.0)
    assert (status["last_outcome"], status["health"], status["stale"]) == ("refreshed", "ok", False)
    json.dumps(status)
    clock.ahead_s = 601
    assert (one.status()["health"], one.status()["stale"]) == ("degraded", True)
    clock.ahead_s = 1801
    assert one.status()["health"] == "unhealthy"


async def test_running_it_reads_at_once_and_then_each_interval() -> None:
    view = ScriptedView(*FIVE)
    one = feed(view, interval_s=0.1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.run)
        await eventually(lambda: view.queries >= 4)
        tasks.cancel_scope.cancel()
    gaps = [after - before for before, after in zip(view.asked_at, view.asked_at[1:], strict=False)]
    assert all(gap > 0.08 for gap in gaps)


async def test_a_dead_redis_is_degraded_and_everything_is_still_served() -> None:
    async with private_redis() as server, open_redis(server.url) as redis:
        one = await loaded(*FIVE, redis=redis)
        await server.stop()
        await one.refresh(force=True)
        assert isinstance(one.get(A1), Found)
        assert (one.head.degraded, one.status()["health"]) == (True, "degraded")
        await server.start()
        await one.refresh(force=True)
        assert (one.head.degraded, one.status()["health"]) == (False, "ok")


async def test_every_hub_on_one_redis_knows_of_a_refusal_and_of_its_end() -> None:
    async with shared_redis() as redis:
        view = ScriptedView(*machines(6))
        heard = Heard()
        one, other = feed(view, redis=redis), feed(view, redis=redis, callbacks=heard.callbacks())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.run)
            tasks.start_soon(other.run)
            await eventually(lambda: one.plant is not None and other.plant is not None)
            view.show()
            assert (await one.ask_refresh(force=True)).kind == "refused"
            await eventually(lambda: other.status()["last_outcome"] == "refused")
            assert (other.health, other.status()["consecutive_failures"]) == ("degraded", 1)
            assert heard.refused[-1] == ("fab", one.status()["last_reason"])
            assert (await other.ask_refresh()).kind == "refused"
            view.show(*machines(5))
            assert (await one.ask_refresh(force=True)).kind == "refreshed"
            await eventually(lambda: other.health == "ok")
            assert heard.refused[-1] == ("fab", None)
            assert other.status()["last_error"] is None
            tasks.cancel_scope.cancel()
