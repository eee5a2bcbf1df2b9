import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from alerts.config.secret import parse_secret
from alerts.delivery.message import document_of, documented, headers, sign, subject_id, with_commit_time
from alerts.model.alert import TransitionType
from alerts.model.delivery import Notice
from alerts.model.document import Origin, encode
from alerts.model.sample import WindowBasis
from tests.alerts.fakes import SECRET, cleared, onset, transition

SUMMARY = "gate-a LAeq,15min 66.2 dB > 65.0 dB for 30 s"
ORIGIN = Origin("site-office", "Europe/London", "https://hub.example.org")


def notice(value: float = 66.2) -> Notice:
    told = transition(TransitionType.ONSET, onset(value=value))
    return Notice(
        told, {"site": "dockside"}, SUMMARY, True, 0.4, ("ops",), name="Gate A", metric_label="LAeq,15min"
    )


def test_a_document_says_all_that_a_channel_may_tell() -> None:
    told = replace(notice(), transition=transition(TransitionType.ACK, replace(onset(), comment="on my way")))
    document = document_of(told, ORIGIN)
    assert document["comment"] == "on my way"
    assert document["zone"] == "Europe/London"
    assert document["links"] == {"hub": "https://hub.example.org"}
    assert document["latency_ms"] == {"sample_to_decision": 0.4, "decision_to_commit": None}
    assert document_of(told, Origin("site-office"))["links"] == {}


@given(st.floats(0, 1e9))
def test_the_time_of_a_commit_can_be_put_in_afterwards(taken_ms: float) -> None:
    before = documented(notice(), ORIGIN).document
    after = json.loads(before)
    after["latency_ms"]["decision_to_commit"] = round(taken_ms, 3)
    assert with_commit_time(before, taken_ms) == encode(after)


def test_a_document_tells_how_a_windowed_value_was_made_and_how_long_the_alert_lasted() -> None:
    made = replace(onset(), window=WindowBasis(900, 0.98), started_s=100.0)
    told = transition(TransitionType.ONSET, made)
    alert = document_of(Notice(told, {}, SUMMARY), ORIGIN)["alert"]
    assert alert["window"] == {"from": "lp", "samples": 900, "coverage": 0.98, "quality": []}
    assert "duration_s" not in alert
    over = transition(TransitionType.CLEAR, replace(cleared(made), cleared_s=820.0004))
    assert document_of(Notice(over, {}, SUMMARY), ORIGIN)["alert"]["duration_s"] == 720.0


def test_a_value_that_json_cannot_carry_is_null() -> None:
    assert document_of(notice(float("inf")), ORIGIN)["alert"]["value"] is None


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
