import anyio
import pytest

from hub.instruments.exchange import NotWanted, Priority
from hub.links.inbox import Inbox, Request
from tests.elapsed import takes_less_than
from tests.virtual_time import START_S, VirtualClock, virtual


def at_once() -> float:
    return START_S


@virtual
async def test_the_most_urgent_request_comes_first_and_equals_in_their_order() -> None:
    inbox: Inbox[Request[str]] = Inbox(VirtualClock())
    requests = [Request[str]() for _ in range(4)]
    priorities = (Priority.BACKGROUND, Priority.MONITOR, Priority.MONITOR, Priority.OPERATOR)
    for request, priority in zip(requests, priorities, strict=True):
        inbox.put(request, priority)
    assert len(inbox) == 4
    assert [requests.index(await inbox.next(at_once)) for _ in range(4)] == [3, 1, 2, 0]


@virtual
async def test_a_request_is_waited_for() -> None:
    inbox: Inbox[Request[str]] = Inbox(VirtualClock())
    request = Request[str]()
    async with anyio.create_task_group() as tasks:

        @tasks.start_soon
        async def put_later() -> None:
            await anyio.sleep(3.0)
            inbox.put(request, Priority.MONITOR)

        assert await inbox.next(at_once) is request


@virtual
async def test_no_request_comes_before_its_time_and_a_pause_may_be_cut_short() -> None:
    clock = VirtualClock()
    inbox: Inbox[Request[str]] = Inbox(clock)
    inbox.put(Request(), Priority.MONITOR)
    inbox.put(Request(), Priority.MONITOR)
    await inbox.next(lambda: START_S + 5.0)
    assert START_S + 5.0 <= clock.steady() < START_S + 5.1
    with takes_less_than(1.1):
        await inbox.next(lambda: START_S + (60.0 if clock.steady() < START_S + 6.0 else 0.0))


@virtual
async def test_a_request_that_nobody_waits_for_any_more_is_passed_over() -> None:
    inbox: Inbox[Request[str]] = Inbox(VirtualClock())
    abandoned, other = Request[str](), Request[str]()
    inbox.put(abandoned, Priority.OPERATOR)
    inbox.put(other, Priority.BACKGROUND)
    with anyio.move_on_after(0):
        await abandoned.wait()
    assert await inbox.next(at_once) is other


@virtual
async def test_whoever_waits_gets_the_answer_or_the_error() -> None:
    answered, failed = Request[str](), Request[str]()
    answered.answer("21.5")
    assert answered.is_answered
    assert await answered.wait() == "21.5"
    failed.fail(ValueError("no"))
    assert failed.is_done
    assert not failed.is_answered
    with pytest.raises(ValueError, match="no"):
        await failed.wait()


@virtual
async def test_a_request_that_is_not_wanted_any_more_has_failed() -> None:
    assert Request[str]().is_wanted()
    assert Request[str](lambda: True).is_wanted()
    unwanted = Request[str](lambda: False)
    assert not unwanted.is_wanted()
    with pytest.raises(NotWanted):
        await unwanted.wait()


@virtual
async def test_all_that_wait_can_be_failed() -> None:
    inbox: Inbox[Request[str]] = Inbox(VirtualClock())
    request = Request[str]()
    inbox.put(request, Priority.MONITOR)
    inbox.fail_all(lambda: ValueError("given up"))
    assert len(inbox) == 0
    with pytest.raises(ValueError, match="given up"):
        await request.wait()
