from collections import Counter

import anyio
import anyio.lowlevel
import pytest

from hub.oracle.admission import LaneBusy
from hub.oracle.connection import OracleError, OracleRejected
from hub.trace import batch_runner
from hub.trace.batch_runner import BusyPolicy, run_batches
from tests.elapsed import takes_less_than
from tests.virtual_time import virtual

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_runner, "_RETRY_S", 0.0)


class Scripted:
    """Attempts that fail as told."""

    def __init__(self, failures: dict[int, int] | None = None, error: OracleError | None = None) -> None:
        self.failures = failures or {}
        self.error = error or OracleRejected("ORA-00942", "no table")
        self.attempts: Counter[int] = Counter()
        self.at_once = self.most = 0
        self.ended: dict[int, str | None] = {}

    async def attempt(self, batch: int) -> None:
        self.attempts[batch] += 1
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await anyio.lowlevel.checkpoint()
        finally:
            self.at_once -= 1
        if self.attempts[batch] <= self.failures.get(batch, 0):
            raise self.error

    def on_done(self, batch: int, code: str | None) -> None:
        self.ended[batch] = code

    async def run(self, batches: int, workers: int = 2, policy: BusyPolicy | None = None) -> None:
        await run_batches(range(batches), workers, self.attempt, self.on_done, policy or BusyPolicy(0.01))


async def test_so_many_at_once_as_there_are_workers() -> None:
    scripted = Scripted()
    await scripted.run(10, workers=3)
    assert scripted.most == 3
    assert scripted.ended == dict.fromkeys(range(10))


async def test_a_batch_that_fails_once_is_tried_again() -> None:
    scripted = Scripted({4: 1})
    await scripted.run(6)
    assert scripted.attempts[4] == 2
    assert set(scripted.ended.values()) == {None}


async def test_a_batch_that_fails_twice_is_reported_and_the_others_go_on() -> None:
    scripted = Scripted({4: 9})
    await scripted.run(6)
    assert scripted.attempts[4] == 2
    assert scripted.ended == {**dict.fromkeys(range(6)), 4: "ORA-00942"}


async def test_a_run_that_only_fails_gives_up_and_reports_the_rest() -> None:
    scripted = Scripted(dict.fromkeys(range(100), 9))
    await scripted.run(100, workers=1)
    assert sum(scripted.attempts.values()) == 2 * 6
    assert Counter(scripted.ended.values()) == {"ORA-00942": 6, "GAVE-UP": 94}


@virtual
async def test_a_busy_lane_is_raised_to_a_person_at_once() -> None:
    scripted = Scripted({0: 9}, LaneBusy("bulk", "BUSY", "full", 30))
    with takes_less_than(0.001), pytest.raises(LaneBusy):
        await scripted.run(100, policy=BusyPolicy())
    assert scripted.attempts[0] == 1
    assert len(scripted.ended) < 100


async def test_a_job_waits_for_a_busy_lane_and_tries_again() -> None:
    scripted = Scripted({0: 1}, LaneBusy("bulk", "BREAKER", "away", 30))
    await scripted.run(3, policy=BusyPolicy(0.01))
    assert scripted.attempts[0] == 2
    assert scripted.ended == dict.fromkeys(range(3))


@virtual
async def test_any_other_error_ends_the_run_and_comes_out_as_itself() -> None:
    disk_full = OSError(28, "No space left on device")

    async def attempt(batch: int) -> None:
        if batch == 1:
            raise disk_full
        await anyio.sleep_forever()

    with takes_less_than(0.001), pytest.raises(OSError, match="No space") as caught:
        await run_batches(range(4), 2, attempt, lambda batch, code: None, BusyPolicy(0.01))
    assert caught.value is disk_full
