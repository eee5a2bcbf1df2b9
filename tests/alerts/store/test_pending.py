from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlmodel import select

from alerts.delivery.message import documented
from alerts.model.alert import TransitionType
from alerts.model.delivery import BEGINNING, Delivery, DeliveryState, Notice, Place, deliveries_of
from alerts.model.document import Origin
from alerts.store import outbox
from alerts.store.pending import Page, read_members, read_pending
from alerts.store.tables import DeliveryRow, TransitionRow
from tests.alerts.fakes import START, SqliteDatabase, cleared, notice, onset, transition


@pytest.fixture
def database(tmp_path: Path) -> SqliteDatabase:
    return SqliteDatabase(tmp_path / "alerts.db")


def store(database: SqliteDatabase, *notices: Notice) -> None:
    notices = tuple(documented(n, Origin("h")) for n in notices)
    deliveries = [d for n in notices for d in deliveries_of(n)]
    database.run(lambda s: outbox.write(s, outbox.rows_of(notices, deliveries, [], 0.0)))


def put(database: SqliteDatabase, deliveries: Iterable[Delivery]) -> None:
    database.run(lambda s: outbox.record(s, list(deliveries), []))


def read(database: SqliteDatabase, after: Place = BEGINNING, limit: int = 1000) -> Page:
    return database.run(lambda s: read_pending(s, "ops", after, limit))


def pending(database: SqliteDatabase, receiver: str = "ops") -> list[Delivery]:
    return database.run(lambda s: read_pending(s, receiver)).deliveries


def delivery(number: int, sequence: int = 1, after_s: float = 0.0) -> Delivery:
    at = START + timedelta(seconds=after_s)
    return Delivery(f"d{number}-{sequence}", "ops", "x", at, b"{}", f"a{number}", sequence)


def digest(id_: str, at: datetime, members: Iterable[Delivery]) -> list[Delivery]:
    inside = [replace(one, state=DeliveryState.DIGESTED, digest_id=id_) for one in members]
    return [*inside, Delivery(id_, "ops", "digest", at, b"{}")]


def ids(page: Page) -> list[str]:
    return [one.id for one in page.deliveries]


def test_what_was_never_sent_has_the_document_of_its_transition_and_no_body(database: SqliteDatabase) -> None:
    announced = notice(onset(), "ops", "site")
    store(database, announced)
    for receiver in announced.receivers:
        (found,) = pending(database, receiver)
        assert (found.document, found.body) == (announced.document, b"")
    assert database.run(lambda s: s.exec(select(TransitionRow.document)).all()) == [announced.document]


def test_a_delivery_of_which_nothing_could_be_stored_is_given_up(database: SqliteDatabase) -> None:
    lost = deliveries_of(notice(onset()))
    database.run(lambda s: outbox.record(s, lost, []))
    assert pending(database) == []
    assert [row.state for row in database.run(lambda s: s.exec(select(DeliveryRow)).all())] == ["dead"]


def test_one_alerts_deliveries_come_in_its_order(database: SqliteDatabase) -> None:
    alert = onset()
    store(database, notice(cleared(alert)), notice(alert))
    assert [d.sequence for d in pending(database)] == [1, 2]


def test_a_wall_clock_that_stepped_back_leaves_the_order_of_an_alert(database: SqliteDatabase) -> None:
    alert = onset()
    earlier = START - timedelta(hours=1)
    over = cleared(alert, earlier)
    store(
        database,
        notice(alert),
        Notice(transition(TransitionType.CLEAR, over, earlier), {}, "x", receivers=("ops",)),
    )
    assert [d.sequence for d in pending(database)] == [1, 2]


def test_pages_go_on_from_where_the_last_one_ended(database: SqliteDatabase) -> None:
    put(database, [delivery(number, after_s=number % 3) for number in range(7)])
    pages, after = [], BEGINNING
    for _ in range(3):
        page = read(database, after, 3)
        pages.append(ids(page))
        if page.reached is not None:
            after = page.reached
    assert pages == [["d0-1", "d3-1", "d6-1"], ["d1-1", "d4-1", "d2-1"], ["d5-1"]]
    assert page.reached is None
    assert read(database, after, 1).reached == (START + timedelta(seconds=2), "d5-1")
    assert read(database, (START + timedelta(seconds=2), "d5-1"), 1) == ([], None)


def test_a_page_has_the_earlier_messages_of_its_alerts_though_their_wall_time_is_later(
    database: SqliteDatabase,
) -> None:
    put(database, [delivery(1, 1, after_s=60), delivery(1, 2), delivery(1, 3, after_s=90), delivery(2, after_s=10)])
    page = read(database, limit=1)
    assert ids(page) == ["d1-2", "d1-1"]
    assert page.reached == (START, "d1-2")


def test_a_page_has_the_digests_that_tell_of_its_alerts_earlier_and_what_is_before_those(
    database: SqliteDatabase,
) -> None:
    put(database, digest("D", START + timedelta(seconds=60), [delivery(1), delivery(2, 2)]))
    put(database, [delivery(1, 2, after_s=1), delivery(2, 1, after_s=70), delivery(2, 3, after_s=80)])
    put(database, digest("E", START + timedelta(seconds=90), [delivery(1, 3), delivery(4)]))
    page = read(database, limit=1)
    assert ids(page) == ["d1-2", "D", "d2-1"]
    assert sorted(page.deliveries[1].members) == [("a1", 1), ("a2", 2)]


def test_the_members_of_a_digest_come_in_the_order_of_their_alerts(database: SqliteDatabase) -> None:
    put(database, digest("D", START, [delivery(2), delivery(1, 1, after_s=5), delivery(1, 2)]))
    found = database.run(lambda s: read_members(s, "D"))
    assert [one.sequence for one in found if one.alert_id == "a1"] == [1, 2]
    assert len(found) == 3


@settings(max_examples=25, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(0, 9), st.booleans()),
        unique_by=lambda row: row[:2],
        max_size=12,
    ),
    limit=st.integers(1, 4),
)
def test_no_page_has_a_message_without_the_pending_ones_before_it(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, int, int, bool]], limit: int
) -> None:
    database = SqliteDatabase(tmp_path_factory.mktemp("pending") / "alerts.db")
    own = [delivery(number, sequence, after_s) for number, sequence, after_s, _ in rows]
    inside = [one for one, (*_, is_inside) in zip(own, rows, strict=True) if is_inside]
    put(database, [*own, *digest("D", START + timedelta(seconds=5), inside)])
    whole = pending(database)
    after: Place | None = BEGINNING
    found: dict[str, Delivery] = {}
    while after is not None:
        page = read(database, after, limit)
        found |= {one.id: one for one in page.deliveries}
        for one in whole:
            is_earlier = any(
                one.alerts[alert_id][0] < first
                for other in page.deliveries
                for alert_id, (first, _) in other.alerts.items()
                if alert_id in one.alerts
            )
            assert not is_earlier or one.id in found
        after = page.reached
    assert set(found) == {one.id for one in whole}
