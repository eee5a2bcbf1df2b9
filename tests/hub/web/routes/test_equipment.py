"""Machines over HTTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.equipment.feed import EquipmentFeed
from hub.oracle.connection import OracleUnavailable
from hub.runtime.clock import Clock
from hub.trace.cache import EventCache
from hub.trace.pipeline import TracePipeline
from hub.trace.sample import SampleHistory
from tests.hub.equipment.scripted import ScriptedView, SetClock, machine
from tests.hub.web.parts import TOKENS, Site, until

pytestmark = pytest.mark.anyio

PLANT = (
    machine(1, "PRD", EQUIPMENTID="GWBK-0001", OBJECTCATEGORY="ASSEMBLY", RUNCARDLOTID="GA26031100-A00-003"),
    machine(2, "UDT", EQUIPMENTID="GWBK-0002"),
    machine(3, "SDT", EQUIPMENTID="GDBA-0003", OBJECTCATEGORY="WAFERSORT", RUNCARDLOTID="GA26031100-A00-004"),
    machine(3, "SDT", EQUIPMENTID="GDBA-0003", OBJECTCATEGORY="WAFERSORT", RUNCARDLOTID="GA26031100-A00-003"),
)


def add_feed(site: Site, view: ScriptedView, feed_id: str = "fab", clock: Clock | None = None) -> EquipmentFeed:
    """A feed that reads only when it is told to."""
    feed = site.parts.feeds[feed_id] = EquipmentFeed(feed_id, view.source(), clock or site.parts.clock, 60.0)
    return feed


@asynccontextmanager
async def fab(site: Site, token: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a hub with one feed that has been read."""
    await add_feed(site, ScriptedView(*PLANT)).refresh()
    async with site.client(token) as client:
        yield client


def ids(body: dict[str, Any], key: str = "items") -> list[int]:
    """Numbers of the machines."""
    return [int(record["RESOURCEID"], 16) for record in body[key]]


async def test_the_whole_plant_with_its_age(site: Site) -> None:
    async with fab(site) as client:
        answer = await client.get("/api/equipment")
    body = answer.json()
    assert ids(body) == [1, 2, 3]
    assert (body["next_cursor"], body["stale"], body["source"]) == (None, False, "l1")
    assert body["age_s"] >= 0
    assert body["as_of"].endswith("Z")
    assert body["generation"] > 0
    assert answer.headers["etag"] == f'"{body["generation"]}"'
    assert answer.headers["cache-control"] == "private, no-cache"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("category=DOWN", [2, 3]),
        ("status=UDT", [2]),
        ("q=gwbk", [1, 2]),
        ("category=DOWN&q=GDBA", [3]),
        ("status=nothing", []),
        ("object_category=WAFERSORT", [3]),
        ("object_category=assembly", [1]),
        ("object_category=other", []),
        ("lot=GA26031100-A00-004", [3]),
        ("lot=ga26031100-a00-003", [1, 3]),
        ("lot=GA26031100-A00-00", []),
        ("lot=GA26031100-A00-003&object_category=ASSEMBLY", [1]),
    ],
)
async def test_filters(site: Site, query: str, found: list[int]) -> None:
    async with fab(site) as client:
        assert ids((await client.get(f"/api/equipment?{query}")).json()) == found


