from collections.abc import Sequence
from datetime import datetime

import anyio
import pytest

from alerts.delivery.answers import Delivered, Gone, Outcome
from alerts.delivery.posting import Sent, open_posting
from alerts.model.clock import SystemClock
from alerts.model.delivery import Delivery
from tests.alerts.fakes import START

pytestmark = pytest.mark.anyio


class Receiver:
    """Answers once `may_answer` is set; keeps the order, and how many posts were under way at once."""

    def __init__(self, outcome: Outcome | None = None) -> None:
        self.outcome: Outcome = outcome or Delivered(204)
        self.may_answer = anyio.Event()
        self.began: list[str] = []
        self.under_way = self.most_under_way = 0
        self.bug: Exception | None = None

    async def post(self, delivery: Delivery, at: datetime) -> Outcome:
        self.began.append(delivery.id)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await self.may_answer.wait()
            if self.bug is not None:
                raise self.bug
            return self.outcome
        finally:
            self.under_way -= 1


class Outcomes:
    """What became of the deliveries."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self._came = anyio.Event()

    def take(self, news: Sequence[Sent]) -> None:
        self.sent += news
        self._came.set()
        self._came = anyio.Event()

    async def wait_for(self, count: int) -> None:
        with anyio.fail_after(60):
            while len(self.sent) < count:
                await self._came.wait()


def deliveries(count: int) -> list[Delivery]:
    return [Delivery(f"m{n}", "ops", "test", START, b"{}") for n in range(count)]


async def test_eight_are_under_way_and_the_others_follow_in_their_order() -> None:
    receiver, outcomes = Receiver(), Outcomes()
    async with open_posting(receiver.post, SystemClock(), outcomes.take) as enqueue:
        enqueue(deliveries(20)[:3])
        enqueue(deliveries(20)[3:])
        await anyio.wait_all_tasks_blocked()
        assert len(receiver.began) == 8
        assert outcomes.sent == []
        receiver.may_answer.set()
        await outcomes.wait_for(20)
    assert receiver.most_under_way == 8
    assert receiver.began == [delivery.id for delivery in deliveries(20)]
    assert {sent.outcome for sent in outcomes.sent} == {Delivered(204)}


async def test_after_a_410_what_waits_comes_back_untried() -> None:
    receiver, outcomes = Receiver(Gone()), Outcomes()
    async with open_posting(receiver.post, SystemClock(), outcomes.take) as enqueue:
        enqueue(deliveries(20))
        await anyio.wait_all_tasks_blocked()
        receiver.may_answer.set()
        await outcomes.wait_for(20)
    assert len(receiver.began) == 8
    assert [sent.outcome for sent in outcomes.sent].count(None) == 12
    assert {sent.delivery.id for sent in outcomes.sent} == {delivery.id for delivery in deliveries(20)}


async def test_leaving_breaks_off_what_is_under_way() -> None:
    receiver, outcomes = Receiver(), Outcomes()
    with anyio.fail_after(60):
        async with open_posting(receiver.post, SystemClock(), outcomes.take) as enqueue:
            enqueue(deliveries(9))
            await anyio.wait_all_tasks_blocked()
    assert receiver.under_way == 0
    assert outcomes.sent == []


async def test_a_bug_in_posting_comes_out_where_posting_was_opened() -> None:
    receiver = Receiver()
    receiver.bug = LookupError("a bug")
    receiver.may_answer.set()
    with pytest.RaisesGroup(LookupError), anyio.fail_after(60):
        async with open_posting(receiver.post, SystemClock(), Outcomes().take) as enqueue:
            enqueue(deliveries(1))
            await anyio.sleep_forever()
