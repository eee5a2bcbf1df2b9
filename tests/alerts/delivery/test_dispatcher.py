import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest
from sqlmodel import select
from trio.testing import MockClock

from alerts.config.rule import Receiver
from alerts.delivery.answers import Delivered, Gone, Outcome, Refused, Retry, Wait
from alerts.delivery.dispatcher import Dispatcher, Failure
from alerts.delivery.formats.hub import FORMAT as HUB
from alerts.delivery.formats.rendering import rendered
from alerts.delivery.message import documented
from alerts.model.alert import TransitionType
from alerts.model.delivery import Delivery, Notice, deliveries_of
from alerts.model.document import Origin
from alerts.store import outbox
from alerts.store import queries as archive
from alerts.store.pending import read_pending
from alerts.store.tables import AttemptRow
from tests.alerts.fakes import START, LoopClock, SqliteDatabase, cleared, onset, transition

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "trio", {"clock": MockClock(autojump_threshold=0)}


@pytest.fixture
def database(tmp_path: Path) -> SqliteDatabase:
    return SqliteDatabase(tmp_path / "alerts.db", inline=True)


class FakeWebhook:
    """Answers as told, each after `takes_s`; keeps who was sent when, and how many at a time."""

    def __init__(self, takes_s: float = 0.003) -> None:
        self.takes_s = takes_s
        self.answers: list[Outcome] = []
        self.answer: Callable[[Delivery], Outcome] = lambda delivery: Delivered(204)
        self.sent: list[tuple[float, Delivery]] = []
        self.out: Counter[str] = Counter()
        self.most_out = self.most_out_of_one = 0
        self._sent = anyio.Event()

    async def post(self, delivery: Delivery, at: datetime) -> Outcome:
        key = delivery.alert_id or ""
        self.out[key] += 1
        self.most_out = max(self.most_out, self.out.total())
        self.most_out_of_one = max(self.most_out_of_one, self.out[key])
        self.sent.append((anyio.current_time(), delivery))
        await anyio.sleep(self.takes_s)
        self.out[key] -= 1
        self._sent.set()
        self._sent = anyio.Event()
        return self.answers.pop(0) if self.answers else self.answer(delivery)

    async def wait_for(self, count: int) -> None:
        while len(self.sent) < count or self.out.total():
            await self._sent.wait()

    @property
    def times(self) -> list[float]:
        start = self.sent[0][0]
        return [round(at - start, 1) for at, _ in self.sent]


class Bench:
    """A dispatcher at work."""

    def __init__(self, database: SqliteDatabase, hook: FakeWebhook, **settings: Any) -> None:
        self.troubles: list[tuple[str, bool, str | None]] = []
        self.failures: list[Failure] = []
        self.dead: list[tuple[str, str]] = []
        room = settings.pop("room", 10_000)
        self.database, self.clock = database, LoopClock()
        self.dispatcher = Dispatcher(
            Receiver(name="ops", url="http://x/", **settings),
            lambda: nullcontext(hook.post),
            database,
            self.clock,
            "site",
            lambda name, failing, reason: self.troubles.append((name, failing, reason)),
            on_failure=self.failures.append,
            on_dead=lambda delivery, error: self.dead.append((delivery.id, error)),
            chance=lambda: 0.5,
            room=room,
        )

    def give(self, *notices: Notice) -> list[Delivery]:
        told = [documented(n, Origin("site")) for n in notices]
        deliveries = [d for n in told for d in deliveries_of(n)]
        self.database.run(lambda s: outbox.write(s, outbox.rows_of(told, deliveries, [], 0.0)))
        self.dispatcher.offer(deliveries)
        return deliveries

    async def settled(self) -> None:
        await anyio.sleep(1)

    def states(self) -> list[str]:
        return sorted(told.delivery.state for told in self.database.run(archive.list_deliveries).items)


@asynccontextmanager
async def running(bench: Bench) -> AsyncIterator[Dispatcher]:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.dispatcher.run)
        yield bench.dispatcher
        tasks.cancel_scope.cancel()


def notice(subject: str = "unit/gate-a", kind: TransitionType = TransitionType.ONSET) -> Notice:
    alert = onset(subject=subject)
    told = alert if kind is TransitionType.ONSET else cleared(alert)
    plain = Notice(transition(kind, told), {"site": "dock"}, "said", receivers=("ops",))
    return documented(plain, Origin("site"))


async def test_a_burst_goes_out_eight_at_a_time(database: SqliteDatabase) -> None:
    hook = FakeWebhook()
    bench = Bench(database, hook)
    async with running(bench):
        bench.give(*(notice(f"unit/u{n}") for n in range(100)))
        await hook.wait_for(100)
        await bench.settled()
    assert hook.most_out == 8
    assert bench.states() == ["delivered"] * 100
    assert len({d.id for _, d in hook.sent}) == 100


async def test_two_messages_of_one_alert_are_never_out_together(database: SqliteDatabase) -> None:
    hook = FakeWebhook()
    hook.answers = [Retry("HTTP 500", 500)]
    bench = Bench(database, hook)
    async with running(bench):
        bench.give(notice(), notice(kind=TransitionType.CLEAR))
        await hook.wait_for(3)
    assert [d.type for _, d in hook.sent] == ["alert.onset", "alert.onset", "alert.clear"]
    assert hook.most_out_of_one == 1


