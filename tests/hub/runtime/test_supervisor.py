from collections.abc import Awaitable, Callable

import anyio
import anyio.lowlevel
import pytest

from hub.runtime.clock import Clock
from hub.runtime.supervisor import ChildState, EssentialChildFailed, RestartPolicy, Supervisor, without_cancellation

pytestmark = pytest.mark.anyio

QUICK = RestartPolicy(crashes=3, period_s=60, first_delay_s=0.0, max_delay_s=0.0)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def settle() -> None:
    for _ in range(20):
        await anyio.wait_all_tasks_blocked()
        await anyio.lowlevel.checkpoint()


def crashing(times: int, then: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    left = times

    async def run() -> None:
        nonlocal left
        if left:
            left -= 1
            raise RuntimeError("a bug")
        await then()

    return run


async def test_a_crash_at_start_up_is_reported_and_the_child_runs_again() -> None:
    async with Supervisor("feeds", Clock(), QUICK) as feeds:
        child = feeds.spawn("gate-a", crashing(1, anyio.sleep_forever))
        await settle()
        assert (child.state, child.restarts) == (ChildState.RUNNING, 1)
        assert child.last_crash is not None
        assert "RuntimeError: a bug" in child.last_crash.traceback


async def test_a_crash_does_not_affect_other_children() -> None:
    crash = anyio.Event()

    async def crash_once() -> None:
        if not crash.is_set():
            await crash.wait()
            raise ValueError("late bug")
        await anyio.sleep_forever()

    async with Supervisor("feeds", Clock(), QUICK) as feeds:
        bad, good = feeds.spawn("bad", crash_once), feeds.spawn("good", anyio.sleep_forever)
        await settle()
        crash.set()
        await settle()
        assert (bad.restarts, bad.state) == (1, ChildState.RUNNING)
        assert (good.restarts, good.state, good.last_crash) == (0, ChildState.RUNNING, None)


async def test_a_crash_in_clean_up_is_reported_and_the_stop_goes_on() -> None:
    async def crash_in_clean_up() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise RuntimeError("clean-up fault")

    async with Supervisor("feeds", Clock(), QUICK) as feeds:
        child = feeds.spawn("gate-a", crash_in_clean_up)
        await settle()
    assert child.last_crash is not None
    assert child.last_crash.error == "RuntimeError: clean-up fault"
    assert child.restarts == 0


async def test_too_many_crashes_and_the_child_has_failed_while_others_live() -> None:
    told: list[tuple[str, str | None]] = []
    async with Supervisor("feeds", Clock(), QUICK, lambda *what: told.append(what)) as feeds:
        bad, good = feeds.spawn("bad", crashing(99, anyio.sleep_forever)), feeds.spawn("good", anyio.sleep_forever)
        await settle()
        assert (bad.state, bad.restarts) == (ChildState.FAILED, 2)
        assert good.state is ChildState.RUNNING
        assert told == [("bad", "crashed 3 times, last with RuntimeError; the log has the details")]
        assert feeds.running == ["good"]


async def test_a_failed_child_can_be_started_by_hand() -> None:
    told: list[tuple[str, str | None]] = []
    async with Supervisor("feeds", Clock(), QUICK, lambda *what: told.append(what)) as feeds:
        child = feeds.spawn("bad", crashing(3, anyio.sleep_forever))
        await settle()
        assert child.state is ChildState.FAILED
        feeds.start("bad")
        await settle()
        assert feeds.children["bad"].state is ChildState.RUNNING
        assert told[-1] == ("bad", None)


async def test_an_essential_child_that_gives_up_ends_the_group() -> None:
    with pytest.raises(BaseExceptionGroup) as caught:
        async with Supervisor("sinks", Clock(), QUICK) as sinks:
            sinks.spawn("recorder", crashing(99, anyio.sleep_forever), essential=True)
            await anyio.sleep_forever()
    failed = caught.value.exceptions[0]
    assert isinstance(failed, EssentialChildFailed)
    assert str(failed) == "recorder crashed 3 times: RuntimeError: a bug"


async def test_old_crashes_are_forgotten() -> None:
    policy = RestartPolicy(crashes=2, period_s=1e-9, first_delay_s=0.0, max_delay_s=0.0)
    async with Supervisor("feeds", Clock(), policy) as feeds:
        child = feeds.spawn("bad", crashing(5, anyio.sleep_forever))
        await settle()
        assert (child.state, child.restarts) == (ChildState.RUNNING, 5)


async def test_a_hung_child_is_named_while_the_stop_waits_for_it() -> None:
    let_go = anyio.Event()

    async def hang_at_stop() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await let_go.wait()

    async with anyio.create_task_group() as tasks:
        feeds = Supervisor("feeds", Clock(), QUICK)

        async def stop_with_a_hung_child() -> None:
            async with feeds:
                feeds.spawn("hung", hang_at_stop)
                feeds.spawn("prompt", anyio.sleep_forever)
                await settle()

        tasks.start_soon(stop_with_a_hung_child)
        await settle()
        await settle()
        assert feeds.running == ["hung"]
        let_go.set()
    assert feeds.running == []


async def test_removing_a_child_waits_for_its_end_and_frees_its_name() -> None:
    ended = anyio.Event()

    async def run() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()

    async with Supervisor("feeds", Clock(), QUICK) as feeds:
        feeds.spawn("gate-a", run)
        await settle()
        await feeds.remove("gate-a")
        assert ended.is_set()
        feeds.spawn("gate-a", anyio.sleep_forever)
        with pytest.raises(ValueError, match="already"):
            feeds.spawn("gate-a", anyio.sleep_forever)


async def test_a_child_that_returns_is_stopped_not_restarted() -> None:
    async with Supervisor("feeds", Clock(), QUICK) as feeds:
        child = feeds.spawn("once", lambda: anyio.lowlevel.checkpoint())
        await settle()
        assert (child.state, child.restarts) == (ChildState.STOPPED, 0)


async def test_a_crash_beside_a_cancellation_is_split_from_it() -> None:
    cancelled = anyio.get_cancelled_exc_class()
    with anyio.CancelScope() as scope:
        scope.cancel()
        try:
            await anyio.sleep(1)
        except cancelled as cancellation:
            assert without_cancellation(cancellation) is None
            group = BaseExceptionGroup("both", [cancellation, RuntimeError("bug")])
            crash = without_cancellation(group)
            assert isinstance(crash, BaseExceptionGroup)
            assert [str(e) for e in crash.exceptions] == ["bug"]
            raise
    with pytest.raises(SystemExit):
        without_cancellation(SystemExit(1))


async def test_a_crash_inside_a_task_group_is_reported_by_its_cause() -> None:
    async def run() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fail)
            await anyio.sleep_forever()

    async def fail() -> None:
        raise LookupError("the cause")

    async with Supervisor("group", Clock(), RestartPolicy(crashes=1)) as group:
        child = group.spawn("child", run)
        with anyio.fail_after(60):
            await child.ended.wait()
    assert (child.state, child.restarts) == (ChildState.FAILED, 0)
    assert child.last_crash is not None
    assert child.last_crash.error == "LookupError: the cause"
