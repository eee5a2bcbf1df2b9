"""Trace over HTTP, on the sample plant and on the test Oracle."""

import json
from collections.abc import AsyncIterator
from datetime import UTC
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from hub.runtime.clock import Clock
from hub.simulators.oracle import open_oracle
from hub.trace.cache import EventCache
from hub.trace.jobs import JobLimits
from hub.trace.pipeline import Seeds, TracePipeline
from hub.trace.quality import Tally
from hub.trace.sample import SampleHistory, id_of
from hub.web.http.slots import CallerSlots
from hub.web.routes.app import create_app
from tests.hub.trace.pipeline_site import ids, lanes_to, open_trace
from tests.hub.web.parts import TOKENS, Site, until
from tests.redis_server import eventually

pytestmark = pytest.mark.anyio

COMPLETE = {"status": "complete", "reasons": [], "failed_ranges": [], "truncated": False}
LOTS = [id_of(lot) for lot in range(1200)]


@pytest.fixture
async def tracing(site: Site, tmp_path: Path) -> AsyncIterator[Site]:
    """A site with the trace of the sample plant."""
    clock = Clock()
    trace = TracePipeline(SampleHistory(), tmp_path / "trace", clock, UTC, EventCache(None, clock))
    site.parts.trace = trace
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(trace.run)
        await until(lambda: trace.jobs.is_running)
        yield site
        tasks.cancel_scope.cancel()


async def post(site: Site, path: str, **body: Any) -> httpx.Response:
    async with site.client() as client:
        return await client.post(f"/api/trace/{path}", json=body)


async def finished(client: httpx.AsyncClient, url: str) -> dict[str, Any]:
    with anyio.fail_after(60):
        while True:
            found: dict[str, Any] = (await client.get(url)).json()
            if found["status"] != "running":
                return found
            await anyio.sleep(0.02)


async def test_a_newcomer_traces_a_lot_of_the_sample_plant(tracing: Site) -> None:
    seed = (await post(tracing, "seed", profile="query_tool", params={"lot_id": ["GA26000120-A00-007"]})).json()
    assert (seed["stage"], seed["seed_count"], seed["quality"]["status"]) == ("seed", 1, "complete")
    found = [one["container_id"] for one in seed["seeds"]]
    lineage = (await post(tracing, "lineage", container_ids=found, direction="ancestors")).json()
    assert lineage["node_count"] == len(lineage["nodes"]) == 5
    assert {edge["type"] for edge in lineage["edges"]} == {"split_from", "merge_source"}
    assert lineage["quality"] == {**COMPLETE, "observed_rows": 5}
    nodes = [node["container_id"] for node in lineage["nodes"]]
    reply = await post(tracing, "events", container_ids=nodes, domains=["history", "holds"])
    assert reply.status_code == 200
    events = reply.json()
    history = events["results"]["history"]
    assert history["count"] == len(history["data"]) == 15
    assert {row["CONTAINERID"] for row in history["data"]} == set(nodes)
    assert history["quality"] == {**COMPLETE, "observed_rows": 15}
    total = sum(one["count"] for one in events["results"].values())
    assert events["quality"] == {**COMPLETE, "observed_rows": total}


async def test_an_inline_answer_leaves_no_file(tracing: Site) -> None:
    await post(tracing, "events", container_ids=LOTS[:3], domains=["history"])
    assert tracing.parts.trace is not None
    assert [path async for path in anyio.Path(tracing.parts.trace.jobs.folder).iterdir()] == []


async def test_many_ids_become_a_job_that_is_read_by_pages(tracing: Site) -> None:
    reply = await post(tracing, "events", container_ids=LOTS, domains=["history"])
    accepted = reply.json()
    assert reply.status_code == 202
    assert reply.headers["location"] == accepted["status_url"] == f"/api/trace/jobs/{accepted['job_id']}"
    assert "restart" in accepted["note"]
    async with tracing.client() as client:
        job = await finished(client, accepted["status_url"])
        assert (job["status"], job["quality"]["observed_rows"]) == ("finished", 3600)
        assert job["expires_at"] > job["ended_at"] > job["created_at"]
        events, rows, cursor = f"{accepted['status_url']}/events", [], None
        while True:
            params: dict[str, str | int] = {"domain": "history", "limit": 1000}
            params |= {"cursor": cursor} if cursor else {}
            page = (await client.get(events, params=params)).json()
            assert page["quality"] == {**COMPLETE, "observed_rows": 3600}
            rows += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        streamed = (await client.get(events, params={"format": "ndjson"})).text.splitlines()
        assert [json.loads(line) for line in streamed[:-1]] == rows
        assert json.loads(streamed[-1]) == {"quality": {**COMPLETE, "observed_rows": 3600}}
        assert (await client.delete(accepted["status_url"])).status_code == 200
        gone = await client.get(accepted["status_url"])
        assert (gone.status_code, gone.headers["content-type"]) == (404, "application/problem+json")
        assert "restart" in gone.json()["detail"]


