"""Health over HTTP."""

import inspect
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from alerts.store.unstorable import Refused
from hub.database.quarantine import Quarantine
from hub.instruments.exchange import LinkDown
from hub.readings.snapshot import Failure
from hub.runtime.supervisor import ChildState
from hub.web.routes.alerts import alert_routes
from hub.web.routes.equipment import equipment_routes
from hub.web.routes.health import health_routes
from hub.web.routes.history import history_routes
from hub.web.routes.trace import trace_routes
from hub.web.routes.units import unit_routes
from tests.hub.web.parts import Site

pytestmark = pytest.mark.anyio


async def test_a_sound_hub_is_ok(site: Site) -> None:
    async with site.client() as client:
        answers = [await client.get(path) for path in ("/livez", "/readyz", "/healthz")]
    assert [(answer.status_code, answer.json()["status"]) for answer in answers] == [(200, "ok")] * 3
    assert answers[2].json()["checks"]["units"] == {"status": "ok", "units": 2, "unreachable": 0}


async def test_uptime_does_not_follow_a_wall_clock_that_was_set_back(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site.parts.clock, "now", lambda: datetime(1970, 1, 1, tzinfo=UTC))
    async with site.client() as client:
        assert 0 <= (await client.get("/healthz")).json()["uptime_s"] < 3600


async def test_a_rule_that_sees_nothing_is_degraded_and_still_200(site: Site) -> None:
    site.parts.units["gate-a"].uncovered_rules = ("night-limit",)
    async with site.client() as client:
        health, unit = await client.get("/healthz"), await client.get("/api/units/gate-a")
    assert (health.status_code, health.json()["status"]) == (200, "degraded")
    assert health.json()["checks"]["rules"] == {"status": "degraded", "uncovered": 1}
    assert unit.json()["uncovered_rules"] == ["night-limit"]


async def test_a_lost_meter_is_degraded_and_still_200(site: Site) -> None:
    site.links["gate-a"].failure = Failure.REFUSED
    for _ in range(3):
        with pytest.raises(LinkDown):
            await site.poll()
    async with site.client() as client:
        health, ready = await client.get("/healthz"), await client.get("/readyz")
    assert (health.status_code, health.json()["status"]) == (200, "degraded")
    assert ready.status_code == 200
    assert "gate-a" not in health.text


async def test_without_a_database_the_hub_is_not_ready_and_alive(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*of: object) -> None:
        raise OperationalError("SELECT password", None, Exception("secret text"))

    monkeypatch.setattr(site.parts.database, "_read", fail)
    async with site.client() as client:
        ready, alive = await client.get("/readyz"), await client.get("/livez")
        history = await client.get("/api/units/gate-a/history")
    assert (ready.status_code, ready.json()["checks"]["database"]["status"]) == (503, "down")
    assert alive.status_code == 200
    assert history.status_code == 503
    assert history.headers["retry-after"] == "5"
    assert "secret" not in history.text
    assert "SELECT" not in history.text


async def test_an_essential_child_that_does_not_run_is_not_ready(site: Site) -> None:
    child = site.parts.supervisors[0].spawn("recorder", anyio.sleep_forever, essential=True)
    async with site.client() as client:
        assert (await client.get("/readyz")).status_code == 200
        child.state = ChildState.RESTARTING
        answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["checks"]["essential"]["not_running"]) == (503, 1)


@pytest.mark.parametrize(
    ("table", "part"),
    [
        ("readings", "readings"),
        ("minutes", "readings"),
        ("transitions", "transitions"),
        ("alert_states", "transitions"),
        ("deliveries", "deliveries"),
        ("attempts", "deliveries"),
        ("receiver_holds", "deliveries"),
    ],
)
async def test_a_table_that_cannot_be_used_makes_the_hub_unready_until_it_can(
    site: Site, table: str, part: str
) -> None:
    await rename(site, table, "away")
    async with site.client() as client:
        ready, health = await client.get("/readyz"), await client.get("/healthz")
        await rename(site, "away", table)
        again = await client.get("/readyz")
    database = ready.json()["checks"]["database"]
    assert (ready.status_code, health.status_code, database["status"]) == (503, 503, "down")
    assert database["broken"] == {part: "without the tables of this version, run `hub db upgrade`"}
    assert again.status_code == 200


