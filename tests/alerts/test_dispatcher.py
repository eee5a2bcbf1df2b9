import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from sqlmodel import select
from trio.testing import MockClock

from alerts import archive, outbox
from alerts.alert import TransitionType
from alerts.courier import open_courier
from alerts.delivery import Delivery, Notice, deliveries_of
from alerts.dispatcher import Dispatcher
from alerts.message import render
from alerts.rule import Receiver
from alerts.tables import AttemptRow
from alerts.webhook import Delivered, Gone, Outcome, Retry
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
        room = settings.pop("room", 10_000)
        self.database, clock = database, LoopClock()
        self.dispatcher = Dispatcher(
            Receiver(name="ops", url="http://x/", **settings),
            partial(open_courier, hook.post, clock),
            database,
            clock,
            "site",
            lambda name, failing, reason: self.troubles.append((name, failing, reason)),
            chance=lambda: 0.5,
            room=room,
        )

    def give(self, *notices: Notice) -> list[Delivery]:
        deliveries = [d for n in notices for d in deliveries_of(n, render(n, "site"))]
        self.database.run(lambda s: outbox.write(s, outbox.rows_of(notices, deliveries, [], 0.0)))
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
    return Notice(transition(kind, told), {"site": "dock"}, "said", receivers=("ops",))


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


async def test_a_410_while_sql_is_being_read_holds_what_is_read(database: SqliteDatabase) -> None:
    hook = FakeWebhook(1.0)
    hook.answers = [Gone()]
    bench = Bench(database, hook)
    async with running(bench) as dispatcher:
        bench.give(notice("unit/a"))
        await anyio.sleep(0.5)
        later = deliveries_of(notice("unit/b"), b"{}")
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
    bodies = {d.id: d.body for d in given}
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


async def test_without_a_database_messages_go_and_are_marked_later(database: SqliteDatabase) -> None:
    hook = FakeWebhook(0.0)
    bench = Bench(database, hook)
    async with running(bench) as dispatcher:
        await bench.settled()
        database.is_down = True
        told = replace(notice(), persisted=False)
        deliveries = deliveries_of(told, render(told, "site"))
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
    deliveries = [d for n in notices for d in deliveries_of(n, render(n, "site"))]
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
        rows = [d for n in stored for d in deliveries_of(n, render(n, "site"))]
        database.run(lambda s: outbox.write(s, outbox.rows_of(stored, rows, [], 0.0)))
        dispatcher.look_again()
        await anyio.sleep(60)
    assert bench.states() == ["delivered"] * 5


async def test_what_is_not_stored_yet_does_not_overtake_what_only_sql_has(database: SqliteDatabase) -> None:
    hook = FakeWebhook()
    bench = Bench(database, hook)
    first, over = notice(), notice(kind=TransitionType.CLEAR)
    (told,) = deliveries_of(first, render(first, "site"))
    (clear,) = deliveries_of(over, render(over, "site"))
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
    deliveries = [d for n in (other, first, over) for d in deliveries_of(n, render(n, "site"))]
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
