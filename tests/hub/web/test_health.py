"""Health over HTTP."""

import anyio
import pytest
from sqlalchemy.exc import OperationalError

from hub.nl43.link import LinkDown
from hub.snapshot import Failure
from hub.supervisor import ChildState
from tests.hub.web.parts import House

pytestmark = pytest.mark.anyio


async def test_a_sound_hub_is_ok(house: House) -> None:
    async with house.client() as client:
        answers = [await client.get(path) for path in ("/livez", "/readyz", "/healthz")]
    assert [(answer.status_code, answer.json()["status"]) for answer in answers] == [(200, "ok")] * 3
    assert answers[2].json()["checks"]["units"] == {"status": "ok", "units": 2, "unreachable": 0}


async def test_a_lost_meter_is_degraded_and_still_200(house: House) -> None:
    house.links["gate-a"].failure = Failure.REFUSED
    for _ in range(3):
        with pytest.raises(LinkDown):
            await house.poll()
    async with house.client() as client:
        health, ready = await client.get("/healthz"), await client.get("/readyz")
    assert (health.status_code, health.json()["status"]) == (200, "degraded")
    assert ready.status_code == 200
    assert "gate-a" not in health.text


async def test_without_a_database_the_hub_is_not_ready_and_alive(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(work: object) -> None:
        raise OperationalError("SELECT password", None, Exception("secret text"))

    monkeypatch.setattr(house.parts.database, "read", fail)
    async with house.client() as client:
        ready, alive = await client.get("/readyz"), await client.get("/livez")
        history = await client.get("/api/units/gate-a/history")
    assert (ready.status_code, ready.json()["checks"]["database"]["status"]) == (503, "down")
    assert alive.status_code == 200
    assert history.status_code == 503
    assert history.headers["retry-after"] == "5"
    assert "secret" not in history.text
    assert "SELECT" not in history.text


async def test_an_essential_child_that_does_not_run_is_not_ready(house: House) -> None:
    child = house.parts.supervisors[0].spawn("recorder", anyio.sleep_forever, essential=True)
    async with house.client() as client:
        assert (await client.get("/readyz")).status_code == 200
        child.state = ChildState.RESTARTING
        answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["checks"]["essential"]["not_running"]) == (503, 1)
