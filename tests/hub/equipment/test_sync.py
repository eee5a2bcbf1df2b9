from typing import Any

import anyio
import pytest

from hub.cache.redis import RedisClients, open_redis
from hub.equipment.cache import EquipmentCache
from hub.equipment.requests import NotRunning, RefreshOptions, RequestRefused
from hub.equipment.sync import Outcome, OutcomeKind, Sync, refusal_of
from hub.oracle.connection import Connection, OracleUnavailable
from hub.oracle.logon import LogonDenied
from hub.runtime.clock import Clock
from tests.elapsed import takes_less_than
from tests.hub.equipment.scripted import ScriptedView, SetClock, machines
from tests.redis_server import private_redis, shared_redis
from tests.virtual_time import virtual

pytestmark = pytest.mark.anyio


class Hub:
    """One hub's sync of a view."""

    def __init__(
        self,
        view: ScriptedView,
        redis: RedisClients | None = None,
        interval_s: float = 300.0,
        clock: Clock | None = None,
        **source: Any,
    ) -> None:
        self.clock = clock or Clock()
        self.cache = EquipmentCache("fab", redis, self.clock, interval_s, lambda: None)
        self.outcomes: list[Outcome] = []
        self.sync = Sync("fab", view.source(**source), self.cache, self.clock, interval_s, self.outcomes.append)

    async def kind(self, force: bool = False, accept: bool = False) -> str:
        return (await self.sync.refresh(force, accept)).kind.value

    @property
    def count(self) -> int | None:
        return len(self.cache.entry.value.machines) if self.cache.entry else None


async def test_the_first_cycle_reads_and_the_next_finds_it_fresh() -> None:
    view = ScriptedView(*machines(10))
    hub = Hub(view)
    assert [await hub.kind(), await hub.kind()] == ["refreshed", "fresh"]
    assert (view.queries, hub.count) == (1, 10)
    assert 290 < hub.outcomes[1].again_s <= 300


async def test_from_eight_tenths_of_the_interval_on_it_is_read_again() -> None:
    clock = SetClock()
    hub = Hub(ScriptedView(*machines(10)), clock=clock)
    await hub.kind()
    clock.ahead_s = 239
    assert await hub.kind() == "fresh"
    clock.ahead_s = 241
    assert await hub.kind() == "refreshed"


async def test_force_reads_although_fresh() -> None:
    view = ScriptedView(*machines(10))
    hub = Hub(view)
    assert [await hub.kind(), await hub.kind(force=True)] == ["refreshed", "refreshed"]
    assert view.queries == 2


async def test_a_failure_keeps_the_last_good_plant_and_names_its_code() -> None:
    view = ScriptedView(*machines(10))
    hub = Hub(view)
    await hub.kind()
    view.fails = OracleUnavailable("ORA-03113", "end-of-file")
    outcome = await hub.sync.refresh(force=True)
    assert (outcome.kind, outcome.code, outcome.reason) == (OutcomeKind.FAILED, "ORA-03113", "end-of-file")
    assert hub.count == 10


async def test_failures_are_retried_after_5_15_45_seconds_and_never_later_than_the_interval() -> None:
    view = ScriptedView()
    view.fails = OracleUnavailable("ORA-03113", "end-of-file")
    patient, hasty = Hub(view), Hub(view, interval_s=7.0)
    for hub in (patient, hasty):
        for _ in range(4):
            assert await hub.kind() == "failed"
    assert [outcome.again_s for outcome in patient.outcomes] == [5, 15, 45, 45]
    assert [outcome.again_s for outcome in hasty.outcomes] == [5, 7, 7, 7]
    view.fails = None
    view.show(*machines(1))
    assert await patient.kind() == "refreshed"
    assert (patient.sync.record.consecutive_failures, patient.sync.record.last_failure) == (0, None)


@virtual
async def test_a_hung_query_fails_at_the_deadline() -> None:
    view = ScriptedView()
    view.hangs = True
    with takes_less_than(0.051):
        outcome = await Hub(view, query_s=0.05).sync.refresh()
    assert (outcome.kind, outcome.code) == (OutcomeKind.FAILED, "DEADLINE")
    assert view.terminated == 1


