"""SIGKILL between sample and answer: what was committed is told after a restart, under the same id."""

import signal
import sys
from collections import defaultdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import anyio
import pytest

from alerts.config.rule import AlertsConfig
from alerts.delivery.dispatcher import Dispatcher
from alerts.delivery.webhook import Webhook, open_webhook
from alerts.model.clock import SystemClock
from alerts.model.sample import Sample
from alerts.service import AlertService
from alerts.store import queries as archive
from hub.simulators.receiver import open_receiver
from tests.alerts.fakes import SqliteDatabase

pytestmark = pytest.mark.anyio

ROUNDS, EACH = 3, 60


async def run_chain(path: Path, url: str, first: int, count: int) -> None:
    """A hub that is given `count` onsets and sends them; the child process of the test."""
    config = AlertsConfig.model_validate(
        {
            "rules": [{"name": "night-limit", "metric": "laeq_15m", "above": 65, "notify": ["ops"]}],
            "receivers": [{"name": "ops", "url": url}],
        }
    )
    database, clock = SqliteDatabase(path), SystemClock()
    open_post = partial(open_webhook, Webhook(config.receivers[0], "0.1"))
    async with anyio.create_task_group() as tasks:
        dispatcher = Dispatcher(
            config.receivers[0], open_post, database, clock, "site", lambda name, failing, reason: None
        )
        alerts = AlertService(database, clock, "site", "UTC", {"ops": dispatcher})
        alerts.configure(config)
        for n in range(ROUNDS * EACH):
            alerts.add_subject(f"unit/u{n}", {})
        await alerts.restore()
        tasks.start_soon(alerts.run)
        tasks.start_soon(dispatcher.run)
        for n in range(first, first + count):
            alerts.submit([Sample(f"unit/u{n}", "laeq_15m", 70.0, datetime.now(UTC), clock.time())])
            await anyio.sleep(0.001)


async def test_no_committed_transition_and_no_delivery_is_lost_by_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "alerts.db"
    database = SqliteDatabase(path)
    with anyio.fail_after(60):
        async with open_receiver(service_s=0.01) as receiver:
            for number in range(ROUNDS):
                command = [sys.executable, "-m", "tests.alerts.test_kill", str(path), receiver.url]
                async with await anyio.open_process([*command, str(number * EACH), str(EACH)]) as child:
                    await receiver.wait_for(receiver.count + 20)
                    child.send_signal(signal.SIGKILL)
                    await child.wait()
            committed = {
                t.delivery.id for t in database.run(lambda s: archive.list_deliveries(s, limit=1000)).items
            }
            async with await anyio.open_process([*command[:5], "0", "0"]) as child:
                while not committed <= {got.id for got in receiver.received}:
                    await receiver.wait_for(receiver.count + 1)
                child.kill()
    bodies = defaultdict(set)
    for got in receiver.received:
        bodies[got.id].add(got.body)
    assert len(committed) > 20
    assert set(bodies) == committed
    assert all(len(versions) == 1 for versions in bodies.values())


if __name__ == "__main__":
    anyio.run(run_chain, Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
