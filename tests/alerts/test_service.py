import inspect
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import anyio
import pytest
from sqlalchemy import func, text
from sqlmodel import Session, col, select
from trio.testing import MockClock

from alerts.config.caption import UNNAMED, Caption
from alerts.config.rule import AlertsConfig, NoData
from alerts.model.alert import Alert
from alerts.model.delivery import Delivery
from alerts.model.sample import Sample
from alerts.rules.pairs import Needs
from alerts.service import AlertService
from alerts.store import queries as archive
from alerts.store.tables import AlertRow, AlertStateRow, DeliveryRow, TransitionRow
from tests.alerts.fakes import LoopClock, SqliteDatabase

pytestmark = pytest.mark.anyio

T = TypeVar("T")
TRANSITIONS = select(func.count()).select_from(TransitionRow)
STATES = select(func.count()).select_from(AlertStateRow)

CONFIG = AlertsConfig.model_validate(
    {
        "rules": [{"name": "night-limit", "metric": "laeq_15m", "above": 65, "cooldown": "0s", "notify": ["ops"]}],
        "receivers": [{"name": name, "url": "http://x/"} for name in ("ops", "site")],
    }
)


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "trio", {"clock": MockClock(autojump_threshold=0)}


@pytest.fixture
def database(tmp_path: Path) -> SqliteDatabase:
    return SqliteDatabase(tmp_path / "alerts.db", inline=True)


class Office:
    """Keeps what it is offered."""

    def __init__(self) -> None:
        self.offered: list[tuple[Delivery, bool]] = []
        self.looks = 0

    def look_again(self) -> None:
        self.looks += 1

    def offer(self, deliveries: Iterable[Delivery], persisted: bool = True) -> None:
        self.offered += [(delivery, persisted) for delivery in deliveries]

    @property
    def types(self) -> list[tuple[str, bool]]:
        return [(delivery.type, persisted) for delivery, persisted in self.offered]


class Bench:
    """Alerts with one rule and two receivers."""

    resumed_s = float("-inf")

    def __init__(self, database: SqliteDatabase, room: int = 50_000, config: AlertsConfig = CONFIG) -> None:
        self.ops, self.site = Office(), Office()
        self.clock = LoopClock()
        self.latencies: list[tuple[str, float]] = []
        caption = Caption("Gate A", {"laeq_15m": "LCeq,15min"})
        self.alerts = AlertService(
            database,
            self.clock,
            "site-office",
            "UTC",
            {"ops": self.ops, "site": self.site},
            caption_of=lambda subject: caption if subject == "unit/gate-a" else UNNAMED,
            on_latency=lambda stage, seconds: self.latencies.append((stage, seconds)),
            resumed_s=lambda: self.resumed_s,
            room=room,
        )
        self.alerts.configure(config)

    def hear(self, value: float, subject: str = "unit/gate-a") -> None:
        self.alerts.add_subject(subject, {"site": "dock"})
        self.alerts.submit([Sample(subject, "laeq_15m", value, self.clock.now(), self.clock.time())])

    @property
    def alert(self) -> Alert:
        [alert] = self.alerts.open_alerts()
        return alert


@asynccontextmanager
async def running(bench: Bench) -> AsyncIterator[Bench]:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.alerts.run)
        yield bench
        tasks.cancel_scope.cancel()


