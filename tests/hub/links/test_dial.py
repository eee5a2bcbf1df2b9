import socket

import pytest

from hub.links.dial import DialFailed, dial, is_open
from tests.elapsed import takes_less_than
from tests.free_port import free_port
from tests.hub.nl43.scripted_meter import open_scripted_meter

pytestmark = pytest.mark.anyio


async def test_the_socket_is_kept_alive_by_the_kernel() -> None:
    async with open_scripted_meter() as meter:
        raw = (await dial("127.0.0.1", meter.port, 1.0)).socket
        with raw:
            assert raw.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 15
            assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_a_refusal_is_told_from_a_name_that_is_not_known() -> None:
    with pytest.raises(DialFailed, match="refused the connection") as refused:
        await dial("127.0.0.1", free_port(), 1.0)
    assert refused.value.is_refused
    assert not refused.value.is_name_unknown
    for name in ("no-such-meter.invalid", "no\N{SNOWMAN}meter"):
        with pytest.raises(DialFailed, match=f"the name {name} cannot be resolved: ") as unknown:
            await dial(name, 2255, 1.0)
        assert unknown.value.is_name_unknown
        assert not unknown.value.is_refused


async def test_a_listener_that_never_accepts_ends_with_the_time_out() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        with socket.create_connection(full.getsockname()), takes_less_than(5):
            with pytest.raises(DialFailed, match=r"no connection to 127\.0\.0\.1:\d+ in 0\.1 s"):
                await dial("127.0.0.1", full.getsockname()[1], 0.1)


async def test_whether_a_port_is_open_is_asked_and_the_socket_let_go() -> None:
    async with open_scripted_meter() as meter:
        assert await is_open("127.0.0.1", meter.port)
        await meter.until(lambda: meter.connections == 1 and meter.open_now == 0)
    assert not await is_open("127.0.0.1", free_port())