async def test_a_failing_message_is_retried_on_schedule_with_the_same_id_and_body(database: SqliteDatabase) -> None:
    hook = FakeWebhook(0.0)
    hook.answers = [Retry("refused")] * 4
    bench = Bench(database, hook)
    async with running(bench):
        bench.give(notice())
        await hook.wait_for(5)
        await bench.settled()
    assert hook.times == [0, 5, 35, 155, 755]
    assert len({(d.id, d.body) for _, d in hook.sent}) == 1
    rows = database.run(lambda s: s.exec(select(AttemptRow).order_by("number")).all())
    assert [(row.number, row.error) for row in rows] == [(n, "refused") for n in range(1, 5)] + [(5, None)]


async def test_the_first_failure_is_told_and_what_the_receiver_wrote_is_kept(database: SqliteDatabase) -> None:
    hook = FakeWebhook(0.0)
    refused = Refused("HTTP 400", 400, "invalid_payload")
    hook.answers = [refused, refused, Delivered(200, "ok")]
    bench = Bench(database, hook)
    async with running(bench):
        bench.give(notice())
        await anyio.sleep(2 * 3600)
    assert bench.failures == [Failure("ops", refused, has_worked=False)]
    rows = database.run(lambda s: s.exec(select(AttemptRow).order_by("number")).all())
    assert [(row.status, row.answer) for row in rows] == [(400, "invalid_payload")] * 2 + [(200, "ok")]


async def test_a_message_that_is_given_up_is_told(database: SqliteDatabase) -> None:
    hook = FakeWebhook(0.0)
    hook.answer = lambda delivery: Retry("HTTP 500", 500)
    bench = Bench(database, hook)
    async with running(bench):
        (given,) = bench.give(notice())
        await anyio.sleep(73 * 3600)
    assert bench.dead == [(given.id, "HTTP 500")]


async def test_retry_after_is_obeyed(database: SqliteDatabase) -> None:
    hook = FakeWebhook(0.0)
    hook.answers = [Retry("HTTP 429", 429, 100.0)]
    bench = Bench(database, hook)
    async with running(bench):
        bench.give(notice())
        await hook.wait_for(2)
    assert 100 <= hook.times[1] <= 110


async def test_a_dead_onset_lets_what_waits_behind_it_go(database: SqliteDatabase) -> None:
    hook = FakeWebhook(0.0)
    hook.answer = lambda delivery: Delivered(204) if delivery.type == "alert.clear" else Retry("HTTP 500", 500)
    bench = Bench(database, hook)
    async with running(bench):
        bench.give(notice(), notice(kind=TransitionType.CLEAR))
        while not hook.sent or hook.sent[-1][1].type != "alert.clear":
            await hook._sent.wait()
        await bench.settled()
    assert bench.states() == ["dead", "delivered"]
    assert 60 * 3600 < hook.times[-1] < 73 * 3600


async def test_a_dead_letter_is_replayed_with_its_id(database: SqliteDatabase) -> None:
    hook = FakeWebhook(0.0)
    hook.answer = lambda delivery: Retry("HTTP 500", 500)
    bench = Bench(database, hook)
    async with running(bench) as dispatcher:
        (given,) = bench.give(notice())
        await anyio.sleep(72 * 3600)
        assert bench.states() == ["dead"]
        hook.answer = lambda delivery: Delivered(204)
        before = len(hook.sent)
        database.run(lambda s: outbox.replay(s, [given.id]))
        dispatcher.reload()
        await hook.wait_for(before + 1)
        await bench.settled()
    assert hook.sent[-1][1].id == given.id
    assert bench.states() == ["delivered"]


@pytest.mark.parametrize("step", [timedelta(days=20_000), timedelta(days=-20_000)])
async def test_a_wall_clock_that_is_set_ends_no_message_before_its_72_hours_and_keeps_none_for_longer(
    database: SqliteDatabase, step: timedelta
) -> None:
    hook = FakeWebhook(0.0)
    hook.answer = lambda delivery: Retry("HTTP 500", 500)
    bench = Bench(database, hook)
    async with running(bench):
        bench.give(notice())
        await anyio.sleep(60)
        bench.clock.set = step
        await anyio.sleep(60 * 3600)
        assert bench.states() == ["pending"]
        await anyio.sleep(12 * 3600)
        assert bench.states() == ["dead"]


async def test_a_wall_clock_that_was_set_back_before_a_restart_keeps_no_message_waiting_for_years(
    database: SqliteDatabase,
) -> None:
    hook = FakeWebhook(0.0)
    hook.answers = [Retry("HTTP 500", 500)] * 4
    bench = Bench(database, hook)
    async with running(bench):
        bench.give(notice())
        await anyio.sleep(160)
    again = Bench(database, hook)
    again.clock.set = timedelta(days=-20_000)
    async with running(again):
        await anyio.sleep(14 * 3600)
    assert bench.states() == ["delivered"]


async def test_a_replay_sends_what_a_receiver_said_410_to_after_it_had_said_wait(database: SqliteDatabase) -> None:
    hook = FakeWebhook(0.0)
    hook.answers = [Wait("HTTP 429", 429, 20.0), Gone()]
    bench = Bench(database, hook)
    async with running(bench) as dispatcher:
        (given,) = bench.give(notice())
        await anyio.sleep(60)
        assert bench.states() == ["held"]
        database.run(lambda s: outbox.replay(s, [given.id]))
        dispatcher.reload()
        await anyio.sleep(60)
    assert bench.states() == ["delivered"]


