import anyio
import anyio.lowlevel
import pytest

from hub.oracle.connection import Binds, DeadlineExceeded, FetchMode, OracleUnavailable, Rows
from hub.oracle.deadline import _CLOSE_GRACE_S, call_with_deadline
from tests.elapsed import takes_less_than
from tests.virtual_time import virtual

pytestmark = pytest.mark.anyio


class Stubborn:
    """A connection whose call ends only when its socket is dropped, as the driver's does."""

    def __init__(self) -> None:
        self.gone = anyio.Event()
        self.ended_by = ""

    async def call(self) -> Rows:
        try:
            await self.gone.wait()
        except BaseException:
            self.ended_by = "cancellation"
            raise
        self.ended_by = "the dropped socket"
        raise OracleUnavailable("DPY-1001", "not connected")

    async def fetch(self, sql: str, binds: Binds | None = None, mode: FetchMode = FetchMode.PLAIN) -> Rows:
        return await self.call()

    async def close(self) -> None:
        await self.call()

    def terminate(self) -> None:
        self.gone.set()


@virtual
async def test_a_deadline_drops_the_socket_and_the_call_ends_by_that() -> None:
    connection = Stubborn()
    with takes_less_than(0.011), pytest.raises(DeadlineExceeded) as caught:
        await call_with_deadline(connection, "query", 0.01, connection.call)
    assert (caught.value.stage, connection.ended_by) == ("query", "the dropped socket")


@virtual
async def test_a_cancellation_drops_the_socket_and_never_reaches_the_call() -> None:
    connection = Stubborn()
    with takes_less_than(0.011), anyio.move_on_after(0.01) as scope:
        await call_with_deadline(connection, "query", 60, connection.call)
    assert scope.cancelled_caught
    assert connection.ended_by == "the dropped socket"


@virtual
async def test_a_call_that_does_not_notice_is_left_after_a_while() -> None:
    connection = Stubborn()
    connection.terminate = lambda: None  # type: ignore[method-assign]
    with takes_less_than(0.011 + _CLOSE_GRACE_S), pytest.raises(DeadlineExceeded):
        await call_with_deadline(connection, "query", 0.01, connection.call)
    assert connection.ended_by == "cancellation"


async def test_what_the_call_returns_or_raises_comes_through() -> None:
    async def answer() -> int:
        return 42

    async def fail() -> int:
        raise OracleUnavailable("DPY-4011", "gone")

    assert await call_with_deadline(Stubborn(), "query", 1, answer) == 42
    with pytest.raises(OracleUnavailable):
        await call_with_deadline(Stubborn(), "query", 1, fail)


async def test_a_goodbye_is_not_cut_short_by_a_cancellation() -> None:
    said = anyio.Event()

    async def goodbye() -> None:
        await anyio.lowlevel.checkpoint()
        said.set()

    with anyio.CancelScope() as scope:
        scope.cancel()
        await call_with_deadline(Stubborn(), "close", 1, goodbye, cancellable=False)
    assert said.is_set()
