"""The receivers of a hub: what a changed one leaves behind, and what is logged."""

import gc
import ssl
from collections.abc import Iterator
from pathlib import Path
from weakref import ref

import anyio
import pytest
from structlog.testing import capture_logs

from alerts.config.rule import Receiver
from alerts.delivery.answers import Gone
from alerts.delivery.webhook import Webhook
from alerts.model.delivery import Delivery, deliveries_of
from hub.app.receivers import Receivers
from hub.runtime.clock import Clock
from hub.runtime.supervisor import Supervisor
from tests.alerts.delivery.test_dispatcher import notice
from tests.alerts.fakes import SqliteDatabase

pytestmark = pytest.mark.anyio


@pytest.fixture
def no_collector() -> Iterator[None]:
    """The cyclic collector may not come for days."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def messages(count: int) -> list[Delivery]:
    return [d for n in range(count) for d in deliveries_of(notice(f"unit/u{n}"))]


def receivers_on(sinks: Supervisor, tmp_path: Path) -> Receivers:
    database = SqliteDatabase(tmp_path / "alerts.db")
    return Receivers(sinks, database, Clock(), "site", "0.1", lambda name, failing, reason: None)


@pytest.mark.usefixtures("no_collector")
async def test_a_changed_receiver_leaves_no_certificates_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contexts: list[ref[ssl.SSLContext]] = []
    make = ssl.create_default_context

    def note() -> ssl.SSLContext:
        context = make()
        contexts.append(ref(context))
        return context

    monkeypatch.setattr(ssl, "create_default_context", note)
    async with Supervisor("sinks", Clock()) as sinks:
        receivers = receivers_on(sinks, tmp_path)
        with anyio.fail_after(60):
            for number in range(5):
                await receivers.configure([Receiver(name="ops", url=f"https://127.0.0.1:9/{number}")])
                while len(contexts) <= number:
                    await anyio.sleep(0.01)
            await receivers.configure([])
            while any(context() is not None for context in contexts):  # their threads are about to end
                await anyio.sleep(0.01)


async def test_a_changed_receiver_lets_go_of_the_deliveries_that_sql_has(tmp_path: Path) -> None:
    async with Supervisor("sinks", Clock()) as sinks:
        receivers = receivers_on(sinks, tmp_path)
        await receivers.configure([Receiver(name="ops", url="http://127.0.0.1:9/old")])
        old = receivers.dispatchers["ops"]
        old.offer(messages(20))
        assert len(old) == 20
        await receivers.configure([Receiver(name="ops", url="http://127.0.0.1:9/new")])
        assert len(old) == 0
        await receivers.configure([])


async def test_the_first_failure_is_a_line_that_says_what_to_do(tmp_path: Path) -> None:
    with capture_logs() as lines:
        async with Supervisor("sinks", Clock()) as sinks:
            receivers = receivers_on(sinks, tmp_path)
            await receivers.configure([Receiver(name="ops", url="http://127.0.0.1:9/t0ken-hunter2")])
            receivers.dispatchers["ops"].offer(messages(3))
            with anyio.fail_after(60):
                while receivers.dispatchers["ops"].counts.failed < 3:
                    await anyio.sleep(0.01)
            await receivers.configure([])
    [line] = [one for one in lines if one.get("receiver") == "ops"]
    assert line["log_level"] == "warning"
    assert line["error"] == "refused"
    assert "hub webhook test ops" in line["what_to_do"]
    assert "hunter2" not in str(lines)


async def test_a_receiver_that_is_disabled_by_410_is_an_error_that_says_how_to_enable_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(*_: object) -> Gone:
        return Gone()

    monkeypatch.setattr(Webhook, "post", gone)
    with capture_logs() as lines:
        async with Supervisor("sinks", Clock()) as sinks:
            receivers = receivers_on(sinks, tmp_path)
            await receivers.configure([Receiver(name="ops", url="http://127.0.0.1:9/")])
            receivers.dispatchers["ops"].offer(messages(1))
            with anyio.fail_after(60):
                while not receivers.dispatchers["ops"].is_failing:
                    await anyio.sleep(0.01)
                await anyio.sleep(0.1)
            await receivers.configure([])
    [line] = [one for one in lines if one["event"] == "a receiver is failing"]
    assert "disabled" in line["what_to_do"]
    assert "replay" in line["what_to_do"]
