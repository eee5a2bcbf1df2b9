"""Samples that wait to be evaluated."""

from dataclasses import dataclass, field

import anyio
import anyio.lowlevel

from alerts.inbox import Inbox
from alerts.model.sample import Sample, Value
from tests.alerts.fakes import START
from tests.virtual_time import virtual


def samples(*values: float) -> list[Sample]:
    return [Sample("unit/a", "lp", value, START, value) for value in values]


@dataclass
class Rules:
    """Keeps the values of the samples it is called with."""

    seen: list[Value] = field(default_factory=list)

    asked: int = 1  # of each sample

    def evaluate(self, sample: Sample) -> int:
        self.seen.append(sample.value)
        return self.asked


@virtual
async def test_samples_are_evaluated_in_the_order_they_came() -> None:
    rules = Rules()
    inbox = Inbox(3, rules.evaluate)
    assert inbox.put_nowait(samples(1.0, 2.0)) == 0
    assert inbox.put_nowait(samples(3.0)) == 0
    assert len(inbox) == 3
    await inbox.evaluate_all()
    assert (rules.seen, len(inbox)) == ([1.0, 2.0, 3.0], 0)


@virtual
async def test_a_full_inbox_drops_the_oldest_and_says_how_many() -> None:
    rules = Rules()
    inbox = Inbox(2, rules.evaluate)
    assert inbox.put_nowait(samples(1.0, 2.0, 3.0)) == 1
    assert inbox.put_nowait(samples(4.0)) == 1
    await inbox.evaluate_all()
    assert rules.seen == [3.0, 4.0]


@virtual
async def test_what_comes_is_evaluated_at_once_while_other_tasks_get_their_turn() -> None:
    rules = Rules()
    inbox = Inbox(5000, rules.evaluate)
    inbox.put_nowait(samples(*(float(n) for n in range(4000))))
    seen_by_others = set()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(inbox.run)
        while len(inbox):
            seen_by_others.add(len(rules.seen))
            await anyio.lowlevel.checkpoint()
        await anyio.sleep(1)
        inbox.put_nowait(samples(4000.0))
        await anyio.sleep(0.001)
        assert rules.seen == [float(n) for n in range(4001)]
        tasks.cancel_scope.cancel()
    assert len(seen_by_others) > 3


@virtual
async def test_samples_that_many_rules_are_put_to_leave_others_their_turn_as_often() -> None:
    rules = Rules(asked=300)
    inbox = Inbox(5000, rules.evaluate)
    inbox.put_nowait(samples(*(float(n) for n in range(40))))
    seen_by_others = set()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(inbox.evaluate_all)
        while len(inbox):
            seen_by_others.add(len(rules.seen))
            await anyio.lowlevel.checkpoint()
    assert len(seen_by_others) > 5
