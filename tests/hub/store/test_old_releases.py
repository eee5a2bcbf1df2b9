"""A database that an older release wrote is brought up to date, and everything in it can still be read."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest
import sqlalchemy as sa
from sqlmodel import Session

from alerts.delivery.formats.hub import FORMAT as HUB
from alerts.delivery.formats.rendering import rendered
from alerts.model.alert import State
from alerts.store import outbox
from alerts.store.pending import read_pending
from alerts.store.queries import find_alert, find_delivery, list_alerts, list_deliveries
from hub.database.database import Database, open_database
from hub.nl43.labels import labels
from hub.store.export import ExportedUnit, export_rows
from hub.store.history import history
from hub.store.meter_settings import load_settings
from hub.store.repair import repair
from hub.store.resume import latest_snapshots, readings_after, recent_lp
from hub.store.schema import known_revisions, upgrade
from hub.store.tables import last_machine_statuses, load_unit_states, register_boot
from tests.hub.conftest import empty_schema
from tests.hub.store.old_rows import ALERT, CLEARED, DEAD, NAMED, ROWS, WAITING, rows_until

pytestmark = pytest.mark.anyio

FROM, TO = datetime(2026, 3, 18, tzinfo=UTC), datetime(2026, 3, 19, tzinfo=UTC)
FIRST, SECOND = (datetime(2026, 3, 18, 22, 10, second, 250_000, tzinfo=UTC) for second in (0, 1))


@pytest.fixture(
    scope="module", params=[f"{kind} {made}" for kind in ("sqlite", "postgresql") for made in sorted(ROWS)]
)
def old_database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """URL and revision of a database with rows in every table, brought up to date as a start does it.

    It is made once for all tests, which only add to it.
    """
    kind, revision = request.param.split()
    if kind == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('old') / 'hub.db'}"
    else:
        url = request.getfixturevalue("postgres_url")
        empty_schema(url)
    anyio.run(_fill_and_upgrade, url, revision)
    return url, revision


async def _fill_and_upgrade(url: str, revision: str) -> None:
    def fill(session: Session) -> None:
        upgrade(session, revision)
        for statement in rows_until(revision):
            session.connection().exec_driver_sql(statement)
        tables = set(sa.inspect(session.connection()).get_table_names())
        empty = {name for name in tables if not session.execute(sa.text(f"SELECT count(*) FROM {name}")).scalar()}
        assert empty == set(), f"old_rows.py has no row of {revision} in these tables"

    async with open_database(url) as database:
        await database.write(fill)
    async with open_database(url) as database:
        assert await database.write(upgrade) == known_revisions()[0]
        await database.write(repair)


@pytest.fixture
def revision(old_database: tuple[str, str]) -> str:
    """The revision that the old release left the database at."""
    return old_database[1]


@pytest.fixture
async def old(old_database: tuple[str, str]) -> AsyncIterator[Database]:
    """The database, open."""
    async with open_database(old_database[0]) as database:
        yield database


def test_every_earlier_revision_has_rows() -> None:
    assert set(known_revisions()[1:]) <= set(ROWS)


async def test_readings_of_an_old_release_are_read_as_they_were_written(old: Database) -> None:
    page = await old.read(lambda session: history(session, "gate-a", FROM, TO))
    first, second = page.items
    assert first == {
        "at": FIRST, "sequence": 4294967297, "lp": 68.4, "leq": 66.1, "le": 95.6, "lmax": 71.2, "lmin": 51.3,
        "lpeak": 83.0, "ln1": 69.0, "ln2": 67.5, "ln3": 65.2, "ln4": 55.1, "ln5": 52.0,
        "measurement_state": "start", "quality": [],
    }  # fmt: skip
    assert (second["at"], second["lp"], second["quality"]) == (SECOND, None, ["missing"])


async def test_minutes_of_an_old_release_are_read_as_steps(old: Database) -> None:
    page = await old.read(lambda session: history(session, "gate-a", FROM, TO, step_s=60))
    assert [(item["at"], item["lp_max"], item["count"]) for item in page.items] == [
        (datetime(2026, 3, 18, 22, 10, tzinfo=UTC), 68.4, 2)
    ]
    assert page.items[0]["leq_lp"] == pytest.approx(68.4)


async def test_readings_of_an_old_release_are_exported(old: Database) -> None:
    pieces = [
        piece
        async for piece in export_rows(old, [ExportedUnit("gate-a", "gate-a", labels)], FROM, TO, metrics=["lp"])
    ]
    lines = "".join(pieces).splitlines()
    assert lines[0].startswith("unit_id,at,sequence,lp,")
    assert lines[1].startswith("gate-a,2026-03-18T22:10:00.250Z,4294967297,68.4,")
    assert len(lines) == 3


async def test_a_start_goes_on_from_the_readings_of_an_old_release(old: Database) -> None:
    latest = (await old.read(latest_snapshots))["gate-a"]
    missed = await old.read(lambda session: readings_after(session, "gate-a", 4294967297, 10))
    window = await old.read(lambda session: recent_lp(session, "gate-a", FROM))
    assert (latest.at, latest.reading.value("lp"), latest.run_started_at) in [
        (FIRST, 68.4, datetime(2026, 3, 18, 20, tzinfo=UTC)),
        (SECOND, None, None),  # made from the readings, of which it is the newest
    ]
    assert [(one.sequence, one.reading.value("lp")) for one in missed] == [(4294967298, None)]
    assert [one.lp for one in window] == [68.4]


async def test_what_people_decided_under_an_old_release_holds(old: Database) -> None:
    state = (await old.read(load_unit_states))["gate-b"]
    assert (state.released, state.keep_alive, state.config_hash) == (True, False, "0123456789abcdef")


async def test_a_boot_after_an_old_release_is_above_its_boots(old: Database) -> None:
    assert await old.write(lambda session: register_boot(session, TO, "next")) == 2


async def test_changes_of_state_of_an_old_release_are_kept(old: Database) -> None:
    query = "SELECT unit_id, what, old, new, reason FROM state_changes"
    rows = await old.read(lambda session: session.execute(sa.text(query)).all())
    assert [tuple(row) for row in rows] == [("gate-a", "reachable", "false", "true", "mute")]


async def test_alerts_of_an_old_release_are_listed_with_their_history(old: Database, revision: str) -> None:
    found = {row.id: row for row in (await old.read(list_alerts)).items}
    expected = {ALERT, CLEARED} if revision >= "0002" else set()
    assert set(found) == expected | ({NAMED} if revision >= "0005" else set())
    if ALERT in found:
        past = await old.read(lambda session: find_alert(session, ALERT))
        assert past is not None
        assert (past.alert.state, past.alert.started_at, past.alert.name) == ("firing", FIRST, None)
        assert [(one.sequence, one.type) for one in past.transitions] == [(1, "alert.onset")]
        assert [one.delivery.id for one in past.deliveries] == [WAITING]
        assert (found[CLEARED].acknowledged_by, found[CLEARED].comment) == ("duty", "seen")
    if NAMED in found:
        assert (found[NAMED].name, found[NAMED].metric_label) == ("Gate A", "LAF")


async def test_an_alert_that_fired_under_an_old_release_goes_on(old: Database, revision: str) -> None:
    restored = await old.read(lambda session: outbox.restore(session, offset_s=1_000_000_000.0))
    if revision < "0002":
        assert restored.alerts == []
        return
    (alert,) = restored.alerts
    assert (alert.id, alert.state, alert.value, alert.peak) == (ALERT, State.FIRING, 68.4, 71.2)
    assert (alert.started_at, alert.last_value_s, alert.started_s) == (FIRST, 773871800.25, None)
    assert restored.notified == {ALERT: {"ops"}}


async def test_a_message_that_an_old_release_left_is_sent_and_a_dead_one_can_be_replayed(
    old: Database, revision: str
) -> None:
    def waiting(session: Session) -> dict[str, Any]:
        return {one.id: json.loads(rendered(one, HUB).body) for one in read_pending(session, "ops").deliveries}

    before = await old.read(waiting)
    replayed = await old.write(lambda session: outbox.replay(session, [DEAD]))
    after = await old.read(waiting)
    if revision < "0002":
        assert (before, replayed.deliveries, after) == ({}, 0, {})
        return
    assert set(before) == {WAITING}
    assert before[WAITING]["type"] == "alert.onset"
    assert (before[WAITING]["alert"]["id"], before[WAITING]["alert"]["value"]) == (ALERT, 68.4)
    assert before[WAITING]["alert"]["started_at"] == "2026-03-18T22:10:00.250Z"
    assert (replayed.receivers, set(after)) == (["ops"], {WAITING, DEAD})


async def test_deliveries_and_attempts_of_an_old_release_are_shown(old: Database, revision: str) -> None:
    found = {one.delivery.id: one for one in (await old.read(list_deliveries)).items}
    assert set(found) == ({WAITING, DEAD} if revision >= "0002" else set())
    if found:
        dead = await old.read(lambda session: find_delivery(session, DEAD))
        assert dead is not None
        assert dead.last_attempt is not None
        last = (dead.last_attempt.number, dead.last_attempt.answer)
        assert last == ((15, "out of order") if revision >= "0006" else (14, None))
        assert found[WAITING].last_attempt is None


async def test_a_receiver_that_was_held_under_an_old_release_is_held(old: Database, revision: str) -> None:
    is_held = await old.write(lambda session: outbox.is_held(session, "gone", "c0ffee"))
    assert is_held is (revision >= "0002")


async def test_machines_of_an_old_release_keep_their_last_status(old: Database, revision: str) -> None:
    statuses = await old.read(last_machine_statuses)
    assert statuses == ({"equipment/fab/GWBK-9001": "UDT"} if revision >= "0003" else {})


async def test_settings_of_meters_of_an_old_release_are_known(old: Database, revision: str) -> None:
    settings = await old.read(load_settings)
    known = [(row.name, row.value) for row in settings.get("gate-a", ())]
    assert known == ([("Frequency Weighting", "A")] if revision >= "0004" else [])