async def test_a_large_lineage_is_a_job_with_nodes_and_edges(tracing: Site) -> None:
    accepted = (await post(tracing, "lineage", container_ids=LOTS, direction="descendants")).json()
    async with tracing.client() as client:
        job = await finished(client, accepted["status_url"])
        assert job["kind"] == "lineage"
        assert set(job["parts"]) == {"nodes", "edges"}
        page = (await client.get(f"{accepted['status_url']}/events", params={"domain": "edges", "limit": 1})).json()
        assert page["items"][0].keys() == {"source", "target", "type"}
        missing = await client.get(f"{accepted['status_url']}/events")
        assert (missing.status_code, "nodes, edges" in missing.json()["detail"]) == (422, True)


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("seed", {"profile": "other", "params": {}}, "query_tool"),
        ("seed", {"profile": "query_tool", "params": {}}, "lot_id"),
        ("seed", {"profile": "query_tool"}, "params"),
        ("lineage", {"container_ids": []}, "container_ids"),
        ("lineage", {"container_ids": ["a"], "direction": "up"}, "ancestors"),
        ("events", {"container_ids": ["a"], "domains": []}, "domains"),
        ("events", {"container_ids": ["a"], "domains": ["nothing"]}, "history"),
        ("events", {"container_ids": ["a", "x" * 65], "domains": ["history"]}, "index 1"),
        ("events", {"container_ids": ["a\n"], "domains": ["history"]}, "index 0"),
        ("events", {"container_ids": ["  "], "domains": ["history"]}, "index 0"),
        ("events", {"container_ids": [1] * 1000, "domains": ["history"]}, "container_ids.0"),
        ("events", {"container_ids": ["a"], "domains": ["history"], "profile": 1}, "profile"),
    ],
)
async def test_what_cannot_be_asked_is_refused_in_one_answer(
    tracing: Site, path: str, body: dict[str, Any], says: str
) -> None:
    reply = await post(tracing, path, **body)
    assert (reply.status_code, reply.headers["content-type"]) == (422, "application/problem+json")
    assert says in reply.text
    assert len(reply.content) < 5000


async def test_a_body_with_a_hundred_thousand_ids_is_taken_and_a_larger_one_is_not(tracing: Site) -> None:
    many = [f"48801a80{number:08x}" for number in range(114_892)]
    reply = await post(tracing, "events", container_ids=many, domains=["jobs"])
    assert reply.status_code == 202
    async with tracing.client() as client:
        assert (await client.delete(reply.json()["status_url"])).json()["status"] == "cancelled"
    too_many = await post(tracing, "events", container_ids=many * 3, domains=["history"])
    assert too_many.status_code == 413


async def test_a_cursor_that_is_none_is_refused(tracing: Site) -> None:
    accepted = (await post(tracing, "events", container_ids=LOTS, domains=["history"])).json()
    async with tracing.client() as client:
        await finished(client, accepted["status_url"])
        for cursor in ("7", "999999999", "x"):
            for form in ("json", "ndjson"):
                params = {"cursor": cursor, "format": form}
                reply = await client.get(f"{accepted['status_url']}/events", params=params)
                assert (reply.status_code, reply.headers["content-type"]) == (422, "application/problem+json")


async def test_without_a_feed_there_is_no_trace(site: Site) -> None:
    reply = await post(site, "seed", profile="query_tool", params={"lot_id": ["x"]})
    assert reply.status_code == 404
    assert "no equipment feed" in reply.json()["detail"]


async def test_a_viewer_may_trace_and_a_stranger_may_not(guarded: Site, tmp_path: Path) -> None:
    async with guarded.client() as client:
        assert (await client.get("/api/trace/status")).status_code == 401
    async with guarded.client("viewer-0123456789abcdef") as client:
        assert (await client.get("/api/trace/status")).status_code == 404


async def test_above_the_memory_limit_a_large_request_is_asked_to_come_back(site: Site, tmp_path: Path) -> None:
    async with open_oracle() as server, open_trace(server, tmp_path, limits=JobLimits(max_rss=1)) as trace:
        site.parts.trace = trace
        assert (await post(site, "events", container_ids=ids(5), domains=["history"])).status_code == 200
        reply = await post(site, "events", container_ids=ids(1001), domains=["history"])
        assert (reply.status_code, reply.headers["retry-after"]) == (503, "60")
        assert "MB" in reply.json()["detail"]