async def test_a_receiver_that_is_gone_is_held_over_a_restart_and_released_by_a_replay(
    database: SqliteDatabase,
) -> None:
    hook = FakeWebhook(0.0)
    hook.answers = [Gone()]
    bench = Bench(database, hook)
    async with running(bench):
        (first,) = bench.give(notice())
        await bench.settled()
        bench.give(notice("unit/b"))
        await bench.settled()
    assert bench.states() == ["held", "held"]
    assert bench.troubles == [("ops", True, "HTTP 410: it wants no more messages")]
    assert len(hook.sent) == 1
    again = Bench(database, hook)
    async with running(again) as dispatcher:
        await bench.settled()
        assert dispatcher.is_held
        assert len(hook.sent) == 1
        database.run(lambda s: outbox.replay(s, [first.id]))
        dispatcher.reload()
        await hook.wait_for(3)
        await bench.settled()
    assert bench.states() == ["delivered", "delivered"]


async def test_what_was_under_way_when_the_receiver_said_410_is_no_recovery(database: SqliteDatabase) -> None:
    hook = FakeWebhook(1.0)
    bench = Bench(database, hook)
    async with running(bench) as dispatcher:
        bench.give(notice("unit/a"))
        await anyio.sleep(0.5)
        bench.give(notice("unit/b"))
        hook.answers = [Gone(), Delivered(204)]
        await anyio.sleep(5)
        assert dispatcher.is_held
        assert bench.states() == ["delivered", "held"]
        assert bench.troubles == [("ops", True, "HTTP 410: it wants no more messages")]


@pytest.mark.parametrize("late", [Delivered(204), Retry("HTTP 500", 500), Gone()])
async def test_a_replay_waits_for_what_is_under_way_since_before_the_410(
    database: SqliteDatabase, late: Outcome
) -> None:
    hook = FakeWebhook(10.0)
    bench = Bench(database, hook)
    async with running(bench) as dispatcher:
        bench.give(notice("unit/a"), notice("unit/a", TransitionType.CLEAR))
        await anyio.sleep(1)
        hook.takes_s, hook.answers = 0.1, [Gone()]
        bench.give(notice("unit/b"))
        await anyio.sleep(1)
        assert dispatcher.is_held
        hook.answers = [late]
        for _ in range(2):
            database.run(lambda s: outbox.replay_between(s, START, START + timedelta(days=1)))
            dispatcher.reload()
            await anyio.sleep(20)
    assert hook.most_out_of_one == 1
    assert bench.states() == ["delivered"] * 3


async def test_a_replay_releases_what_was_held_and_not_marked_yet(database: SqliteDatabase) -> None:
    hook = FakeWebhook(0.0)
    hook.answers = [Gone()]
    bench = Bench(database, hook)
    async with running(bench) as dispatcher:
        bench.give(notice("unit/a"))
        await bench.settled()
        bench.give(notice("unit/b"))
        database.run(lambda s: outbox.replay_between(s, START, START + timedelta(days=1)))
        dispatcher.reload()
        await anyio.sleep(5)
    assert bench.states() == ["delivered", "delivered"]


async def test_what_a_held_receiver_is_offered_unstored_is_sent_once_it_is_released(
    database: SqliteDatabase,
) -> None:
    hook = FakeWebhook(0.0)
    hook.answers = [Gone()]
    bench = Bench(database, hook)
    async with running(bench) as dispatcher:
        bench.give(notice("unit/a"))
        await bench.settled()
        (unstored,) = deliveries_of(notice("unit/b"))
        dispatcher.offer([unstored], persisted=False)
        await bench.settled()
        assert bench.states() == ["held", "held"]
        database.run(lambda s: outbox.replay_between(s, START, START + timedelta(days=1)))
        dispatcher.reload()
        await anyio.sleep(5)
    assert unstored.id in {d.id for _, d in hook.sent}
    assert bench.states() == ["delivered", "delivered"]


async def test_a_body_is_stored_while_the_first_attempt_is_under_way(database: SqliteDatabase) -> None:
    hook = FakeWebhook(1e6)
    bench = Bench(database, hook)
    async with running(bench):
        (delivery,) = bench.give(notice())
        await bench.settled()
    (stored,) = database.run(lambda s: read_pending(s, "ops").deliveries)
    assert hook.sent[0][1].body == stored.body == rendered(delivery, HUB).body
    assert (stored.attempts, stored.content_type) == (0, "application/json")


async def test_a_410_while_sql_is_being_read_holds_what_is_read(database: SqliteDatabase) -> None:
    hook = FakeWebhook(1.0)
    hook.answers = [Gone()]
    bench = Bench(database, hook)
    async with running(bench) as dispatcher:
        bench.give(notice("unit/a"))
        await anyio.sleep(0.5)
        later = deliveries_of(notice("unit/b"))
        database.run(lambda s: outbox.write(s, outbox.rows_of([notice("unit/b")], later, [], 0.0)))
        database.gate = anyio.Event()
        dispatcher.look_again()
        await anyio.sleep(1)
        assert dispatcher.is_held
        database.gate.set()
        await anyio.sleep(5)
        assert dispatcher.is_held
    assert len(hook.sent) == 1
    assert bench.states() == ["held", "held"]


async def test_a_changed_receiver_is_no_longer_held(database: SqliteDatabase) -> None:
    hook = FakeWebhook(0.0)
    hook.answers = [Gone()]
    bench = Bench(database, hook)
    async with running(bench):
        bench.give(notice())
        await bench.settled()
    changed = Bench(database, hook, headers={"authorization": "new"})
    async with running(changed):
        await hook.wait_for(2)
        await changed.settled()
    assert changed.states() == ["delivered"]