async def test_pages_follow_one_another(site: Site) -> None:
    async with fab(site) as client:
        first = (await client.get("/api/equipment?limit=2")).json()
        second = (await client.get("/api/equipment", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert (ids(first), ids(second), second["next_cursor"]) == ([1, 2], [3], None)


@pytest.mark.parametrize("query", ["category=BROKEN", "limit=0", "limit=x", "q=%00", f"feed={'x' * 100}"])
async def test_what_cannot_be_asked_is_a_problem_422(site: Site, query: str) -> None:
    async with fab(site) as client:
        answer = await client.get(f"/api/equipment?{query}")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


async def test_an_unchanged_plant_is_304_and_a_newer_one_is_sent(site: Site) -> None:
    async with fab(site) as client:
        tag = (await client.get("/api/equipment")).headers["etag"]
        for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
            for path in ("/api/equipment", f"/api/equipment/{1:016x}"):
                answer = await client.get(path, headers={"if-none-match": known})
                assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)
        assert (await client.get("/api/equipment", headers={"if-none-match": '"1"'})).status_code == 200
        await site.parts.feeds["fab"].refresh(force=True)
        answer = await client.get("/api/equipment", headers={"if-none-match": tag})
    assert answer.status_code == 200
    assert answer.headers["etag"] != tag


async def test_one_machine_and_one_that_is_not_there(site: Site) -> None:
    async with fab(site) as client:
        found = await client.get(f"/api/equipment/{2:016x}")
        missing = await client.get("/api/equipment/nowhere")
    assert found.json()["record"]["EQUIPMENTASSETSSTATUS"] == "UDT"
    assert found.json()["record"]["STATUS_CATEGORY"] == "DOWN"
    assert found.json()["stale"] is False
    assert missing.status_code == 404
    assert missing.json()["detail"] == "fab has no machine 'nowhere'"
    assert missing.json()["as_of"] == found.json()["as_of"]


async def test_a_lookup_says_what_it_found_and_what_it_missed(site: Site) -> None:
    wanted = [f"{3:016x}", "nowhere", f"{1:016x}", f"{3:016x}"]
    async with fab(site) as client:
        body = (await client.post("/api/equipment/lookup", json={"ids": wanted})).json()
        wrong = await client.post("/api/equipment/lookup", json={"ids": "nowhere"})
    assert (ids(body, "found"), body["missing"]) == ([3, 1], ["nowhere"])
    assert body["generation"] > 0
    assert wrong.status_code == 422


async def test_before_the_first_answer_every_read_is_503_with_the_reason_and_retry_after(site: Site) -> None:
    view = ScriptedView()
    view.fails = OracleUnavailable("ORA-12541", "no listener")
    await add_feed(site, view).refresh()
    async with site.client() as client:
        answers = [
            await client.get("/api/equipment"),
            await client.get("/api/equipment", headers={"if-none-match": "*"}),
            await client.get(f"/api/equipment/{1:016x}"),
            await client.post("/api/equipment/lookup", json={"ids": []}),
        ]
        status = (await client.get("/api/equipment/status")).json()
        health = await client.get("/healthz")
    assert {answer.status_code for answer in answers} == {503}
    assert {answer.headers["retry-after"] for answer in answers} == {"5"}
    assert {answer.json()["reason"] for answer in answers} == {"no listener"}
    assert (status["loaded"], status["machines"], status["last_outcome"]) == (False, None, "failed")
    assert status["last_error"] == {"code": "ORA-12541", "text": "no listener"}
    assert (health.status_code, health.json()["checks"]["equipment"]["status"]) == (200, "degraded")


async def test_the_status_of_a_feed(site: Site) -> None:
    async with fab(site) as client:
        status = (await client.get("/api/equipment/status")).json()
    assert (status["feed"], status["machines"], status["rows"], status["last_outcome"]) == (
        "fab",
        3,
        4,
        "refreshed",
    )
    assert (status["stale"], status["degraded"], status["health"]) == (False, False, "ok")
    assert status["age_s"] >= 0


async def test_without_a_feed_there_is_no_equipment(site: Site) -> None:
    async with site.client() as client:
        answer = await client.get("/api/equipment")
        health = (await client.get("/healthz")).json()["checks"]["equipment"]
    assert answer.status_code == 404
    assert "feeds" in answer.json()["detail"]
    assert health["status"] == "ok"


async def test_of_several_feeds_one_is_chosen(site: Site) -> None:
    async with fab(site) as client:
        await add_feed(site, ScriptedView(machine(9, "SBY")), "pilot").refresh()
        assert ids((await client.get("/api/equipment")).json()) == [1, 2, 3]
        assert ids((await client.get("/api/equipment?feed=pilot")).json()) == [9]
        assert (await client.get("/api/equipment/status?feed=pilot")).json()["feed"] == "pilot"
        answer = await client.get("/api/equipment?feed=other")
    assert (answer.status_code, answer.json()["detail"]) == (404, "there is no feed 'other'")


async def test_a_refresh_tells_how_it_ended(site: Site) -> None:
    view = ScriptedView(*PLANT)
    site.tasks.start_soon(add_feed(site, view).run)
    async with site.client() as client:
        await until(lambda: site.parts.feeds["fab"].plant is not None)
        fresh = (await client.post("/api/equipment/refresh")).json()
        forced = (await client.post("/api/equipment/refresh?force=true")).json()
        view.fails = OracleUnavailable("ORA-03113", "gone")
        failed = (await client.post("/api/equipment/refresh?force=true")).json()
    assert (fresh["outcome"], forced["outcome"], forced["machines"]) == ("fresh", "refreshed", 3)
    assert forced["generation"] > fresh["generation"]
    assert (failed["outcome"], failed["reason"], failed["code"]) == ("failed", "gone", "ORA-03113")
    assert (failed["generation"], failed["stale"]) == (forced["generation"], False)


async def test_an_empty_view_is_refused_until_a_good_answer_or_consent(site: Site) -> None:
    view = ScriptedView(*PLANT)
    site.tasks.start_soon(add_feed(site, view).run)
    async with site.client() as client:
        await until(lambda: site.parts.feeds["fab"].plant is not None)
        view.show()
        forced = (await client.post("/api/equipment/refresh?force=true")).json()
        again = (await client.post("/api/equipment/refresh")).json()
        status = (await client.get("/api/equipment/status")).json()
        health = (await client.get("/healthz")).json()["checks"]["equipment"]
        metrics = (await client.get("/metrics")).text
        accepted = (await client.post("/api/equipment/refresh?accept_shrunken=true")).json()
        after = (await client.get("/api/equipment/status")).json()
    reason = "the view is empty; the last good answer had 3 machines"
    assert [(one["outcome"], one["reason"], one["code"]) for one in (forced, again)] == [
        ("refused", reason, "REFUSED")
    ] * 2
    assert (status["last_outcome"], status["last_reason"]) == ("refused", reason)
    assert (status["last_error"], status["consecutive_failures"]) == ({"code": "REFUSED", "text": reason}, 1)
    assert (status["health"], status["machines"], health["status"]) == ("degraded", 3, "degraded")
    assert 'hub_feed_failures{feed="fab"} 1.0' in metrics
    assert (accepted["outcome"], accepted["machines"]) == ("refreshed", 0)
    assert (after["last_error"], after["health"], after["machines"]) == (None, "ok", 0)


async def test_a_refresh_that_takes_long_is_202_and_goes_on(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.web.routes.equipment._REFRESH_S", 0.05)
    view = ScriptedView(*PLANT)
    site.tasks.start_soon(add_feed(site, view).run)
    async with site.client() as client:
        await until(lambda: site.parts.feeds["fab"].plant is not None)
        view.takes_s = 0.3
        answer = await client.post("/api/equipment/refresh?force=true")
        before = answer.json()["generation"]
        await until(lambda: site.parts.feeds["fab"].head.generation != before)
    assert (answer.status_code, answer.json()["outcome"]) == (202, "running")
    assert view.queries == 2


async def test_a_feed_that_does_not_run_cannot_be_refreshed(site: Site) -> None:
    async with fab(site) as client:
        answer = await client.post("/api/equipment/refresh")
    assert answer.status_code == 409
    assert answer.json()["detail"].endswith("does not run; start it: POST /api/supervisor/feed/fab/start")


async def test_a_viewer_reads_and_only_an_operator_refreshes(guarded: Site) -> None:
    async with fab(guarded, TOKENS[0]["token"]) as viewer, guarded.client(TOKENS[1]["token"]) as operator:
        assert (await viewer.get("/api/equipment")).status_code == 200
        assert (await viewer.post("/api/equipment/lookup", json={"ids": []})).status_code == 200
        assert (await viewer.post("/api/equipment/refresh")).status_code == 403
        assert (await operator.post("/api/equipment/refresh")).status_code == 409  # nobody runs this feed
    async with guarded.client() as stranger:
        assert (await stranger.get("/api/equipment")).status_code == 401


@pytest.mark.parametrize(("age_s", "health", "code"), [(130.0, "degraded", 200), (370.0, "unhealthy", 503)])
async def test_a_feed_that_grows_old_is_degraded_and_then_unhealthy(
    site: Site, age_s: float, health: str, code: int
) -> None:
    clock = SetClock()
    await add_feed(site, ScriptedView(*PLANT), clock=clock).refresh()
    clock.ahead_s = age_s
    async with site.client() as client:
        answer, ready = await client.get("/healthz"), await client.get("/readyz")
        listed = await client.get("/api/equipment")
    assert (answer.status_code, answer.json()["status"]) == (code, health)
    assert answer.json()["checks"]["equipment"]["status"] == health
    assert ready.status_code == 200
    assert (listed.status_code, listed.json()["stale"]) == (200, True)
    assert listed.headers["etag"].endswith('-stale"')


async def test_feeds_are_in_the_metrics(site: Site) -> None:
    async with fab(site) as client:
        text = (await client.get("/metrics")).text
    assert 'hub_machines{category="DOWN",feed="fab"} 2.0' in text
    assert 'hub_feed_stale{feed="fab"} 0.0' in text
    assert 'hub_feed_queries_total{feed="fab"} 1.0' in text
    assert 'hub_feed_age_seconds{feed="fab"}' in text


async def test_every_cache_is_in_the_status_and_in_the_metrics(site: Site, tmp_path: Path) -> None:
    clock = site.parts.clock
    site.parts.trace = TracePipeline(
        SampleHistory(), tmp_path / "trace", clock, UTC, EventCache(None, clock, size=1000)
    )
    async with fab(site) as client:
        await client.get("/api/equipment")
        status = (await client.get("/api/equipment/status")).json()
        text = (await client.get("/metrics")).text
    plant, trace = status["caches"]
    assert (plant["name"], plant["enabled"], plant["entries"], plant["hits"]) == ("equipment/fab", False, 1, 1)
    assert (plant["ttl_s"], plant["keep_s"]) == (30.0, 86_400.0)
    assert (trace["name"], trace["size"], trace["unit"], trace["enabled"]) == ("trace", 1000, "bytes", False)
    assert status["enabled"] is False, "there is no Redis"
    for name in (
        "hits_total",
        "misses_total",
        "loads_total",
        "failures_total",
        "evictions_total",
        "size",
        "enabled",
    ):
        assert f'hub_cache_{name}{{cache="equipment/fab"}}' in text
        assert f'hub_cache_{name}{{cache="trace"}}' in text