async def test_a_view_without_a_column_fails_and_says_which() -> None:
    view = ScriptedView(*machines(3))
    view.rows = view.rows._replace(columns=("X", *view.rows.columns[1:]))
    outcome = await Hub(view).sync.refresh()
    assert (outcome.kind, outcome.code) == (OutcomeKind.FAILED, "VIEW")
    assert "RESOURCEID" in (outcome.reason or "")


@pytest.mark.parametrize("left", [0, 4])
async def test_a_shrunken_answer_is_refused_unless_it_is_accepted(left: int) -> None:
    view = ScriptedView(*machines(10))
    hub = Hub(view)
    await hub.kind()
    view.show(*machines(left))
    clock = hub.clock = SetClock()
    hub.sync._clock = hub.cache._clock = clock
    clock.ahead_s = 300
    assert await hub.kind() == "refused"
    assert hub.count == 10
    assert [await hub.kind(), await hub.kind(force=True)] == ["refused", "refused"]
    assert (hub.count, view.queries) == (10, 3)
    assert await hub.kind(accept=True) == "refreshed"
    assert hub.count == left
    assert await hub.kind(force=True) == "refreshed"


async def test_to_accept_a_shrunken_answer_does_not_skip_the_freshness_of_a_good_one() -> None:
    view = ScriptedView(*machines(10))
    hub = Hub(view)
    await hub.kind()
    view.show(*machines(1))
    assert await hub.kind(accept=True) == "fresh"
    assert await hub.kind(force=True, accept=True) == "refreshed"
    assert hub.count == 1


def test_the_guard_starts_below_half() -> None:
    assert refusal_of(5, 10) is None
    assert refusal_of(4, 10) is not None
    assert refusal_of(1, None) is None
    assert refusal_of(0, None) == "the view is empty"
    assert refusal_of(0, 0) is None, "a person has accepted an empty plant"


async def test_a_refusal_stands_until_a_good_answer_is_published_and_counts_as_a_failure() -> None:
    clock = SetClock()
    view = ScriptedView(*machines(10))
    hub = Hub(view, clock=clock)
    await hub.kind()
    view.show()
    clock.ahead_s = 300
    assert await hub.kind() == "refused"
    repeated = await hub.sync.refresh()
    assert (repeated.kind, repeated.code, repeated.is_repeated) == (OutcomeKind.REFUSED, "REFUSED", True)
    record = hub.sync.record
    assert (record.consecutive_failures, record.last_failure and record.last_failure.reason) == (1, repeated.reason)
    clock.ahead_s = 600
    await hub.kind()
    assert (record.consecutive_failures, hub.cache.refusal) == (2, repeated.reason)
    view.show(*machines(9))
    clock.ahead_s = 900
    assert await hub.kind() == "refreshed"
    assert record.consecutive_failures == 0
    assert hub.sync.record.last_failure is None
    assert hub.cache.refusal is None


async def test_a_failure_is_not_over_because_the_answer_before_it_is_still_fresh() -> None:
    view = ScriptedView(*machines(10))
    hub = Hub(view)
    await hub.kind()
    view.fails = OracleUnavailable("ORA-03113", "gone")
    assert await hub.kind(force=True) == "failed"
    assert await hub.kind() == "fresh"
    assert hub.sync.record.consecutive_failures == 1
    view.fails = None
    assert await hub.kind(force=True) == "refreshed"
    assert (hub.sync.record.consecutive_failures, hub.sync.record.last_failure) == (0, None)


async def test_a_refused_password_is_left_alone_for_as_long_as_the_lane_says() -> None:
    class Denied(ScriptedView):
        async def connect(self) -> Connection:
            self.asked_at.append(0.0)
            raise LogonDenied("sync", "ORA-01017", "wrong password", 600.0)

    view = Denied()
    outcome = await Hub(view).sync.refresh()
    assert (outcome.kind, outcome.code, outcome.again_s) == (OutcomeKind.FAILED, "ORA-01017", 600.0)
    assert view.queries == 1