async def test_what_is_pending_in_sql_is_sent_after_a_restart(database: SqliteDatabase) -> None:
    hook = FakeWebhook()
    bench = Bench(database, hook)
    given = bench.give(notice(), notice(kind=TransitionType.CLEAR), notice("unit/b"))
    async with running(Bench(database, hook)):
        await hook.wait_for(3)
    assert {d.id for _, d in hook.sent} == {d.id for d in given}
    bodies = {d.id: rendered(d, HUB).body for d in given}
    assert all(d.body == bodies[d.id] for _, d in hook.sent)


async def test_more_than_memory_holds_comes_from_sql(database: SqliteDatabase) -> None:
    hook = FakeWebhook()
    bench = Bench(database, hook, room=10)
    async with running(bench):
        for start in range(0, 60, 20):
            bench.give(*(notice(f"unit/u{n}") for n in range(start, start + 20)))
            assert len(bench.dispatcher) <= 10
            await anyio.sleep(0.01)
        await hook.wait_for(60)
        await bench.settled()
    assert bench.states() == ["delivered"] * 60
    assert len(hook.sent) == 60


async def test_ten_minutes_of_failing_is_reported_once_and_so_is_its_end(database: SqliteDatabase) -> None:
    hook = FakeWebhook(0.0)
    hook.answers = [Retry("HTTP 500", 500)] * 5
    bench = Bench(database, hook)
    async with running(bench):
        bench.give(notice())
        await hook.wait_for(4)
        await anyio.sleep(599 - 155)
        assert bench.troubles == []
        await anyio.sleep(2)
        assert bench.troubles == [("ops", True, "HTTP 500")]
        await hook.wait_for(6)
        await bench.settled()
    assert bench.troubles == [("ops", True, "HTTP 500"), ("ops", False, None)]


async def test_a_hanging_receiver_delays_no_other(database: SqliteDatabase) -> None:
    hanging, quick = FakeWebhook(1e6), FakeWebhook()
    slow, fast = Bench(database, hanging), Bench(database, quick)
    async with running(slow), running(fast):
        slow.give(*(notice(f"unit/s{n}") for n in range(9)))
        fast.give(notice("unit/f"))
        await quick.wait_for(1)
        assert anyio.current_time() < 1


async def test_a_group_is_gathered_and_sent_as_one_digest(database: SqliteDatabase) -> None:
    hook = FakeWebhook(0.0)
    bench = Bench(database, hook, group_by=("site",))
    async with running(bench):
        bench.give(notice(), notice("unit/b"))
        await anyio.sleep(29)
        assert not hook.sent
        bench.give(notice("unit/c"))
        await hook.wait_for(1)
        bench.give(notice("unit/d"))
        await hook.wait_for(2)
        await bench.settled()
    assert [d.type for _, d in hook.sent] == ["digest", "alert.onset"]
    assert hook.times == [0, 300]
    assert len(json.loads(hook.sent[0][1].body)["items"]) == 3
    assert bench.states() == ["delivered", "delivered", "digested", "digested", "digested"]


async def test_a_rate_limit_puts_the_rest_into_one_digest(database: SqliteDatabase) -> None:
    hook = FakeWebhook(0.0)
    bench = Bench(database, hook, rate_limit="3/min")
    async with running(bench):
        bench.give(*(notice(f"unit/u{n}") for n in range(10)))
        await hook.wait_for(3)
        bench.give(notice("unit/x"), notice("unit/y"))
        await hook.wait_for(4)
        await bench.settled()
    assert [d.type for _, d in hook.sent] == ["alert.onset", "alert.onset", "digest", "digest"]
    assert hook.times == [0, 0, 0, 60]
    assert [len(json.loads(d.body)["items"]) for _, d in hook.sent[2:]] == [8, 2]


async def test_a_digest_that_fails_is_retried_with_its_id(database: SqliteDatabase) -> None:
    hook = FakeWebhook(0.0)
    hook.answers = [Retry("refused")]
    bench = Bench(database, hook, group_by=("site",))
    async with running(bench):
        bench.give(notice(), notice("unit/b"))
        await hook.wait_for(1)
        await bench.settled()
    restarted = Bench(database, hook, group_by=("site",))
    async with running(restarted):
        await hook.wait_for(2)
        await bench.settled()
    assert len({(d.id, d.body) for _, d in hook.sent}) == 1
    assert bench.states() == ["delivered", "digested", "digested"]


async def test_a_digest_that_is_made_again_after_a_kill_is_the_same_message(database: SqliteDatabase) -> None:
    hook = FakeWebhook(0.0)
    bench = Bench(database, hook, group_by=("site",))
    async with running(bench):
        bench.give(notice(), notice("unit/b"))
        await anyio.sleep(1)
        database.is_down = True
        await hook.wait_for(1)
    database.is_down = False
    async with running(Bench(database, hook, group_by=("site",))):
        await hook.wait_for(2)
    assert [d.type for _, d in hook.sent] == ["digest", "digest"]
    assert len({(d.id, d.body) for _, d in hook.sent}) == 1


