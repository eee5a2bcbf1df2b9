from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream
from pydantic import SecretStr

from hub.oracle.connection import Account, DeadlineExceeded, OracleUnavailable, connector
from hub.oracle.lanes import Deadlines, SyncLane
from tests.elapsed import takes_less_than

pytestmark = pytest.mark.anyio


def account(port: int) -> Account:
    return Account(f"127.0.0.1:{port}/X", "reader", SecretStr("tiger"))


class SilentListener:
    """Accepts TCP and never says a word."""

    def __init__(self) -> None:
        self.port = 0
        self.accepted = 0
        self.open = 0
        self.all_gone = anyio.Event()

    async def serve(self, stream: SocketStream) -> None:
        self.accepted += 1
        self.open += 1
        try:
            async with stream:
                async for _ in stream:
                    pass
        except anyio.BrokenResourceError:
            pass
        finally:
            self.open -= 1
            if not self.open:
                self.all_gone.set()


@asynccontextmanager
async def open_silent_listener() -> AsyncIterator[SilentListener]:
    silent = SilentListener()
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        silent.port = listener.extra(SocketAttribute.local_port)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, silent.serve)
            yield silent
            tasks.cancel_scope.cancel()


async def test_a_listener_that_never_answers_is_left_at_the_connect_deadline() -> None:
    async with open_silent_listener() as silent:
        lane = SyncLane(connector(account(silent.port)), Deadlines(connect_s=0.1))
        with takes_less_than(5), pytest.raises(DeadlineExceeded) as caught:
            await lane.fetch("select 1 from dual")
        with anyio.fail_after(5):
            await silent.all_gone.wait()
    assert caught.value.stage == "connect"
    assert (silent.accepted, silent.open) == (1, 0)


async def test_a_refused_connection_is_unavailable_at_once() -> None:
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(SocketAttribute.local_port)
    lane = SyncLane(connector(account(port)))
    with takes_less_than(5), pytest.raises(OracleUnavailable) as caught:
        await lane.fetch("select 1 from dual")
    assert caught.value.code == "DPY-6005"
    assert lane.counters.open == 0


def test_the_password_is_not_in_the_repr() -> None:
    assert "tiger" not in repr(account(1521))
