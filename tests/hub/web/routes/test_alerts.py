"""Alerts, rules and deliveries over HTTP."""

from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from alerts.model.delivery import Delivery, DeliveryState
from alerts.store import outbox
from tests.hub.web.parts import TOKENS, Site

pytestmark = pytest.mark.anyio


async def fire(site: Site, unit_id: str = "gate-a") -> str:
    """An open alert; its id."""
    site.sample(80.0, unit_id)
    await site.committed()
    alert_id = site.parts.alerts.open_alerts()[-1].id
    assert alert_id is not None
    return alert_id


async def get(site: Site, path: str, **params: Any) -> Any:
    async with site.client(TOKENS[1]["token"]) as client:
        answer = await client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_an_alert_is_listed_and_told_with_its_past(site: Site) -> None:
    alert_id = await fire(site)
    listed = (await get(site, "/api/alerts"))["items"]
    single = await get(site, f"/api/alerts/{alert_id}")
    assert [alert["id"] for alert in listed] == [alert_id]
    assert listed[0]["subject"] == "gate-a"
    assert listed[0]["labels"] == {"site": "dockside"}
    assert listed[0]["state"] == "firing"
    assert listed[0]["started_at"].endswith("Z")
    assert [change["type"] for change in single["transitions"]] == ["alert.onset"]
    assert single["deliveries"] == []
    assert listed[0].items() <= single.items()


async def test_alerts_are_chosen_by_state_subject_rule_and_severity(site: Site) -> None:
    first = await fire(site, "gate-a")
    second = await fire(site, "gate-b")
    site.sample(40.0, "gate-a")
    await site.committed()

    async def ids(**params: Any) -> list[str]:
        return [alert["id"] for alert in (await get(site, "/api/alerts", **params))["items"]]

    assert await ids(state="firing") == await ids(state="open") == [second]
    assert await ids(state="inactive") == [first]
    assert await ids(subject="gate-a") == [first]
    assert sorted(await ids(rule="loud")) == sorted([first, second])
    assert await ids(rule="other") == await ids(severity="info") == []


async def test_lists_go_on_at_the_cursor(site: Site) -> None:
    wanted = {await fire(site, "gate-a"), await fire(site, "gate-b")}
    first = await get(site, "/api/alerts", limit=1)
    second = await get(site, "/api/alerts", limit=1, cursor=first["next_cursor"])
    assert {first["items"][0]["id"], second["items"][0]["id"]} == wanted
    assert second["next_cursor"] is None


async def test_an_ack_bears_the_name_of_the_token(guarded: Site) -> None:
    alert_id = await fire(guarded)
    async with guarded.client(TOKENS[1]["token"]) as client:
        answer = await client.post(f"/api/alerts/{alert_id}/ack", json={"comment": "on my way"})
        assert (answer.status_code, answer.json()["acknowledged_by"]) == (200, "shift")
        await guarded.committed()
        single = (await client.get(f"/api/alerts/{alert_id}")).json()
        assert single["acknowledged_by"] == "shift"
        assert [change["type"] for change in single["transitions"]] == ["alert.onset", "alert.ack"]
        assert single["transitions"][1]["comment"] == "on my way"
        undone = await client.delete(f"/api/alerts/{alert_id}/ack")
        again = await client.delete(f"/api/alerts/{alert_id}/ack")
    assert undone.json()["acknowledged_by"] is None
    assert again.status_code == 200


async def test_an_ack_needs_no_comment(site: Site) -> None:
    alert_id = await fire(site)
    async with site.client() as client:
        answer = await client.post(f"/api/alerts/{alert_id}/ack")
    assert (answer.status_code, answer.json()["acknowledged_by"]) == (200, "local")


async def test_a_cleared_alert_cannot_be_acknowledged(site: Site) -> None:
    alert_id = await fire(site)
    site.sample(40.0)
    await site.committed()
    async with site.client() as client:
        assert (await client.post(f"/api/alerts/{alert_id}/ack")).status_code == 409
        assert (await client.post("/api/alerts/never/ack")).status_code == 404
        assert (await client.get("/api/alerts/never")).status_code == 404


async def test_rules_show_how_they_stand(site: Site) -> None:
    await fire(site)
    (rule,) = [rule for rule in (await get(site, "/api/rules"))["items"] if rule["name"] == "loud"]
    assert (rule["state"], rule["open"], rule["subjects"]) == ("firing", 1, 2)
    assert rule["last_value"] == 80.0
    assert rule["last_evaluated_at"].endswith("Z")


async def test_a_dead_delivery_can_be_sent_again(site: Site) -> None:
    at = datetime.now(UTC)
    dead = Delivery("d-1", "ops", "test", at, b"{}", state=DeliveryState.DEAD, attempts=12)
    done = Delivery("d-2", "ops", "test", at, b"{}", state=DeliveryState.DELIVERED)
    await site.parts.database.write(lambda session: outbox.record(session, [dead, done], []))
    listed = await get(site, "/api/deliveries", state="dead")
    assert [delivery["id"] for delivery in listed["items"]] == ["d-1"]
    async with site.client() as client:
        answer = await client.post("/api/deliveries/d-1/replay")
        assert (await client.post("/api/deliveries/d-2/replay")).status_code == 409
        assert (await client.post("/api/deliveries/d-3/replay")).status_code == 404
    assert (answer.status_code, answer.json()["state"], answer.json()["attempts"]) == (200, "pending", 0)


async def test_all_that_was_given_up_within_a_time_can_be_sent_again(site: Site) -> None:
    at = datetime(2026, 3, 18, 22, tzinfo=UTC)
    hours = [at + timedelta(hours=n) for n in range(4)]
    dead = [Delivery(f"d-{n}", "ops", "test", hours[n], b"{}", state=DeliveryState.DEAD) for n in range(4)]
    await site.parts.database.write(lambda session: outbox.record(session, dead, []))
    wanted = {"from": "2026-03-18T23:00:00Z", "to": "2026-03-19T01:00:00Z", "receiver": "ops"}
    async with site.client() as client:
        answer = await client.post("/api/deliveries/replay", params=wanted)
        again = await client.post("/api/deliveries/replay", params=wanted)
        assert (await client.post("/api/deliveries/replay", params={"from": "yesterday"})).status_code == 422
    assert (answer.json(), again.json()) == ({"replayed": 2}, {"replayed": 0})
    listed = await get(site, "/api/deliveries", state="pending")
    assert {delivery["id"] for delivery in listed["items"]} == {"d-1", "d-2"}


@pytest.mark.parametrize("text", ["2026-01-01T00:00:00|x", "2026-01-01T00:00:00+00:00|x\x00", "never|x", ""])
async def test_a_made_up_cursor_is_422(site: Site, text: str) -> None:
    made_up = urlsafe_b64encode(text.encode()).decode() or "="
    async with site.client() as client:
        for path in ("/api/alerts", "/api/deliveries"):
            answer = await client.get(path, params={"cursor": made_up})
            assert (answer.status_code, answer.json()["status"]) == (422, 422)