async def test_without_a_database_messages_go_and_are_marked_later(database: SqliteDatabase) -> None:
    hook = FakeWebhook(0.0)
    bench = Bench(database, hook)
    async with running(bench) as dispatcher:
        await bench.settled()
        database.is_down = True
        told = replace(notice(), persisted=False)
        deliveries = deliveries_of(documented(told, Origin("site")))
        dispatcher.offer(deliveries, persisted=False)
        await hook.wait_for(1)
        await anyio.sleep(60)
        database.is_down = False
        await bench.settled()
        assert bench.states() == ["delivered"]
        database.run(lambda s: outbox.write(s, outbox.rows_of([told], deliveries, [], 0.0)))
        dispatcher.reload()
        await bench.settled()
    assert len(hook.sent) == 1


async def test_stopping_sends_what_is_due_and_leaves_the_rest_pending(database: SqliteDatabase) -> None:
    hook = FakeWebhook()
    hook.answer = lambda d: Retry("refused") if d.alert_id == onset().id else Delivered(204)
    bench = Bench(database, hook)
    async with running(bench) as dispatcher:
        await bench.settled()
        bench.give(notice(), *(notice(f"unit/u{n}") for n in range(20)))
        dispatcher.stop()
        await hook.wait_for(21)
        await bench.settled()
    assert bench.states() == ["delivered"] * 20 + ["pending"]


async def test_a_crash_in_posting_loses_nothing(database: SqliteDatabase) -> None:
    hook = FakeWebhook(0.0)

    def crash(delivery: Delivery) -> Outcome:
        raise RuntimeError("a bug")

    hook.answer = crash
    bench = Bench(database, hook)
    bench.give(notice())
    with pytest.raises(ExceptionGroup):
        await bench.dispatcher.run()
    hook.answer = lambda delivery: Delivered(204)
    async with running(bench):
        await hook.wait_for(2)
        await bench.settled()
    assert bench.states() == ["delivered"]
    assert hook.sent[0][1].id == hook.sent[1][1].id


async def test_what_memory_had_no_room_for_while_the_database_was_away_is_sent_once_it_is_back(
    database: SqliteDatabase,
) -> None:
    hook = FakeWebhook(0.5)
    bench = Bench(database, hook, room=2)
    notices = [notice(f"unit/u{n}") for n in range(5)]
    deliveries = [d for n in notices for d in deliveries_of(n)]
    async with running(bench) as dispatcher:
        await bench.settled()
        database.is_down = True
        dispatcher.offer(deliveries, persisted=False)
        await hook.wait_for(2)
        assert dispatcher.counts.dropped == 3
        database.is_down = False
        database.run(lambda s: outbox.write(s, outbox.rows_of(notices, deliveries, [], 0.0)))
        dispatcher.look_again()
        await hook.wait_for(5)
        await anyio.sleep(3)
    assert sorted(d.id for _, d in hook.sent) == sorted(d.id for d in deliveries)
    assert bench.states() == ["delivered"] * 5


async def test_what_is_read_from_sql_and_finds_no_room_is_read_again(database: SqliteDatabase) -> None:
    hook = FakeWebhook(0.5)
    bench = Bench(database, hook, room=4)
    async with running(bench) as dispatcher:
        await bench.settled()
        bench.give(*(notice(f"unit/a{n}") for n in range(2)))
        stored = [notice(f"unit/b{n}") for n in range(3)]
        rows = [d for n in stored for d in deliveries_of(n)]
        database.run(lambda s: outbox.write(s, outbox.rows_of(stored, rows, [], 0.0)))
        dispatcher.look_again()
        await anyio.sleep(60)
    assert bench.states() == ["delivered"] * 5


async def test_what_is_not_stored_yet_does_not_overtake_what_only_sql_has(database: SqliteDatabase) -> None:
    hook = FakeWebhook()
    bench = Bench(database, hook)
    first, over = notice(), notice(kind=TransitionType.CLEAR)
    (told,) = deliveries_of(first)
    (clear,) = deliveries_of(over)
    database.run(lambda s: outbox.write(s, outbox.rows_of([first], [told], [], 0.0)))
    database.is_down = True
    async with running(bench) as dispatcher:
        await bench.settled()
        dispatcher.offer([clear], persisted=False)
        await bench.settled()
        assert hook.sent == []
        database.is_down = False
        await hook.wait_for(1)
        database.run(lambda s: outbox.write(s, outbox.rows_of([over], [clear], [], 0.0)))
        dispatcher.look_again()
        await hook.wait_for(2)
        await bench.settled()
    assert [d.id for _, d in hook.sent] == [told.id, clear.id]


async def test_the_order_of_an_alert_holds_where_memory_is_too_small_for_it(database: SqliteDatabase) -> None:
    hook = FakeWebhook(0.5)
    bench = Bench(database, hook, room=1)
    first, over, other = notice(), notice(kind=TransitionType.CLEAR), notice("unit/b")
    deliveries = [d for n in (other, first, over) for d in deliveries_of(n)]
    async with running(bench) as dispatcher:
        await bench.settled()
        database.is_down = True
        dispatcher.offer(deliveries[:2], persisted=False)
        await hook.wait_for(1)
        dispatcher.offer(deliveries[2:], persisted=False)
        await bench.settled()
        database.is_down = False
        database.run(lambda s: outbox.write(s, outbox.rows_of([other, first, over], deliveries, [], 0.0)))
        dispatcher.look_again()
        await hook.wait_for(3)
        await bench.settled()
    assert [d.id for _, d in hook.sent] == [d.id for d in deliveries]


