import sqlite3
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from alerts.model.alert import Alert, TransitionType
from alerts.model.delivery import Attempt, DeliveryState, Notice, deliveries_of
from alerts.store import outbox
from alerts.store import queries as archive
from alerts.store.pending import read_pending
from alerts.store.tables import TransitionRow
from tests.alerts.fakes import START, SqliteDatabase, cleared, onset, transition


@pytest.fixture
def database(tmp_path: Path) -> SqliteDatabase:
    return SqliteDatabase(tmp_path / "alerts.db")


def store(database: SqliteDatabase, *alerts: Alert) -> None:
    kinds = [TransitionType.ONSET if alert.is_open else TransitionType.CLEAR for alert in alerts]
    notices = [
        Notice(transition(kind, alert), {}, "x", receivers=("ops",), document="{}")
        for kind, alert in zip(kinds, alerts, strict=True)
    ]
    deliveries = [d for notice in notices for d in deliveries_of(notice)]
    database.run(lambda s: outbox.write(s, outbox.rows_of(notices, deliveries, alerts, 0.0)))


def test_alerts_come_newest_first_page_by_page(database: SqliteDatabase) -> None:
    store(database, *(onset(subject=f"unit/u{n}", at=START + timedelta(seconds=n // 2)) for n in range(7)))
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = database.run(partial(archive.list_alerts, limit=3, cursor=cursor))
        seen += [row.subject for row in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 7
    assert seen[0] == "unit/u6"


def test_alerts_can_be_asked_for_by_all_that_the_api_names(database: SqliteDatabase) -> None:
    first, second = onset(), replace(onset(rule="other", subject="unit/gate-b"), severity="info")
    store(database, first, second, cleared(second))
    wanted: dict[str, Any]
    for wanted, found in (
        ({"state": "open"}, [first.id]),
        ({"state": "inactive"}, [second.id]),
        ({"subject": "gate-b"}, [second.id]),
        ({"subject": "unit/gate-a"}, [first.id]),
        ({"subject": "ate-a"}, []),
        ({"rule": "night-limit"}, [first.id]),
        ({"severity": "critical"}, [first.id]),
    ):
        page = database.run(lambda session, w=wanted: archive.list_alerts(session, **w))  # type: ignore[misc]
        assert [row.id for row in page.items] == found, wanted


def test_a_foreign_cursor_is_refused(database: SqliteDatabase) -> None:
    with pytest.raises(ValueError, match="cursor"):
        database.run(lambda s: archive.list_alerts(s, cursor="abc"))


def test_a_story_has_transitions_deliveries_and_attempts(database: SqliteDatabase) -> None:
    alert = onset(value=True, metric="reachable")
    store(database, alert)
    (delivery,) = database.run(lambda s: read_pending(s, "ops")).deliveries
    done = replace(delivery, state=DeliveryState.DELIVERED, attempts=1)
    database.run(lambda s: outbox.record(s, [done], [Attempt(done.id, 1, START, 0.1, 204)]))
    found = database.run(lambda s: archive.find_alert(s, str(alert.id)))
    assert found is not None
    assert [row.type for row in found.transitions] == ["alert.onset"]
    assert [one.delivery.state for one in found.deliveries] == ["delivered"]
    assert [one.last_attempt and one.last_attempt.status for one in found.deliveries] == [204]
    assert archive.to_alert(found.alert) == alert
    assert database.run(lambda s: archive.find_alert(s, "none")) is None


def test_old_closed_alerts_go_in_chunks_with_all_that_is_theirs(database: SqliteDatabase) -> None:
    old = [cleared(onset(subject=f"unit/u{n}")) for n in range(3)]
    still_open = onset(subject="unit/open")
    store(database, *old, still_open)
    cutoff = START + timedelta(days=1)
    assert database.run(lambda s: archive.delete_older_than(s, cutoff, 2)) == 2
    assert database.run(lambda s: archive.delete_older_than(s, cutoff, 2)) == 1
    assert database.run(lambda s: archive.delete_older_than(s, cutoff, 2)) == 0
    assert [row.id for row in database.run(archive.list_alerts).items] == [still_open.id]
    assert [t.delivery.alert_id for t in database.run(archive.list_deliveries).items] == [still_open.id]
    left = database.run(lambda s: s.exec(select(TransitionRow)).all())
    assert [(row.alert_id, row.document) for row in left] == [(still_open.id, "{}")]


def test_the_last_attempt_is_the_newest_after_a_replay_too(database: SqliteDatabase) -> None:
    store(database, onset())
    (found,) = database.run(archive.list_deliveries).items
    ids = found.delivery.id
    for number, error in ((1, "first"), (2, "second"), (1, None)):  # a replay counts from one again
        attempt = Attempt(ids, number, START, 0.1, None if error else 204, error)
        database.run(lambda s, a=attempt: outbox.record(s, [], [a]))  # type: ignore[misc]
    last = database.run(archive.list_deliveries).items[0].last_attempt
    assert last is not None
    assert last.status == 204


def test_more_deliveries_than_a_statement_has_room_for_are_deleted(database: SqliteDatabase) -> None:
    alert = cleared(onset())
    notice = Notice(transition(TransitionType.CLEAR, alert), {}, "x", receivers=tuple(f"r{n}" for n in range(1500)))
    database.run(lambda s: outbox.write(s, outbox.rows_of([notice], deliveries_of(notice), [alert], 0.0)))
    with database.engine.connect() as connection:
        connection.connection.driver_connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 1000)  # type: ignore[union-attr]
    assert database.run(lambda s: archive.delete_older_than(s, START + timedelta(days=1), 10)) == 1
    assert database.run(archive.list_deliveries).items == []
