"""A socket whose bytes can be taken out without waiting."""

import socket

import anyio
import pytest

from hub.links.stream_socket import StreamSocket

pytestmark = pytest.mark.anyio


async def test_what_has_arrived_is_had_at_once_and_nothing_is_none() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        near = StreamSocket(ours)
        assert near.receive_nowait(10) is None
        theirs.sendall(b"R+0000")
        assert near.receive_nowait(4) == b"R+00"
        assert near.receive_nowait(4) == b"00"
        assert near.receive_nowait(4) is None
        theirs.close()
        assert near.receive_nowait(4) == b""
        assert await near.receive(4) == b""


async def test_receiving_waits_and_sending_sends_everything() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        near, other = StreamSocket(ours), StreamSocket(theirs)
        received = bytearray()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(near.send, b"x" * 1_000_000)
            while len(received) < 1_000_000:
                received += await other.receive(4096)
        assert received == b"x" * 1_000_000


async def test_a_connection_that_broke_is_an_os_error_or_the_end() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        theirs.close()
        near = StreamSocket(ours)
        with pytest.raises(OSError, match="Broken pipe"):
            await near.send(b"DOD?\r\n")
        near.close()
        near.close()