@pytest.mark.parametrize("is_split", [False, True])
async def test_a_410_while_a_digest_is_made_or_split_holds_what_is_in_it(
    database: SqliteDatabase, is_split: bool
) -> None:
    hook = FakeWebhook(5.0)
    hook.answer = lambda delivery: Refused("HTTP 413", 413) if delivery.type == "digest" else Gone()
    bench = Bench(database, hook, group_by=("site",), group_wait="10s")
    alone = Notice(transition(TransitionType.ONSET, onset(subject="unit/a")), {}, "said", receivers=("ops",))
    async with running(bench) as dispatcher:
        if is_split:
            bench.give(notice("unit/b"), notice("unit/c"), alone)
        else:
            bench.give(alone)
            await anyio.sleep(3)
            bench.give(notice("unit/b"), notice("unit/c"))
        await anyio.sleep(12 - anyio.current_time())
        database.gate = anyio.Event()
        await anyio.sleep(5)
        assert dispatcher.is_held
        assert len(hook.sent) == 1 + is_split
        database.gate.set()
        await anyio.sleep(60)
        assert len(hook.sent) == 1 + is_split
        hook.answer = lambda delivery: Delivered(204)
        database.run(lambda s: outbox.replay_between(s, START, START + timedelta(days=1)))
        dispatcher.reload()
        await anyio.sleep(600)
    assert database.run(lambda s: archive.list_deliveries(s, state="pending")).items == []
    assert database.run(lambda s: archive.list_deliveries(s, state="held")).items == []
    assert set(bench.states()) <= {"delivered", "digested", "split"}


def replay(bench: Bench) -> None:
    bench.database.run(lambda s: outbox.replay_between(s, START, START + timedelta(days=1)))
    bench.dispatcher.reload()


async def test_after_a_410_nothing_more_is_tried(database: SqliteDatabase) -> None:
    hook = FakeWebhook()
    hook.answer = lambda delivery: Gone()
    bench = Bench(database, hook)
    async with running(bench):
        bench.give(*(notice(f"unit/u{n}") for n in range(20)))
        await bench.settled()
    assert len(hook.sent) == 8
    assert bench.states() == ["held"] * 20


async def test_leaving_breaks_off_what_is_under_way(database: SqliteDatabase) -> None:
    hook = FakeWebhook(1e6)
    bench = Bench(database, hook)
    async with running(bench):
        bench.give(*(notice(f"unit/u{n}") for n in range(9)))
        await bench.settled()
    assert anyio.current_time() < 2
    assert bench.states() == ["pending"] * 9


async def test_a_replay_right_after_a_410_is_not_undone_by_a_hold_that_is_not_stored_yet(
    database: SqliteDatabase,
) -> None:
    hook = FakeWebhook(0.0)
    hook.answers = [Gone()]
    bench = Bench(database, hook)
    async with running(bench) as dispatcher:
        await bench.settled()
        bench.give(notice())
        await anyio.sleep(0.01)
        assert dispatcher.is_held
        replay(bench)
        await anyio.sleep(5)
        assert not dispatcher.is_held
    assert bench.states() == ["delivered"]


async def test_what_is_held_between_a_replay_and_its_notice_is_released_too(database: SqliteDatabase) -> None:
    hook = FakeWebhook(0.0)
    hook.answers = [Gone()]
    bench = Bench(database, hook)
    async with running(bench) as dispatcher:
        bench.give(notice("unit/a"))
        await bench.settled()
        database.run(lambda s: outbox.replay_between(s, START, START + timedelta(days=1)))
        bench.give(notice("unit/b"))
        await bench.settled()
        dispatcher.reload()
        await anyio.sleep(5)
    assert bench.states() == ["delivered"] * 2


async def test_a_digest_goes_before_the_later_messages_of_its_alerts_after_a_410_and_a_replay(
    database: SqliteDatabase,
) -> None:
    hook = FakeWebhook(0.0)
    hook.answers = [Gone()]
    bench = Bench(database, hook, room=2, group_by=("site",), group_wait="2s", group_interval="2s")
    async with running(bench):
        await bench.settled()
        bench.give(notice("unit/a"), notice("unit/b"))
        await anyio.sleep(5)
        assert bench.states() == ["digested", "digested", "held"]
        bench.give(*(notice(f"unit/{name}", TransitionType.CLEAR) for name in "ab"))
        await bench.settled()
        replay(bench)
        await anyio.sleep(60)
    gone, again, *clears = [d for _, d in hook.sent]
    assert (gone.type, again.id) == ("digest", gone.id)
    assert clears
    assert set(bench.states()) == {"delivered", "digested"}


class Receiving(FakeWebhook):
    """Keeps which messages it took, the first time each, in order; `refuses` decides by messages and size."""

    def __init__(self, refuses: Callable[[set[tuple[str, int]], int], Outcome | None]) -> None:
        super().__init__(0.01)
        self.refuses = refuses
        self.answer = self.judge
        self.took: dict[tuple[str, int], float] = {}
        self.largest = 0

    def judge(self, delivery: Delivery) -> Outcome:
        document = json.loads(delivery.body)
        inside = [(item["id"], item["sequence"]) for item in document.get("items", [document])]
        self.largest = max(self.largest, len(delivery.body))
        refused = self.refuses(set(inside), len(delivery.body))
        if refused is not None:
            return refused
        for message in inside:
            self.took.setdefault(message, anyio.current_time())
        return Delivered(204)

    def is_complete(self, *notices: Notice) -> bool:
        wanted = [(n.alert_id, n.transition.alert.sequence) for n in notices]
        return sorted(self.took) == sorted(wanted)

    @property
    def is_in_order(self) -> bool:
        sequences: dict[str, list[int]] = {}
        for alert_id, sequence in self.took:
            sequences.setdefault(alert_id, []).append(sequence)
        return all(own == sorted(own) for own in sequences.values())


