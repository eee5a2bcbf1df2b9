import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from alerts.config.secret import parse_secret
from alerts.delivery.message import headers, render, render_digest, render_plain, sign, subject_id, with_commit_time
from alerts.model.alert import TransitionType
from alerts.model.delivery import Notice
from alerts.model.sample import WindowBasis
from tests.alerts.fakes import SECRET, START, cleared, onset, transition

SUMMARY = "gate-a LAeq,15min 66.2 dB > 65.0 dB for 30 s"


def notice(value: float = 66.2) -> Notice:
    told = transition(TransitionType.ONSET, onset(value=value))
    return Notice(told, {"site": "dockside"}, SUMMARY, True, 0.4, ("ops",), 3.1, "Gate A", "LAeq,15min")


def test_the_body_is_format_hub_version_1_to_the_byte() -> None:
    alert = onset()
    assert render(notice(), "site-office").decode() == (
        f'{{"version":1,"type":"alert.onset","id":"{alert.id}","sequence":1,"at":"2026-03-18T22:14:07.120Z",'
        f'"persisted":true,"alert":{{"id":"{alert.id}","rule":"night-limit","subject":"gate-a",'
        '"name":"Gate A","labels":{"site":"dockside"},"severity":"critical","state":"firing","metric":"laeq_15m",'
        '"metric_label":"LAeq,15min","value":66.2,"threshold":65.0,"peak":66.2,"started_at":"2026-03-18T22:14:07.120Z","cleared_at":null,'
        f'"acknowledged_by":null,"reason":null}},"summary":"{SUMMARY}","hub":"site-office",'
        '"latency_ms":{"sample_to_decision":0.4,"decision_to_commit":3.1}}'
    )


@given(st.floats(0, 1e9))
def test_the_time_of_a_commit_can_be_put_in_afterwards(taken_ms: float) -> None:
    before = replace(notice(), decision_to_commit_ms=None)
    after = replace(notice(), decision_to_commit_ms=taken_ms)
    assert with_commit_time(render(before, "site-office"), taken_ms) == render(after, "site-office")


def test_a_body_tells_how_a_windowed_value_was_made_and_how_long_the_alert_lasted() -> None:
    made = replace(onset(), window=WindowBasis(900, 0.98), started_s=100.0)
    told = transition(TransitionType.ONSET, made)
    alert = json.loads(render(Notice(told, {}, SUMMARY), "h"))["alert"]
    assert alert["window"] == {"from": "lp", "samples": 900, "coverage": 0.98, "quality": []}
    assert "duration_s" not in alert
    over = transition(TransitionType.CLEAR, replace(cleared(made), cleared_s=820.0004))
    assert json.loads(render(Notice(over, {}, SUMMARY), "h"))["alert"]["duration_s"] == 720.0


def test_a_value_that_json_cannot_carry_is_null() -> None:
    assert json.loads(render(notice(float("inf")), "h"))["alert"]["value"] is None


@pytest.mark.parametrize(
    ("subject", "shown"),
    [
        ("unit/gate-a", "gate-a"),
        ("equipment/fab/GWBK-9001", "GWBK-9001"),
        ("hub/receiver/ops", "ops"),
        ("hub/storage", "storage"),
        ("gate-a", "gate-a"),
    ],
)
def test_a_subject_is_shown_as_its_bare_id(subject: str, shown: str) -> None:
    assert subject_id(subject) == shown


@given(body=st.text().map(str.encode), key=st.binary(min_size=24, max_size=64))
def test_the_signature_is_that_of_the_standard_library(body: bytes, key: bytes) -> None:
    at = datetime(2026, 3, 18, 22, 14, 7, tzinfo=UTC)
    assert sign("m1", int(at.timestamp()), body, [key]) == Webhook(key).sign("m1", at, body.decode())


def test_two_secrets_give_two_signatures_and_none_gives_none() -> None:
    now = int(datetime.now(UTC).timestamp())
    keys = [parse_secret(SECRET), parse_secret("whsec_" + "b2xk" * 8)]
    found = headers("m1", now, b"{}", keys)
    assert len(found["webhook-signature"].split(" ")) == 2
    for secret in (SECRET, "whsec_" + "b2xk" * 8):
        Webhook(secret).verify(b"{}", found)
    assert headers("m1", now, b"{}", []) == {"webhook-id": "m1", "webhook-timestamp": str(now)}


def test_a_digest_holds_the_bodies_and_counts_them() -> None:
    clear = Notice(transition(TransitionType.CLEAR, cleared(onset())), {}, "over")
    bodies = [render(notice(), "h"), render(notice(), "h"), render(clear, "h")]
    digest = json.loads(render_digest("d1", START, bodies, "h"))
    assert digest["summary"] == "3 messages: 2 onset, 1 clear"
    assert digest["items"] == [json.loads(body) for body in bodies]
    assert list(digest) == ["version", "type", "id", "at", "items", "summary", "hub"]


def test_a_test_message_says_so() -> None:
    assert json.loads(render_plain("test", "t1", START, "a test", "h"))["type"] == "test"