async def test_a_second_refresh_in_the_same_hub_does_not_wait() -> None:
    view = ScriptedView(*machines(3))
    view.hangs = True
    hub = Hub(view)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hub.kind)
        await view.asked.wait()
        assert await hub.kind() == "lock_held"
        tasks.cancel_scope.cancel()
    view.hangs = False
    assert await hub.kind() == "refreshed"


async def test_while_one_hub_reads_another_gets_lock_held_and_then_fresh() -> None:
    async with shared_redis() as redis:
        view = ScriptedView(*machines(3))
        view.takes_s = 0.2
        one, other = Hub(view, redis), Hub(view, redis)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.kind)
            await view.asked.wait()
            assert await other.kind() == "lock_held"
        assert 0 < other.outcomes[0].again_s <= 90
        assert await other.kind() == "fresh"
        assert (view.queries, other.count) == (1, 3)


async def test_a_stamp_from_the_future_counts_as_none() -> None:
    async with shared_redis() as redis:
        view = ScriptedView(*machines(3))
        hub = Hub(view, redis)
        await hub.kind()
        [pointer] = [key async for key in redis.commands.scan_iter(f"{redis.prefix}:equipment:fab.v2")]
        ahead = int(await redis.commands.hget(pointer, "checked_ms") or 0) + 3_600_000
        await redis.commands.hset(pointer, "checked_ms", str(ahead))
        assert await hub.kind() == "refreshed"


async def test_a_refusal_is_not_asked_again_by_the_next_hub() -> None:
    async with shared_redis() as redis:
        view = ScriptedView(*machines(10))
        one, other = Hub(view, redis), Hub(view, redis)
        await one.kind()
        await other.kind()
        view.show()
        assert (await one.sync.refresh()).kind is OutcomeKind.FRESH
        one.sync._interval_s = 0.0
        assert await one.kind() == "refused"
        assert await other.kind() == "refused"
        assert (view.queries, other.count) == (2, 10)
        assert other.cache.refusal == one.cache.refusal is not None
        late = Hub(view, redis)
        assert await late.kind() == "refused"
        assert (view.queries, late.count) == (2, 10)
        view.show(*machines(8))
        assert await one.kind() == "refreshed"
        assert [await other.kind(), await late.kind()] == ["fresh", "fresh"]
        assert (other.cache.refusal, other.sync.record.consecutive_failures) == (None, 0)


async def test_a_first_answer_that_is_empty_is_known_to_every_hub() -> None:
    async with shared_redis() as redis:
        view = ScriptedView()
        one, other = Hub(view, redis), Hub(view, redis)
        assert [await one.kind(), await other.kind()] == ["refused", "refused"]
        assert (view.queries, other.count, other.cache.refusal) == (1, None, "the view is empty")


async def test_a_redis_that_was_emptied_ends_no_refusal() -> None:
    async with private_redis() as server, open_redis(server.url) as redis:
        view = ScriptedView(*machines(10))
        hub = Hub(view, redis, interval_s=1.0)
        await hub.kind()
        view.show()
        await anyio.sleep(0.9)
        assert await hub.kind() == "refused"
        await redis.commands.flushall()
        assert await hub.kind() == "refused"
        assert hub.cache.refusal is not None


async def test_a_hub_that_was_overtaken_does_not_publish() -> None:
    async with shared_redis() as redis:
        slow_view, quick_view = ScriptedView(*machines(3)), ScriptedView(*machines(5))
        slow_view.takes_s = 0.3
        slow, quick = Hub(slow_view, redis), Hub(quick_view, redis)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(slow.kind)
            await slow_view.asked.wait()
            await redis.commands.delete(redis.key("lock", "equipment.fab.v2"))  # as if it had run out
            assert await quick.kind() == "refreshed"
        assert slow.outcomes[0].kind is OutcomeKind.FRESH
        assert await slow.kind() == "fresh"
        assert (slow.count, quick.count) == (5, 5)


