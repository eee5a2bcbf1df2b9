"""Units over HTTP."""

import pytest

from hub.instruments.setting import Setting
from hub.nl43.protocol import Result
from hub.readings.snapshot import Failure
from tests.hub.web.parts import TOKENS, Site

pytestmark = pytest.mark.anyio


async def test_units_are_listed_with_their_latest_reading(site: Site) -> None:
    await site.poll("gate-a")
    async with site.client() as client:
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


async def test_a_snapshot_never_asks_the_meter(site: Site) -> None:
    await site.poll("gate-a")
    asked = len(site.links["gate-a"].asked)
    async with site.client() as client:
        frame = (await client.get("/api/units/gate-a/snapshot")).json()
    assert len(site.links["gate-a"].asked) == asked
    assert frame["lp"] is not None
    assert frame["timestamp"].endswith("Z")
    assert frame["age_s"] >= 0
    assert "reason" not in frame
    assert frame["raw_payload"] == ""


async def test_a_poll_asks_the_meter_and_answers_with_the_frame(site: Site) -> None:
    async with site.client() as client:
        answer = await client.post("/api/units/gate-a/poll")
    assert answer.status_code == 200
    assert answer.json()["sequence"] == 1
    assert answer.json()["raw_payload"]


async def test_an_unknown_unit_is_a_problem_404(site: Site) -> None:
    async with site.client() as client:
        answer = await client.get("/api/units/nowhere/snapshot")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "about:blank", "title": "Not Found", "status": 404, "detail": "there is no unit 'nowhere'",
    }  # fmt: skip


async def test_a_refusal_is_409_with_the_code_of_the_meter(site: Site) -> None:
    site.links["gate-a"].result = Result.STATUS
    async with site.client() as client:
        answer = await client.post("/api/units/gate-a/poll")
    assert answer.status_code == 409
    assert answer.json()["code"] == "R+0004"


async def test_a_meter_that_is_down_is_503_with_reason_and_retry_after(site: Site) -> None:
    site.links["gate-a"].failure = Failure.REFUSED
    site.links["gate-a"].pause_s = 7.2
    async with site.client() as client:
        answer = await client.post("/api/units/gate-a/poll")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "8"
    assert answer.json()["reason"] == "refused"


async def test_a_released_unit_is_not_polled(site: Site) -> None:
    async with site.client() as client:
        await client.post("/api/units/gate-a/release")
        answer = await client.post("/api/units/gate-a/poll")
        unit = (await client.get("/api/units/gate-a")).json()
    assert answer.status_code == 409
    assert site.links["gate-a"].asked == []
    assert unit["state"] == "off"


async def test_a_viewer_may_look_and_not_poll(guarded: Site) -> None:
    async with guarded.client(TOKENS[0]["token"]) as client:
        assert (await client.get("/api/units/gate-a")).status_code == 200
        answer = await client.post("/api/units/gate-a/poll")
    assert answer.status_code == 403
    assert answer.json()["detail"] == "wallboard is a viewer; this needs the role operator"


async def test_the_meters_settings_are_shown_with_their_age_and_name_the_levels(guarded: Site) -> None:
    unit = guarded.parts.units["gate-a"]
    answers = {
        "Frequency Weighting (Main)": "C", "Time Weighting (Main)": "S", "Serial Number": "00412345",
        "Type": "NL-43", "Percentile 2": "10",
    }  # fmt: skip
    now_s = guarded.parts.clock.steady()
    known = {name: Setting(value, now_s - 60, now_s - 90) for name, value in answers.items()}
    unit.resume(None, known | {"Percentile 1": Setting(None, now_s, now_s, "R+0001")})
    async with guarded.client(TOKENS[0]["token"]) as client:
        body = (await client.get("/api/units/gate-a/settings")).json()
        one = (await client.get("/api/units/gate-a")).json()
        listed = (await client.get("/api/units")).json()["items"]
    assert body["meter"] == one["meter"] == {"type": "NL-43", "serial_number": "00412345"}
    by_name = {item["name"]: item for item in body["items"]}
    assert by_name["Frequency Weighting (Main)"]["value"] == "C"
    assert 60 <= by_name["Frequency Weighting (Main)"]["age_s"] < 120
    assert by_name["Frequency Weighting (Main)"]["asked_at"].endswith("Z")
    assert (by_name["Percentile 1"]["value"], by_name["Percentile 1"]["refusal"]) == (None, "R+0001")
    assert one["quantities"] == body["quantities"] == listed[0]["quantities"]
    assert [one["quantities"][name] for name in ("lp", "leq", "ln1", "ln2", "laeq_15m")] == [
        "LCS", "LCeq", "LN1", "L10", "LCeq,15min",
    ]  # fmt: skip
    assert {item["name"] for item in one["settings"]} == set(by_name)
    assert listed[1]["quantities"]["lp"] == "Lp"


async def test_the_settings_of_a_meter_not_asked_yet_are_unknown_and_it_is_not_asked(site: Site) -> None:
    async with site.client() as client:
        body = (await client.get("/api/units/gate-a/settings")).json()
        missing = await client.get("/api/units/nowhere/settings")
    assert body["meter"] == {"type": None, "serial_number": None}
    assert body["items"] == []
    assert site.links["gate-a"].asked == []
    assert missing.status_code == 404
