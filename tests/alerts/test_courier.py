import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

import anyio
import pytest

from alerts.answers import Delivered, Gone, Outcome
from alerts.clock import SystemClock
from alerts.courier import Hand, Sent, open_courier, open_courier_with_own_loop
from alerts.delivery import Delivery
from alerts.rule import Receiver
from alerts.webhook import Webhook
from tests.alerts.fakes import START

pytestmark = pytest.mark.anyio


class FakeWebhook(Webhook):
    """Answers when `gate` opens in its own loop; keeps the order, and how many were out together."""

    def __init__(self) -> None:
        super().__init__(Receiver(name="ops", url="http://x/"), "0.1")
        self.answer: Outcome = Delivered(204)
        self.is_open = threading.Event()
        self.began: list[str] = []
        self.out = self.most_out = self.answered = 0
        self.threads: set[int] = set()
        self.bug: Exception | None = None

    async def post(self, delivery: Delivery, at: datetime) -> Outcome:
        self.began.append(delivery.id)
        self.threads.add(threading.get_ident())
        self.out += 1
        self.most_out = max(self.most_out, self.out)
        try:
            while not self.is_open.is_set():
                await anyio.sleep(0.001)
            if self.bug is not None:
                raise self.bug
            self.answered += 1
            return self.answer
        finally:
            self.out -= 1


class Told:
    """What became of the deliveries."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.threads: set[int] = set()

    def take(self, news: Sequence[Sent]) -> None:
        self.sent += news
        self.threads.add(threading.get_ident())

    async def wait_for(self, count: int) -> None:
        with anyio.fail_after(60):
            while len(self.sent) < count:
                await anyio.sleep(0.001)


@asynccontextmanager
async def couriers(kind: str, hook: FakeWebhook, told: Told) -> AsyncIterator[Hand]:
    opening = (
        open_courier(hook.post, SystemClock(), told.take)
        if kind == "here"
        else open_courier_with_own_loop(hook, SystemClock(), told.take)
    )
    async with opening as hand:
        yield hand


def deliveries(count: int) -> list[Delivery]:
    return [Delivery(f"m{n}", "ops", "test", START, b"{}") for n in range(count)]


async def began(hook: FakeWebhook, count: int) -> None:
    with anyio.fail_after(60):
        while len(hook.began) < count:
            await anyio.sleep(0.001)


@pytest.mark.parametrize("kind", ["here", "own loop"])
async def test_eight_are_under_way_and_the_others_follow_in_their_order(kind: str) -> None:
    hook, told = FakeWebhook(), Told()
    async with couriers(kind, hook, told) as hand:
        hand(deliveries(20)[:3])
        hand(deliveries(20)[3:])
        await began(hook, 8)
        assert told.sent == []
        hook.is_open.set()
        await told.wait_for(20)
    assert hook.most_out == 8
    assert hook.began == [delivery.id for delivery in deliveries(20)]
    assert {sent.outcome for sent in told.sent} == {Delivered(204)}


@pytest.mark.parametrize("kind", ["here", "own loop"])
async def test_after_a_410_what_waits_comes_back_untried(kind: str) -> None:
    hook, told = FakeWebhook(), Told()
    hook.answer = Gone()
    async with couriers(kind, hook, told) as hand:
        hand(deliveries(20))
        await began(hook, 8)
        hook.is_open.set()
        await told.wait_for(20)
    assert len(hook.began) == 8
    assert [sent.outcome for sent in told.sent].count(None) == 12
    assert {sent.delivery.id for sent in told.sent} == {delivery.id for delivery in deliveries(20)}


async def test_an_own_loop_posts_in_a_thread_and_tells_in_this_one() -> None:
    hook, told = FakeWebhook(), Told()
    hook.is_open.set()
    async with couriers("own loop", hook, told) as hand:
        hand(deliveries(3))
        await told.wait_for(3)
    assert threading.get_ident() not in hook.threads
    assert told.threads == {threading.get_ident()}


@pytest.mark.parametrize("kind", ["here", "own loop"])
async def test_leaving_breaks_off_what_is_under_way(kind: str) -> None:
    hook, told = FakeWebhook(), Told()
    with anyio.fail_after(60):
        async with couriers(kind, hook, told) as hand:
            hand(deliveries(9))
            await began(hook, 8)
    assert hook.out == 0
    assert told.sent == []


@pytest.mark.parametrize("kind", ["here", "own loop"])
async def test_a_bug_in_posting_comes_out_where_the_courier_was_opened(kind: str) -> None:
    hook, told = FakeWebhook(), Told()
    hook.bug = LookupError("a bug")
    hook.is_open.set()
    with pytest.RaisesGroup(LookupError, flatten_subgroups=True), anyio.fail_after(60):
        async with couriers(kind, hook, told) as hand:
            hand(deliveries(1))
            await anyio.sleep_forever()


async def test_what_was_answered_until_the_end_is_told() -> None:
    hook, told = FakeWebhook(), Told()
    with pytest.RaisesGroup(KeyError):
        async with couriers("own loop", hook, told) as hand:
            hand(deliveries(3))
            await began(hook, 3)
            hook.is_open.set()
            while hook.answered < 3:  # this loop hears nothing meanwhile
                pass
            raise KeyError
    assert len(told.sent) == 3


async def test_a_cancelled_block_ends_at_once() -> None:
    hook, told = FakeWebhook(), Told()
    with anyio.fail_after(60):
        with anyio.move_on_after(0.05):
            async with couriers("own loop", hook, told) as hand:
                hand(deliveries(1))
                await anyio.sleep_forever()
    assert hook.out == 0


async def test_leaving_does_not_wait_for_a_resolver_that_does_not_answer() -> None:
    given_up = threading.Event()

    class Unresolved(FakeWebhook):
        async def post(self, delivery: Delivery, at: datetime) -> Outcome:
            self.began.append(delivery.id)
            await asyncio.get_running_loop().run_in_executor(None, given_up.wait, 3)
            return self.answer

    hook = Unresolved()
    async with open_courier_with_own_loop(hook, SystemClock(), Told().take) as hand:
        hand(deliveries(1))
        await began(hook, 1)
        began_s = anyio.current_time()
    assert anyio.current_time() - began_s < 1
    given_up.set()


async def test_a_bug_in_breaking_off_comes_out_too() -> None:
    class Stubborn(FakeWebhook):
        async def post(self, delivery: Delivery, at: datetime) -> Outcome:
            try:
                return await super().post(delivery, at)
            finally:
                raise LookupError("a bug")

    hook = Stubborn()
    with pytest.RaisesGroup(LookupError, flatten_subgroups=True), anyio.fail_after(60):
        async with open_courier_with_own_loop(hook, SystemClock(), Told().take) as hand:
            hand(deliveries(1))
            await began(hook, 1)