async def test_three_hundred_alarms_of_a_group_go_in_digests_that_a_receiver_can_take(
    database: SqliteDatabase,
) -> None:
    hook = Receiving(lambda inside, size: Refused("HTTP 413", 413) if size > 5_000 else None)
    bench = Bench(database, hook, group_by=("site",))
    many, later = [notice(f"unit/u{n}") for n in range(300)], notice("unit/later")
    async with running(bench):
        bench.give(*many)
        await anyio.sleep(31)
        bench.give(later)
        await anyio.sleep(330)
    assert hook.largest <= 20_000
    assert hook.is_complete(*many, later)
    assert set(bench.states()) <= {"delivered", "digested", "split"}
    with_pending = database.run(lambda s: archive.list_deliveries(s, state="pending"))
    assert with_pending.items == []


@pytest.mark.parametrize("status", [400, 404, 413, 422])
@pytest.mark.parametrize("settings", [{}, {"group_by": ("site",)}, {"rate_limit": "1/s"}])
async def test_others_go_on_round_a_message_that_is_refused_for_its_content(
    database: SqliteDatabase, settings: dict[str, Any], status: int
) -> None:
    refused = onset(subject="unit/u7").id

    def refuses(inside: set[tuple[str, int]], size: int) -> Outcome | None:
        return Refused(f"HTTP {status}", status) if (refused, 1) in inside else None

    hook = Receiving(refuses)
    bench = Bench(database, hook, **settings)
    onsets = [notice(f"unit/u{n}") for n in range(20)]
    clears = [notice(f"unit/u{n}", TransitionType.CLEAR) for n in range(20)]
    async with running(bench):
        bench.give(*onsets)
        await anyio.sleep(40)
        bench.give(*clears)
        await anyio.sleep(3600)
        others = [n for n in (*onsets, *clears) if n.alert_id != refused]
        assert hook.is_complete(*others)
        assert hook.is_in_order
        await anyio.sleep(72 * 3600)
    assert hook.is_complete(*others, clears[7])
    tries = [at for at, d in hook.sent if d.alert_id == refused and d.sequence == 1]
    assert len(tries) < 12
    assert {s for s in bench.states() if s not in ("delivered", "digested", "split")} == {"dead"}


async def test_a_digest_that_was_split_goes_on_in_the_same_parts_after_a_restart(database: SqliteDatabase) -> None:
    hook = Receiving(lambda inside, size: Refused("HTTP 413", 413) if size > 3_000 else None)
    bench = Bench(database, hook, group_by=("site",))
    many = [notice(f"unit/u{n}") for n in range(20)]
    async with running(bench):
        bench.give(*many)
        await hook.wait_for(2)
    before = {d.id: d.body for _, d in hook.sent}
    count = len(hook.sent)
    async with running(Bench(database, hook, group_by=("site",))):
        await anyio.sleep(400)
    assert hook.is_complete(*many)
    again = {d.id: d.body for _, d in hook.sent[count:]}
    assert all(before[id_] == body for id_, body in again.items() if id_ in before)
    assert database.run(lambda s: archive.list_deliveries(s, state="pending")).items == []


async def test_a_digest_refused_while_the_database_is_away_is_split_later(
    database: SqliteDatabase,
) -> None:
    hook = Receiving(lambda inside, size: Refused("HTTP 413", 413) if len(inside) > 1 else None)
    bench = Bench(database, hook, group_by=("site",))
    many = [notice(f"unit/u{n}") for n in range(3)]
    async with running(bench):
        bench.give(*many)
        await anyio.sleep(29)
        database.is_down = True
        await anyio.sleep(60)
        assert hook.took == {}
        database.is_down = False
        await anyio.sleep(600)
    assert hook.is_complete(*many)


@pytest.mark.parametrize("is_back_before_the_digest", [True, False])
async def test_messages_that_were_never_stored_outlive_a_refused_digest(
    database: SqliteDatabase, is_back_before_the_digest: bool
) -> None:
    hook = Receiving(lambda inside, size: Refused("HTTP 413", 413) if len(inside) > 1 else None)
    bench = Bench(database, hook, group_by=("site",))
    many = [notice(f"unit/u{n}") for n in range(3)]
    async with running(bench) as dispatcher:
        await bench.settled()
        database.is_down = not is_back_before_the_digest
        dispatcher.offer([one for told in many for one in deliveries_of(told)], persisted=False)
        await anyio.sleep(60)
        database.is_down = False
        await anyio.sleep(600)
    assert hook.is_complete(*many)


@pytest.mark.parametrize("asked", [20.0, None])
async def test_a_receiver_that_says_wait_is_left_alone_and_gets_the_rest_at_the_pace_of_drain(
    database: SqliteDatabase, asked: float | None
) -> None:
    hook = FakeWebhook(0.01)
    hook.answer = lambda delivery: Wait("HTTP 429", 429, asked)
    bench = Bench(database, hook)
    async with running(bench):
        bench.give(*(notice(f"unit/u{n}") for n in range(600)))
        await anyio.sleep(60)
        assert len(hook.sent) <= 12
        await anyio.sleep(540)
        assert len(hook.sent) <= 45
        hook.answer = lambda delivery: Delivered(204)
        hook.sent.clear()
        await hook.wait_for(1)
        began_s = hook.sent[0][0]
        await anyio.sleep(10)
        assert 150 <= len(hook.sent) <= 1 + 20 * (anyio.current_time() - began_s + 0.1)
        new = notice("unit/new")
        bench.give(new)
        given_s = anyio.current_time()
        await anyio.sleep(1)
        assert given_s in [at for at, d in hook.sent if d.alert_id == new.alert_id]
        await anyio.sleep(100)
    assert len({d.id for _, d in hook.sent}) == 601
    assert len(hook.sent) == 601


