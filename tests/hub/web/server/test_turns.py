import anyio
import anyio.lowlevel
import pytest

from hub.web.server.turns import Turns
from tests.hub.web.parts import Site, serving

pytestmark = pytest.mark.anyio


async def test_a_few_requests_begin_in_each_turn_in_their_order() -> None:
    turns, begun = Turns(per_turn=3), list[int]()

    async def request(number: int) -> None:
        await turns.wait()
        begun.append(number)

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(request, number)
        before = 0
        while before < 20:
            await anyio.lowlevel.checkpoint()
            assert len(begun) - before <= 3
            before = len(begun)
    assert begun == list(range(20))


async def test_who_gives_up_waiting_is_passed_over() -> None:
    turns, begun = Turns(per_turn=1), list[str]()

    async def request(name: str) -> None:
        await turns.wait()
        begun.append(name)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(request, "first")
        async with anyio.create_task_group() as gone:
            gone.start_soon(request, "gone")
            await anyio.lowlevel.checkpoint()
            gone.cancel_scope.cancel()
        tasks.start_soon(request, "second")
    assert begun == ["first", "second"]


async def test_one_request_after_the_other_does_not_wait() -> None:
    turns = Turns(per_turn=1)
    with anyio.fail_after(60):
        for _ in range(100):
            await turns.wait()
            await anyio.lowlevel.checkpoint()
            await anyio.lowlevel.checkpoint()


async def test_health_is_answered_in_the_midst_of_pipelined_requests(site: Site) -> None:
    clients, requests, answered = 100, 12, 0
    async with serving(site) as at:
        host, _, port = at.partition(":")

        async def flood() -> None:
            nonlocal answered
            async with await anyio.connect_tcp(host, int(port)) as stream:
                await stream.send(f"GET /api/units HTTP/1.1\r\nHost: {at}\r\n\r\n".encode() * requests)
                left, tail = requests, b""
                while left:
                    data = tail + await stream.receive()
                    found, tail = data.count(b"HTTP/1.1 200"), data[-11:]
                    left, answered = left - found, answered + found

        async with anyio.create_task_group() as tasks:
            for _ in range(clients):
                tasks.start_soon(flood)
            while answered < clients:
                await anyio.sleep(0.001)
            before = answered
            async with await anyio.connect_tcp(host, int(port)) as stream:
                await stream.send(f"GET /livez HTTP/1.1\r\nHost: {at}\r\n\r\n".encode())
                assert (await stream.receive()).startswith(b"HTTP/1.1 200")
            assert answered - before < 3 * clients
        assert answered == clients * requests
