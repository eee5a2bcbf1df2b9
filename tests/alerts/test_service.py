"""What callers ask of the `AlertService` is decided, committed and announced."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from sqlalchemy import func
from sqlmodel import col, select
from trio.testing import MockClock

from alerts.config.rule import AlertsConfig, NoData
from alerts.rules.pairs import Needs
from alerts.service import AlertService
from alerts.store import queries as archive
from alerts.store.tables import TransitionRow
from tests.alerts.bench import CONFIG, Bench, running
from tests.alerts.fakes import SqliteDatabase

pytestmark = pytest.mark.anyio

TRANSITIONS = select(func.count()).select_from(TransitionRow)


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "trio", {"clock": MockClock(autojump_threshold=0)}


@pytest.fixture
def database(tmp_path: Path) -> SqliteDatabase:
    return SqliteDatabase(tmp_path / "alerts.db", inline=True)


async def test_samples_are_evaluated_while_a_commit_is_under_way(database: SqliteDatabase) -> None:
    async with running(Bench(database)) as bench:
        database.gate = anyio.Event()
        bench.hear(66.0)
        await anyio.sleep(0.5)
        bench.hear(67.0, "unit/b")
        await anyio.sleep(0.5)
        assert len(bench.alerts.open_alerts()) == 2
        database.gate.set()
        await anyio.sleep(0.1)
        assert bench.ops.types == [("alert.onset", True)] * 2


async def test_the_receivers_of_an_onset_are_notified_of_its_clear_after_a_restart_too(
    database: SqliteDatabase,
) -> None:
    async with running(Bench(database)) as bench:
        bench.hear(66.0)
        await anyio.sleep(0.1)
    elsewhere = CONFIG.rules[0].model_copy(update={"notify": ("site",)})
    again = Bench(database, config=CONFIG.model_copy(update={"rules": (elsewhere,)}))
    again.alerts.add_subject("unit/gate-a", {})
    await again.alerts.restore()
    async with running(again):
        again.hear(60.0)
        await anyio.sleep(0.1)
    assert again.ops.types == [("alert.clear", True)]
    assert again.site.offered == []


async def test_an_acknowledgement_is_a_transition_like_any(database: SqliteDatabase) -> None:
    async with running(Bench(database)) as bench:
        bench.hear(66.0)
        await anyio.sleep(0.1)
        alert = bench.alert
        assert bench.alerts.acknowledge(str(alert.id), "anna", "on my way").acknowledged_by == "anna"
        bench.alerts.unacknowledge(str(alert.id))
        await anyio.sleep(0.1)
        with pytest.raises(KeyError):
            bench.alerts.acknowledge("none", "anna")
    assert [kind for kind, _ in bench.ops.types] == ["alert.onset", "alert.ack", "alert.unack"]
    assert [d.sequence for d, _ in bench.ops.offered] == [1, 2, 3]
    history = database.run(lambda s: archive.find_alert(s, str(alert.id)))
    assert history is not None
    assert len(history.transitions) == 3


async def test_a_full_inbox_drops_the_oldest_and_counts(database: SqliteDatabase) -> None:
    bench = Bench(database, room=2)
    for value in (70.0, 50.0, 66.0):
        bench.hear(value)
    async with running(bench):
        await anyio.sleep(0.1)
    assert bench.alerts.counts.dropped_samples == 1
    assert bench.alerts.counts.samples == 2
    assert bench.alert.value == 66.0


async def test_what_was_decided_is_committed_on_the_way_out(database: SqliteDatabase) -> None:
    async with running(Bench(database)) as bench:
        await anyio.sleep(0.5)
        bench.hear(66.0)
    assert len(database.run(lambda s: s.exec(select(TransitionRow)).all())) == 1


async def test_the_other_receivers_are_notified_when_one_is_failing(database: SqliteDatabase) -> None:
    async with running(Bench(database)) as bench:
        bench.alerts.report("hub/receiver/ops", False, "HTTP 500")
        await anyio.sleep(0.1)
    assert bench.ops.offered == []
    assert '"summary":"ops receiver-failing: HTTP 500"' in bench.site.offered[0][0].document


@pytest.mark.parametrize("reason", ["", None])
async def test_a_report_without_a_reason_has_none(database: SqliteDatabase, reason: str | None) -> None:
    async with running(Bench(database)) as bench:
        bench.alerts.report("hub/storage", False, reason)
        await anyio.sleep(0.1)
        (first, *_), _ = bench.ops.offered, bench.site.offered
    assert '"reason":null' in first[0].document


async def test_an_error_that_cannot_be_stored_as_it_is_does_not_stop_the_service(database: SqliteDatabase) -> None:
    async with running(Bench(database)) as bench:
        bench.alerts.report("hub/storage", False, "ValueError: a\0b\ud800\nc" + "d" * 5000)
        await anyio.sleep(0.1)
        (first, *_), _ = bench.ops.offered, bench.site.offered
    reason = first[0].document.partition('"reason":"')[2].partition('"')[0]
    assert reason.startswith("ValueError: a\ufffdb\ufffd cd")
    assert len(reason) == 1000


async def test_silence_counts_from_the_end_of_a_standstill_before_time_decides(database: SqliteDatabase) -> None:
    rule = {"name": "quiet", "metric": "laeq_15m", "above": 65, "no_data": {"after": "10s", "action": "alarm"}}
    bench = Bench(database, config=AlertsConfig.model_validate({"rules": [rule]}))
    async with running(bench):
        bench.hear(50.0)
        await anyio.sleep(5.5)
        bench.clock.stood_still_s = 60
        bench.resumed_s = bench.clock.time()
        await anyio.sleep(9)
        assert bench.alerts.open_alerts() == []
        await anyio.sleep(3)
        assert bench.alert.reason == "no-data"


def acknowledge(bench: Bench) -> object:
    return bench.alerts.acknowledge(str(bench.alert.id), "anna")


def unacknowledge(bench: Bench) -> object:
    acknowledge(bench)
    return bench.alerts.unacknowledge(str(bench.alert.id))


DECIDES: dict[str, tuple[Callable[[Bench], object], str]] = {
    "submit": (lambda bench: bench.hear(60.0), "alert.clear"),
    "report": (lambda bench: bench.alerts.report("hub/child/feeds/unit", False), "alert.onset"),
    "add_subject": (lambda bench: bench.alerts.add_subject("unit/gate-a", {"site": "yard"}), "alert.clear"),
    "remove_subject": (lambda bench: bench.alerts.remove_subject("unit/gate-a"), "alert.clear"),
    "acknowledge": (acknowledge, "alert.ack"),
    "unacknowledge": (unacknowledge, "alert.unack"),
    "configure": (lambda bench: bench.alerts.configure(CONFIG.model_copy(update={"rules": ()})), "alert.clear"),
    "run": (lambda bench: None, "alert.no_data"),  # time passes: the rule `silent` fires
}
DECIDES_NOTHING = {"set_reachable", "alert", "open_alerts", "rule_status", "labels_of", "needs", "rule_inputs"}


@pytest.mark.parametrize("name", DECIDES)
async def test_what_a_call_decides_is_committed_and_announced_whatever_the_caller_does(
    database: SqliteDatabase, name: str
) -> None:
    loud = CONFIG.rules[0].model_copy(update={"match": {"site": "dock"}})
    silent = CONFIG.rules[0].model_copy(
        update={"name": "silent", "metric": "lp", "no_data": NoData(after="60s", action="alarm")}
    )
    decide, expected = DECIDES[name]
    async with running(Bench(database, config=CONFIG.model_copy(update={"rules": (loud, silent)}))) as bench:
        bench.hear(66.0)
        await anyio.sleep(1)
        decide(bench)
        await anyio.sleep(62 if name == "run" else 1)
    stored = database.run(lambda s: s.exec(select(TransitionRow).order_by(col(TransitionRow.at))).all())
    assert len(stored) > 1
    assert stored[-1].type == expected
    assert bench.ops.types == [(row.type, True) for row in stored]
    assert bench.alerts.counts.transitions == len(stored)


async def test_what_a_restart_decides_is_committed_and_announced(database: SqliteDatabase) -> None:
    async with running(Bench(database)) as bench:
        bench.hear(66.0)
        await anyio.sleep(1)
    again = Bench(database)
    await again.alerts.restore()  # the subject is gone
    async with running(again):
        await anyio.sleep(1)
    assert again.ops.types == [("alert.clear", True)]
    assert database.run(lambda s: s.exec(TRANSITIONS).one()) == 2


def test_every_public_method_is_known_to_commit_what_it_decides_or_to_decide_nothing() -> None:
    public = {name for name, _ in inspect.getmembers(AlertService, inspect.isfunction) if name[0] != "_"}
    assert public == {*DECIDES, "restore"} | DECIDES_NOTHING


async def test_an_alert_that_nobody_acknowledged_stays_as_it_is_when_that_is_taken_back(
    database: SqliteDatabase,
) -> None:
    async with running(Bench(database)) as bench:
        bench.hear(66.0)
        await anyio.sleep(1)
        before = bench.alert
        assert bench.alerts.unacknowledge(str(before.id)) is before
        await anyio.sleep(1)
    assert bench.ops.types == [("alert.onset", True)]


async def test_a_report_on_a_known_part_of_the_hub_leaves_its_labels(database: SqliteDatabase) -> None:
    bench = Bench(database)
    bench.alerts.add_subject("hub/feed/fab", {"feed": "fab"})
    bench.alerts.report("hub/feed/fab", False, "stale")
    assert bench.alerts.labels_of("hub/feed/fab") == {"feed": "fab"}


async def test_a_receiver_that_is_no_longer_configured_is_no_longer_failing(database: SqliteDatabase) -> None:
    async with running(Bench(database)) as bench:
        bench.alerts.report("hub/receiver/site", False, "refused")
        await anyio.sleep(1)
        assert bench.alert.rule == "receiver-failing"
        bench.alerts.configure(CONFIG.model_copy(update={"receivers": CONFIG.receivers[:1]}))
        await anyio.sleep(1)
        assert bench.alerts.open_alerts() == []
    assert bench.ops.types == [("alert.onset", True), ("alert.clear", True)]


async def test_the_needs_of_a_subject_are_the_metrics_of_its_rules_and_how_often(database: SqliteDatabase) -> None:
    bench = Bench(database)
    bench.alerts.add_subject("unit/gate-a", {})
    metrics, every_s = bench.alerts.needs("unit/gate-a", watched_s=1.0)
    assert metrics == {"laeq_15m", "reachable"}
    assert every_s is not None
    bench.alerts.configure(AlertsConfig())
    assert bench.alerts.needs("unit/gate-a", watched_s=1.0) == Needs(frozenset({"reachable"}), None)
