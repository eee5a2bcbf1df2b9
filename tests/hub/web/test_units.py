"""Units over HTTP."""

import pytest

from hub.nl43.protocol import Result
from hub.snapshot import Failure
from tests.hub.web.parts import TOKENS, House

pytestmark = pytest.mark.anyio


async def test_units_are_listed_with_their_latest_reading(house: House) -> None:
    await house.poll("gate-a")
    async with house.client() as client:
        body = (await client.get("/api/units")).json()
    assert body["next_cursor"] is None
    first, second = body["items"]
    assert (first["id"], first["name"], first["kind"], first["labels"]) == (
        "gate-a", "gate-a", "nl43", {"site": "dockside"},
    )  # fmt: skip
    assert first["snapshot"]["sequence"] == 1
    assert first["state"] == "ok"
    assert first["config"]["port"] == 2255
    assert second["snapshot"]["lp"] is None


async def test_a_snapshot_never_asks_the_meter(house: House) -> None:
    await house.poll("gate-a")
    asked = len(house.links["gate-a"].asked)
    async with house.client() as client:
        frame = (await client.get("/api/units/gate-a/snapshot")).json()
    assert len(house.links["gate-a"].asked) == asked
    assert frame["lp"] is not None
    assert frame["timestamp"].endswith("Z")
    assert frame["age_s"] >= 0
    assert "reason" not in frame
    assert frame["raw_payload"] == ""


async def test_a_poll_asks_the_meter_and_answers_with_the_frame(house: House) -> None:
    async with house.client() as client:
        answer = await client.post("/api/units/gate-a/poll")
    assert answer.status_code == 200
    assert answer.json()["sequence"] == 1
    assert answer.json()["raw_payload"]


async def test_an_unknown_unit_is_a_problem_404(house: House) -> None:
    async with house.client() as client:
        answer = await client.get("/api/units/nowhere/snapshot")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "about:blank", "title": "Not Found", "status": 404, "detail": "there is no unit 'nowhere'",
    }  # fmt: skip


async def test_a_refusal_is_409_with_the_code_of_the_meter(house: House) -> None:
    house.links["gate-a"].result = Result.STATUS
    async with house.client() as client:
        answer = await client.post("/api/units/gate-a/poll")
    assert answer.status_code == 409
    assert answer.json()["code"] == "R+0004"


async def test_a_meter_that_is_down_is_503_with_reason_and_retry_after(house: House) -> None:
    house.links["gate-a"].failure = Failure.REFUSED
    house.links["gate-a"].pause_s = 7.2
    async with house.client() as client:
        answer = await client.post("/api/units/gate-a/poll")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "8"
    assert answer.json()["reason"] == "refused"


async def test_a_released_unit_is_not_polled(house: House) -> None:
    async with house.client() as client:
        await client.post("/api/units/gate-a/release")
        answer = await client.post("/api/units/gate-a/poll")
        unit = (await client.get("/api/units/gate-a")).json()
    assert answer.status_code == 409
    assert house.links["gate-a"].asked == []
    assert unit["state"] == "off"


async def test_a_viewer_may_look_and_not_poll(guarded: House) -> None:
    async with guarded.client(TOKENS[0]["token"]) as client:
        assert (await client.get("/api/units/gate-a")).status_code == 200
        answer = await client.post("/api/units/gate-a/poll")
    assert answer.status_code == 403
    assert answer.json()["detail"] == "wallboard is a viewer; this takes the role operator"