async def test_a_transition_is_announced_once_it_is_committed(database: SqliteDatabase) -> None:
    async with running(Bench(database)) as bench:
        database.gate = anyio.Event()
        bench.hear(66.2)
        await anyio.sleep(1)
        assert bench.ops.offered == []
        database.gate.set()
        await anyio.sleep(0.1)
        assert bench.ops.types == [("alert.onset", True)]
        assert database.durable_writes == 1
        delivery = bench.ops.offered[0][0]
        row = database.run(lambda s: s.exec(select(DeliveryRow)).one())
        assert (row.id, row.body) == (delivery.id, None)
        document = database.run(lambda s: s.exec(select(TransitionRow.document)).one())
        assert document == delivery.document
        assert '"summary":"gate-a (Gate A) LCeq,15min 66.2 dB > 65.0 dB"' in delivery.document
        assert '"subject":"gate-a","name":"Gate A"' in delivery.document
        assert '"metric_label":"LCeq,15min"' in delivery.document
        assert '"decision_to_commit":' in delivery.document
    assert bench.site.offered == []
    assert {name for name, _ in bench.latencies} == {"sample_to_decision", "decision_to_commit", "commit"}


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


async def test_many_transitions_share_one_commit(database: SqliteDatabase) -> None:
    async with running(Bench(database)) as bench:
        for n in range(100):
            bench.hear(70.0, f"unit/u{n}")
        await anyio.sleep(0.1)
        assert len(bench.ops.offered) == 100
        assert database.durable_writes == 1


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


async def test_peaks_are_stored_within_a_second(database: SqliteDatabase) -> None:
    async with running(Bench(database)) as bench:
        bench.hear(66.0)
        await anyio.sleep(0.1)
        bench.hear(71.5)
        await anyio.sleep(1.1)
        assert database.run(lambda s: s.exec(select(AlertRow)).one()).peak == "71.5"
        assert database.durable_writes == 1


async def test_without_a_database_transitions_are_announced_from_memory_and_written_later(
    database: SqliteDatabase,
) -> None:
    async with running(Bench(database)) as bench:
        database.is_down = True
        bench.hear(66.0)
        await anyio.sleep(1.5)
        assert bench.ops.offered == []
        await anyio.sleep(1)
        assert bench.ops.types == [("alert.onset", False), ("alert.onset", False)]
        assert '"persisted":false' in bench.ops.offered[0][0].document
        assert "storage-failing" in bench.ops.offered[1][0].document
        assert bench.site.types == [("alert.onset", False)]
        bench.hear(60.0)
        await anyio.sleep(0.05)
        assert bench.ops.types[2:] == [("alert.clear", False)]
        database.is_down = False
        await anyio.sleep(1)
        assert bench.ops.types[3:] == [("alert.clear", True)]
        assert bench.ops.looks > 0
    rows = database.run(lambda s: s.exec(select(TransitionRow)).all())
    assert sorted((row.type, row.persisted) for row in rows) == [
        ("alert.clear", False),
        ("alert.clear", True),
        ("alert.onset", False),
        ("alert.onset", False),
    ]
    stored = {(row.alert_id, row.sequence): row.document for row in rows}
    assert all(stored[str(d.alert_id), d.sequence] == d.document for d, _ in bench.ops.offered)


async def test_a_commit_that_hangs_delays_the_alarm_by_two_seconds_only(database: SqliteDatabase) -> None:
    async with running(Bench(database)) as bench:
        database.gate = anyio.Event()
        bench.hear(66.0)
        await anyio.sleep(2.5)
        assert bench.ops.types[0] == ("alert.onset", False)
        database.gate.set()
        await anyio.sleep(1)
        first = [d for d, _ in bench.ops.offered if "night-limit" in d.document]
        assert len(first) == 1
        assert bench.ops.looks > 0


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
    story = database.run(lambda s: archive.story(s, str(alert.id)))
    assert story is not None
    assert len(story.transitions) == 3


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


async def test_a_state_is_never_stored_ahead_of_the_transition_that_led_to_it(tmp_path: Path) -> None:
    counts = []

    class Watched(SqliteDatabase):
        def run(self, work: Callable[[Session], T]) -> T:
            result = super().run(work)
            counts.append(super().run(lambda s: (s.exec(TRANSITIONS).one(), s.exec(STATES).one())))
            return result

    async with running(Bench(Watched(tmp_path / "alerts.db", inline=True))) as bench:
        for n in range(3000):  # more than one transaction takes
            bench.hear(70.0, f"unit/u{n}")
        await anyio.sleep(0.1)
    assert counts[-1] == (3000, 3000)
    assert len(set(counts)) > 3
    assert all(transitions == states for transitions, states in counts)


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