async def test_what_an_outage_left_goes_out_once_a_new_message_gets_through(database: SqliteDatabase) -> None:
    hook = FakeWebhook(0.0)
    hook.answer = lambda delivery: Retry("refused")
    bench = Bench(database, hook)
    async with running(bench):
        for n in range(40):
            bench.give(notice(f"unit/u{n}"))
            await anyio.sleep(1)
        await anyio.sleep(20 * 3600)
        hook.answer = lambda delivery: Delivered(204)
        hook.sent.clear()
        bench.give(notice("unit/new"))
        await anyio.sleep(10)
    old = [d.alert_id for _, d in hook.sent[1:]]
    assert old == [onset(subject=f"unit/u{n}").id for n in range(40)]


async def test_what_an_outage_left_goes_out_at_the_pace_of_drain_after_a_restart(database: SqliteDatabase) -> None:
    hook = FakeWebhook(0.0)
    hook.answer = lambda delivery: Retry("refused")
    bench = Bench(database, hook)
    async with running(bench):
        bench.give(*(notice(f"unit/u{n}") for n in range(40)))
        await anyio.sleep(10 * 3600)
    hook.answer = lambda delivery: Delivered(204)
    hook.sent.clear()
    again = Bench(database, hook)
    async with running(again):
        again.give(notice("unit/new"))
        await anyio.sleep(15)
    assert len({d.id for _, d in hook.sent}) == 41


@pytest.mark.parametrize("seed", range(9))
async def test_nothing_is_lost_and_every_alert_is_in_order_whatever_is_answered_over_restarts(
    database: SqliteDatabase, seed: int
) -> None:
    chance = Random(seed)
    choices: list[dict[str, Any]] = [
        {},
        {"group_by": ("site",), "group_wait": "2s", "group_interval": "5s"},
        {"rate_limit": "30/min"},
    ]
    settings = choices[seed % 3]
    is_over = False
    outcomes = [None, None, Retry("HTTP 500", 500), Refused("HTTP 413", 413), Wait("HTTP 503", 503, 3.0), None]
    hook = Receiving(lambda inside, size: None if is_over else chance.choice(outcomes))
    alerts = [onset(subject=f"unit/u{n}") for n in range(12)]
    notices = []
    for _ in range(6):
        bench = Bench(database, hook, **settings)
        async with running(bench):
            for _ in range(chance.randrange(30)):
                n = chance.randrange(len(alerts))
                notices.append(
                    Notice(
                        transition(TransitionType.LEVEL, alerts[n]), {"site": "dock"}, "said", receivers=("ops",)
                    )
                )
                bench.give(notices[-1])
                alerts[n] = replace(alerts[n], sequence=alerts[n].sequence + 1)
                await anyio.sleep(chance.random() * 2)
            await anyio.sleep(chance.random() * 20)
    is_over = True
    async with running(Bench(database, hook, **settings)):
        await anyio.sleep(24 * 3600)
    assert hook.is_complete(*notices)
    assert hook.is_in_order
    assert set(bench.states()) <= {"delivered", "digested", "split"}


@pytest.mark.parametrize("seed", range(12))
async def test_the_same_holds_with_410s_and_replays_where_memory_is_small(
    database: SqliteDatabase, seed: int
) -> None:
    chance = Random(seed)
    choices: list[dict[str, Any]] = [
        {},
        {"group_by": ("site",), "group_wait": "2s", "group_interval": "5s"},
        {"rate_limit": "30/min"},
    ]
    settings = choices[seed % 3]
    room, is_over = (3, 20, 10_000)[seed // 3 % 3], False
    outcomes = [None, None, Retry("HTTP 500", 500), Refused("HTTP 413", 413), Wait("HTTP 503", 503, 3.0), Gone()]
    hook = Receiving(lambda inside, size: None if is_over else chance.choice(outcomes))
    hook.takes_s = (0.0, 0.01, 2.0)[seed % 3]
    alerts = [onset(subject=f"unit/u{n}") for n in range(12)]
    notices = []
    for _ in range(6):
        bench = Bench(database, hook, room=room, **settings)
        async with running(bench):
            for _ in range(chance.randrange(30)):
                n = chance.randrange(len(alerts))
                notices.append(
                    Notice(
                        transition(TransitionType.LEVEL, alerts[n]), {"site": "dock"}, "said", receivers=("ops",)
                    )
                )
                bench.give(notices[-1])
                alerts[n] = replace(alerts[n], sequence=alerts[n].sequence + 1)
                if bench.dispatcher.is_held and chance.random() < 0.3:
                    replay(bench)
                await anyio.sleep(chance.random() * 2)
            await anyio.sleep(chance.random() * 20)
    is_over = True
    bench = Bench(database, hook, room=room, **settings)
    async with running(bench):
        replay(bench)
        await anyio.sleep(24 * 3600)
    assert hook.is_complete(*notices)
    assert hook.is_in_order
    assert set(bench.states()) <= {"delivered", "digested", "split"}