async def test_a_busy_database_is_a_503_and_a_running_job_says_how_far_it_is(site: Site, tmp_path: Path) -> None:
    async with open_oracle() as server:
        server.faults.hang = "LOTWIPHISTORY"
        lanes = lanes_to(server, bulk_sessions=2)
        lanes.bulk.admission._longest_wait_s = 0.05
        async with open_trace(server, tmp_path, lanes=lanes) as trace:
            site.parts.trace = trace
            accepted = (await post(site, "events", container_ids=ids(5000), domains=["history"])).json()
            await eventually(lambda: server.counters.executing == 2)
            busy = await post(site, "events", container_ids=ids(5), domains=["history"])
            assert (busy.status_code, int(busy.headers["retry-after"]) >= 1) == (503, True)
            async with site.client() as client:
                job = (await client.get(accepted["status_url"])).json()
                assert (job["status"], job["progress"]["batches"]) == ("running", 6)
                early = await client.get(f"{accepted['status_url']}/events")
                assert (early.status_code, early.json()["progress"]["batches_done"]) == (409, 0)
                metrics = (await client.get("/metrics")).text
                assert 'hub_oracle_breaker_state{feed="fab",lane="bulk"} 0.0' in metrics
                assert 'hub_oracle_sessions{feed="fab",lane="bulk"} 2.0' in metrics
                assert 'hub_oracle_refused_total{feed="fab",lane="bulk"} 1.0' in metrics
                status = (await client.get("/api/trace/status")).json()
                assert status["database"]["reachable"] is True
                assert status["lanes"]["bulk"] == {"breaker": "closed", "sessions": 2, "waiting": 0, "refused": 1}
                cancelled = (await client.delete(accepted["status_url"])).json()
                assert (cancelled["status"], cancelled["quality"]["reasons"]) == ("cancelled", ["cancelled"])
                after = await client.get(f"{accepted['status_url']}/events")
                assert (after.status_code, "cancelled" in after.json()["detail"]) == (409, True)
            await eventually(lambda: server.counters.executing == 0)


async def test_failed_parts_are_in_the_reply(site: Site, tmp_path: Path) -> None:
    from hub.simulators.oracle import OraError

    async with open_oracle() as server, open_trace(server, tmp_path) as trace:
        site.parts.trace = trace
        server.faults.errors = {"HOLDRELEASE": OraError(942, "table or view does not exist")}
        reply = await post(site, "events", container_ids=ids(5), domains=["history", "holds"])
        quality = reply.json()["quality"]
        assert (reply.status_code, quality["status"]) == (200, "partial")
        assert quality["failed_ranges"][0]["code"] == "ORA-00942"
        assert "table or view" not in reply.text


async def test_one_viewer_cannot_fill_the_kept_results(guarded: Site, tmp_path: Path) -> None:
    async with open_oracle() as server, open_trace(server, tmp_path, limits=JobLimits(own_kept=2)) as trace:
        guarded.parts.trace = trace
        body = {"container_ids": ids(1001), "domains": ["history"]}
        async with guarded.client(TOKENS[0]["token"]) as viewer, guarded.client(TOKENS[1]["token"]) as other:
            for _ in range(2):
                accepted = (await viewer.post("/api/trace/events", json=body)).json()
                await finished(viewer, accepted["status_url"])
            reply = await viewer.post("/api/trace/events", json=body)
            assert (reply.status_code, "results of yours" in reply.json()["detail"]) == (503, True)
            assert (await other.post("/api/trace/events", json=body)).status_code == 202
            assert (await viewer.delete(accepted["status_url"])).status_code == 200
            assert (await viewer.post("/api/trace/events", json=body)).status_code == 202


async def test_traces_at_once_are_bounded_and_their_slots_are_freed(tracing: Site) -> None:
    app = create_app(tracing.parts)
    slots: CallerSlots = app.state.trace_slots
    body = {"profile": "query_tool", "params": {"lot_id": ["GA26000120-A00-007"]}}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8480") as client:
        assert [await slots.acquire("local") for _ in range(4)] == [True] * 4
        reply = await client.post("/api/trace/seed", json=body)
        assert (reply.status_code, reply.headers["retry-after"]) == (503, "2")
        for _ in range(4):
            slots.release("local")
        for _ in range(10):
            assert (await client.post("/api/trace/seed", json=body)).status_code == 200
        assert (await client.post("/api/trace/seed", json={**body, "params": {}})).status_code == 422
    assert slots.running == 0


async def test_very_many_seeds_are_one_document(tracing: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {f"{number:016x}": f"LOT {number}" for number in range(2500)}

    async def seed(*_: object) -> Seeds:
        return Seeds(names | {"none": None}, Tally(batches=0).quality())

    monkeypatch.setattr(tracing.parts.trace, "seed", seed)
    reply = (await post(tracing, "seed", profile="query_tool", params={"lot_id": ["x"]})).json()
    assert reply["seed_count"] == len(reply["seeds"]) == 2501
    assert {one["container_id"]: one["container_name"] for one in reply["seeds"]} == names | {"none": None}
    assert set(reply) == {"stage", "profile", "seeds", "seed_count", "quality"}