async def test_a_reader_killed_in_mid_query_blocks_the_others_only_for_its_lock() -> None:
    async with shared_redis() as redis:
        view = ScriptedView(*machines(3))
        await redis.commands.set(redis.key("lock", "equipment.fab.v2"), "dead", px=300)
        hub = Hub(view, redis, interval_s=1.0)
        with anyio.move_on_after(0.9):
            await hub.sync.run()
        assert hub.outcomes[0].kind.value == "lock_held"
        assert "refreshed" in [outcome.kind.value for outcome in hub.outcomes]


async def test_without_its_redis_a_hub_reads_for_itself_and_publishes_when_it_is_back() -> None:
    async with private_redis() as server, open_redis(server.url) as redis:
        view = ScriptedView(*machines(3))
        clock = SetClock()
        hub = Hub(view, redis, clock=clock)
        await server.stop()
        assert await hub.kind() == "refreshed"
        assert hub.cache.degraded is not None
        assert await hub.kind() == "fresh"
        await server.start()
        clock.ahead_s = 300
        assert await hub.kind() == "refreshed"
        assert hub.cache.degraded is None
        late = Hub(view, redis)
        assert await late.kind() == "fresh"
        assert late.count == 3


async def test_stopping_in_mid_query_drops_the_connection_and_the_lock() -> None:
    async with shared_redis() as redis:
        view = ScriptedView()
        view.hangs = True
        hub = Hub(view, redis)
        with takes_less_than(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(hub.sync.run)
                await view.asked.wait()
                tasks.cancel_scope.cancel()
        assert view.terminated == 1
        assert await redis.commands.get(redis.key("lock", "equipment.fab.v2")) is None


async def test_a_hub_that_was_killed_in_mid_query_keeps_the_others_away_for_ten_seconds_at_most() -> None:
    async with shared_redis() as redis:
        view = ScriptedView(*machines(3))
        view.hangs = True
        hub = Hub(view, redis, interval_s=86_400.0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hub.kind)
            await view.asked.wait()
            left_ms = await redis.commands.pttl(redis.key("lock", "equipment.fab.v2"))
            other = Hub(view, redis)
            held = await other.sync.refresh()
            tasks.cancel_scope.cancel()
        assert 0 < left_ms <= 10_000
        assert (held.kind, held.again_s <= 10.0) == (OutcomeKind.LOCK_HELD, True)


async def test_a_requested_refresh_is_made_by_the_feed_and_survives_its_caller() -> None:
    view = ScriptedView(*machines(3))
    hub = Hub(view)
    with pytest.raises(NotRunning):
        await hub.sync.requests.submit(RefreshOptions())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hub.sync.run)
        await view.asked.wait()
        fresh = await hub.sync.requests.submit(RefreshOptions())
        assert (fresh.kind, view.queries) == (OutcomeKind.FRESH, 1)
        view.asked, view.takes_s = anyio.Event(), 0.1
        with anyio.move_on_after(0.02) as gave_up:
            await hub.sync.requests.submit(RefreshOptions(force=True))
        assert gave_up.cancelled_caught
        both: list[Outcome] = []

        async def ask() -> None:
            both.append(await hub.sync.requests.submit(RefreshOptions(force=True)))

        async with anyio.create_task_group() as askers:
            askers.start_soon(ask)
            askers.start_soon(ask)
        assert [outcome.kind for outcome in both] == [OutcomeKind.REFRESHED] * 2
        assert view.queries == 3, "the one whose caller gave up, and one for both others"
        tasks.cancel_scope.cancel()


async def test_a_feed_that_stops_during_a_query_refuses_the_waiting_requests() -> None:
    view = ScriptedView()
    view.hangs = True
    hub = Hub(view)
    refused: list[RequestRefused] = []

    async def ask() -> None:
        with pytest.raises(RequestRefused, match="stopped") as caught:
            await hub.sync.requests.submit(RefreshOptions(force=True))
        refused.append(caught.value)

    async with anyio.create_task_group() as askers:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hub.sync.run)
            await view.asked.wait()
            for _ in range(16):
                askers.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(RequestRefused, match="16 refreshes wait"):
                await hub.sync.requests.submit(RefreshOptions())
            tasks.cancel_scope.cancel()
    assert len(refused) == 16
