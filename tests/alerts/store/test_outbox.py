from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlmodel import select

from alerts.delivery.message import documented
from alerts.model.alert import Alert, State
from alerts.model.delivery import Attempt, Delivery, DeliveryState, Notice, deliveries_of
from alerts.model.document import Origin
from alerts.store import outbox
from alerts.store.pending import read_pending
from alerts.store.queries import list_deliveries
from alerts.store.rows import set_documents
from alerts.store.tables import AlertRow, AttemptRow, TransitionRow
from tests.alerts.fakes import START, SqliteDatabase, notice, onset


@pytest.fixture
def database(tmp_path: Path) -> SqliteDatabase:
    return SqliteDatabase(tmp_path / "alerts.db")


def store(database: SqliteDatabase, *notices: Notice) -> list[Delivery]:
    notices = tuple(documented(n, Origin("h")) for n in notices)
    deliveries = [d for n in notices for d in deliveries_of(n)]
    states = [n.transition.alert for n in notices]
    database.run(lambda s: outbox.write(s, outbox.rows_of(notices, deliveries, states, 0.0)))
    return deliveries


def pending(database: SqliteDatabase, receiver: str = "ops") -> list[Delivery]:
    return database.run(lambda s: read_pending(s, receiver)).deliveries


def test_writing_a_transition_twice_is_harmless(database: SqliteDatabase) -> None:
    announced = notice(onset(), "ops", "site")
    first = store(database, announced)
    done = replace(first[0], state=DeliveryState.DELIVERED, body=b"{}")
    database.run(lambda s: outbox.record(s, [done], []))
    store(database, announced)
    assert len(database.run(lambda s: s.exec(select(TransitionRow)).all())) == 1
    assert pending(database) == []
    assert [d.id for d in pending(database, "site")] == [first[1].id]


def test_a_document_is_told_as_it_stands_after_the_commit(database: SqliteDatabase) -> None:
    first, other = notice(onset()), notice(onset(subject="unit/b"))
    store(database, first, other)
    changed = replace(first, document='{"text":"ü"}')
    database.run(lambda s: set_documents(s, [changed]))
    assert {d.document for d in pending(database)} == {changed.document, other.document}


def test_a_body_that_was_sent_is_sent_again_to_the_byte(database: SqliteDatabase) -> None:
    (delivery,) = store(database, notice(onset()))
    sent = replace(delivery, body="ü".encode(), content_type="text/plain")
    database.run(lambda s: outbox.record(s, [sent], []))
    assert pending(database) == [sent]


def test_a_mark_stores_a_delivery_that_was_sent_before_it_could_be_written(database: SqliteDatabase) -> None:
    announced = replace(notice(onset()), persisted=False)
    sent = replace(deliveries_of(announced)[0], state=DeliveryState.DELIVERED, attempts=1, body=b"{}")
    database.run(lambda s: outbox.record(s, [sent], [Attempt(sent.id, 1, START, 0.1, 204)]))
    store(database, announced)
    assert pending(database) == []
    assert [a.status for a in database.run(lambda s: s.exec(select(AttemptRow)).all())] == [204]


def test_a_restart_finds_every_state_and_who_was_told(database: SqliteDatabase) -> None:
    firing = onset()
    waiting = Alert("r", "unit/b", "h", "lp", State.PENDING, pending_since_s=12.5)
    store(database, notice(firing, "ops", "site"))
    database.run(lambda s: outbox.write(s, outbox.rows_of([], [], [waiting], 0.0)))
    restored = database.run(lambda s: outbox.restore(s, 0.0))
    assert set(restored.alerts) == {firing, waiting}
    assert restored.notified == {firing.id: {"ops", "site"}}


def test_a_peak_reaches_the_list_of_alerts_without_a_transition(database: SqliteDatabase) -> None:
    alert = onset()
    store(database, notice(alert))
    database.run(lambda s: outbox.write(s, outbox.rows_of([], [], [replace(alert, peak=71.5)], 0.0)))
    assert database.run(lambda s: s.exec(select(AlertRow)).one()).peak == "71.5"


def test_dead_letters_are_replayed_one_or_a_range(database: SqliteDatabase) -> None:
    first, second = store(database, notice(onset()), notice(onset(subject="unit/b", at=START + timedelta(hours=1))))
    dead = [replace(d, state=DeliveryState.DEAD, attempts=13, body=b"{}") for d in (first, second)]
    second_at = START + timedelta(hours=1)
    database.run(lambda s: outbox.record(s, [dead[0], replace(dead[1], created_at=second_at)], []))
    assert database.run(lambda s: outbox.replay(s, [first.id])) == (["ops"], 1)
    assert [(d.id, d.attempts, d.body) for d in pending(database)] == [(first.id, 0, b"{}")]
    until = START + timedelta(hours=2)
    assert database.run(lambda s: outbox.replay_between(s, START, until, "ops")) == (["ops"], 1)
    assert len(pending(database)) == 2
    assert database.run(lambda s: outbox.replay(s, ["none"])) == ([], 0)


def test_a_receiver_that_is_gone_holds_until_its_configuration_changes(database: SqliteDatabase) -> None:
    store(database, notice(onset()))
    database.run(lambda s: outbox.hold(s, "ops", "as-it-was", START))
    assert pending(database) == []
    store(database, notice(onset(subject="unit/b")))
    assert database.run(lambda s: outbox.is_held(s, "ops", "as-it-was"))
    assert pending(database) == []
    assert [one.delivery.state for one in database.run(list_deliveries).items] == ["held", "held"]
    assert not database.run(lambda s: outbox.is_held(s, "ops", "changed"))
    assert len(pending(database)) == 2


def test_a_replay_releases_a_held_receiver(database: SqliteDatabase) -> None:
    deliveries = store(database, notice(onset()), notice(onset(subject="unit/b")))
    database.run(lambda s: outbox.hold(s, "ops", "mark", START))
    database.run(lambda s: outbox.replay(s, [deliveries[0].id]))
    assert len(pending(database)) == 2
    assert not database.run(lambda s: outbox.is_held(s, "ops", "mark"))