async def test_what_a_writer_was_refused_shows_though_the_tables_can_be_read(site: Site) -> None:
    outcomes = site.parts.database.outcomes
    now_s = 0.0
    outcomes.clock_s = lambda: now_s
    for now_s in (0.0, 2.5):  # noqa: B007
        outcomes.failed("deliveries", "write", "damaged")
    async with site.client() as client:
        answer = await client.get("/readyz")
        metrics = (await client.get("/metrics")).text
    assert (answer.status_code, answer.json()["checks"]["database"]["broken"]) == (503, {"deliveries": "damaged"})
    assert 'hub_storage_part_failing{part="deliveries"} 1.0' in metrics


async def test_upkeep_that_fails_leaves_the_hub_degraded_and_ready(site: Site) -> None:
    outcomes = site.parts.database.outcomes
    now_s = 0.0
    outcomes.clock_s = lambda: now_s
    for now_s in (0.0, 2.5):  # noqa: B007
        outcomes.failed("retention", "write", "locked")
    async with site.client() as client:
        ready, health = await client.get("/readyz"), await client.get("/healthz")
    assert (ready.status_code, health.status_code, health.json()["status"]) == (200, 200, "degraded")


async def test_health_answers_while_every_place_of_peoples_queries_is_taken(site: Site) -> None:
    inside, done = threading.Barrier(5), threading.Event()

    def sit(session: object) -> None:
        inside.wait(10)
        done.wait(10)

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(site.parts.database.query, sit)
        await anyio.to_thread.run_sync(inside.wait, 10)
        async with site.client() as client:
            answer = await client.get("/readyz")
        await site.parts.database.read(lambda session: None)  # so does the hub's own work
        done.set()
    assert answer.status_code == 200


async def test_no_dependency_of_a_route_needs_a_thread_of_those_that_all_share() -> None:
    """A plain function would wait for one, which others may hold."""

    def calls_of(dependant: Dependant) -> Iterator[Any]:
        for dependency in dependant.dependencies:
            yield dependency.call
            yield from calls_of(dependency)

    def is_awaited(call: Any) -> bool:
        function: Any = call if inspect.isroutine(call) else call.__call__
        return bool(inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function))

    groups = [health_routes(), history_routes(), unit_routes(), alert_routes(), equipment_routes(), trace_routes()]
    calls = [
        (route.path, call)
        for group in groups
        for route in group.routes
        if isinstance(route, APIRoute)
        for call in calls_of(route.dependant)
    ]
    assert calls
    assert [(path, call) for path, call in calls if not is_awaited(call)] == []


async def test_health_needs_no_thread_of_those_that_all_share(site: Site) -> None:
    everybodys = anyio.to_thread.current_default_thread_limiter()
    holders = [object() for _ in range(int(everybodys.available_tokens))]
    for holder in holders:
        everybodys.acquire_on_behalf_of_nowait(holder)
    try:
        async with site.client() as client:
            with anyio.fail_after(60):
                paths = ("/livez", "/readyz", "/healthz", "/api/units/gate-a/history")
                answers = [await client.get(path) for path in paths]
    finally:
        for holder in holders:
            everybodys.release_on_behalf_of(holder)
    assert [answer.status_code for answer in answers] == [200] * 4


async def test_rows_in_quarantine_leave_the_hub_degraded_until_people_move_them_away(
    site: Site, tmp_path: Path
) -> None:
    path = tmp_path / "quarantine.jsonl"
    site.parts.database.quarantine = Quarantine(path)
    await site.parts.database.set_aside([Refused("readings", {"lp": 1e99}, "DataError")])
    async with site.client() as client:
        health, metrics = (await client.get("/healthz")), (await client.get("/metrics")).text
        await anyio.Path(path).unlink()
        again = await client.get("/healthz")
    assert (health.status_code, health.json()["status"]) == (200, "degraded")
    assert health.json()["checks"]["quarantine"] == {"status": "degraded", "set_aside": 1}
    assert 'hub_rows_set_aside_total{table="readings"} 1.0' in metrics
    assert again.json()["checks"]["quarantine"]["status"] == "ok"


async def rename(site: Site, before: str, after: str) -> None:
    await site.parts.database.write(
        lambda session: session.execute(text(f"ALTER TABLE {before} RENAME TO {after}"))
    )