async def test_a_commit_that_waited_while_the_hub_stood_still_is_no_failure_of_the_storage(
    database: SqliteDatabase,
) -> None:
    async with running(Bench(database)) as bench:
        database.gate = anyio.Event()
        bench.hear(66.2)
        await anyio.sleep(1.5)
        bench.resumed_s = bench.clock.time()
        await anyio.sleep(1.5)
        assert not bench.alerts.is_storage_failing
        await anyio.sleep(1)
        assert bench.alerts.is_storage_failing


async def test_a_transition_that_no_database_takes_is_announced_and_holds_up_no_other(
    database: SqliteDatabase,
) -> None:
    database.run(
        lambda s: s.execute(
            text(
                "CREATE TRIGGER no BEFORE INSERT ON transitions WHEN new.alert LIKE '%poison%'"
                " BEGIN SELECT RAISE(ABORT, 'no'); END"
            )
        )
    )
    async with running(Bench(database)) as bench:
        for subject in ("unit/a", "unit/poison", "unit/b"):
            bench.hear(66.2, subject)
        await anyio.sleep(1)
        told = {one["alert"]["subject"]: one for one in (json.loads(d.document) for d, _ in bench.ops.offered)}
        assert {subject: message["persisted"] for subject, message in told.items()} == {
            "a": True,
            "b": True,
            "poison": False,
        }
        assert not bench.alerts.is_storage_failing
        assert bench.alerts.counts.set_aside == 1
        bench.hear(66.2, "unit/c")
        await anyio.sleep(1)
        assert len(bench.ops.offered) == 4
    stored = database.run(lambda s: [row.subject for row in s.exec(select(AlertRow).order_by(AlertRow.subject))])
    assert stored == ["unit/a", "unit/b", "unit/c", "unit/poison"]
    assert [(one.table, one.reason) for one in database.refused] == [("transitions", "IntegrityError")]


async def test_a_comment_with_what_not_every_database_can_hold_is_stored_all_the_same(
    database: SqliteDatabase,
) -> None:
    async with running(Bench(database)) as bench:
        bench.hear(66.2)
        await anyio.sleep(1)
        alert = bench.alert
        assert alert.id is not None
        bench.alerts.acknowledge(alert.id, "shift", "half \ud800 and \0")
        await anyio.sleep(1)
        row = database.run(lambda s: s.exec(select(AlertRow)).one())
        stored = database.run(lambda s: s.exec(select(TransitionRow).order_by(col(TransitionRow.sequence))).all())
    assert row.comment == "half \ufffd and \ufffd"
    assert stored[1].document == bench.ops.offered[1][0].document
    assert json.loads(stored[1].document or "")["comment"] == "half \ufffd and \0"
    assert not bench.alerts.is_storage_failing


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
DECIDES_NOTHING = {"set_reachable", "alert", "open_alerts", "rule_status", "labels_of", "needs", "hearing"}


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


async def test_where_too_much_waits_the_oldest_transition_is_announced_and_counted_as_lost(
    database: SqliteDatabase,
) -> None:
    async with running(Bench(database, room=2)) as bench:
        database.gate = anyio.Event()
        for subject in ("unit/a", "unit/b", "unit/c"):
            bench.hear(66.0, subject)
            await anyio.sleep(0.1)
        assert bench.alerts.counts.lost_transitions == 1
        [(oldest, is_persisted)] = bench.ops.offered
        assert (json.loads(oldest.document)["alert"]["subject"], is_persisted) == ("a", False)
        database.gate.set()
        await anyio.sleep(1)
        assert bench.ops.types == [("alert.onset", False), ("alert.onset", True), ("alert.onset", True)]


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
