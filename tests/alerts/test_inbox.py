"""Samples that wait to be evaluated."""

import anyio

from alerts.inbox import Inbox
from alerts.model.sample import Sample
from tests.alerts.fakes import START
from tests.virtual_time import virtual


def samples(*values: float) -> list[Sample]:
    return [Sample("unit/a", "lp", value, START, value) for value in values]


def test_samples_come_out_in_the_order_they_were_put_in() -> None:
    inbox = Inbox(3)
    assert inbox.put_nowait(samples(1.0, 2.0)) == 0
    assert inbox.put_nowait(samples(3.0)) == 0
    assert [inbox.pop().value for _ in range(len(inbox))] == [1.0, 2.0, 3.0]


def test_a_full_inbox_drops_the_oldest_and_says_how_many() -> None:
    inbox = Inbox(2)
    assert inbox.put_nowait(samples(1.0, 2.0, 3.0)) == 1
    assert inbox.put_nowait(samples(4.0)) == 1
    assert [inbox.pop().value for _ in range(len(inbox))] == [3.0, 4.0]


@virtual
async def test_the_reader_waits_for_samples_that_were_put_in_since_it_waited_last() -> None:
    inbox = Inbox(2)
    inbox.put_nowait(samples(1.0))
    await inbox.wait()
    with anyio.move_on_after(1) as scope:
        await inbox.wait()
    assert scope.cancelled_caught
    inbox.put_nowait(samples(2.0))
    with anyio.fail_after(1):
        await inbox.wait()
