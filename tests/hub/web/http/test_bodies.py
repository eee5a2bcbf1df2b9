"""A request body is limited by its route, and all bodies in memory together by a budget."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest

from hub.web.auth.roles import route_for
from hub.web.http.bodies import DEFAULT_LIMIT, Bodies, BodyBudget, body_limit_of
from tests.hub.web.parts import TOKENS, Site, serving

pytestmark = pytest.mark.anyio

OPERATOR = TOKENS[1]["token"]


async def chunks(size: int) -> AsyncIterator[bytes]:
    """A chunked body, without a Content-Length."""
    for _ in range(size // 1024):
        yield b" " * 1024


@pytest.mark.parametrize(
    ("method", "path", "most"),
    [
        ("POST", "/api/login", 4096),
        ("PUT", "/api/units/gate-a/monitor", DEFAULT_LIMIT),
        ("POST", "/api/equipment/lookup", 1 << 20),
        ("POST", "/api/trace/seed", 256 << 10),
        ("POST", "/api/trace/events", 6 << 20),
    ],
)
async def test_a_body_is_bounded_by_what_its_route_needs(guarded: Site, method: str, path: str, most: int) -> None:
    async with guarded.client(OPERATOR) as client:
        for size, is_refused in ((most, False), (most + 1024, True)):
            for content in (b" " * size, chunks(size)):
                answer = await client.request(method, path, content=content)
                assert (answer.status_code == 413) is is_refused
                if is_refused:
                    assert answer.json()["detail"] == f"a body may have up to {most} bytes here"


def test_one_caller_has_half_of_the_room() -> None:
    budget = BodyBudget(total=1000)
    assert budget.reserve("a", 500)
    assert not budget.reserve("a", 1)
    assert budget.reserve("b", 500)
    assert not budget.reserve("c", 1)
    budget.release("a", 500)
    assert budget.reserve("c", 1)
    assert (budget.reserved, budget.refused) == (501, 2)
    budget.release("b", 500)
    budget.release("c", 1)
    assert not budget._reserved


async def test_what_there_is_no_room_for_is_asked_to_come_again_and_room_returns() -> None:
    release = anyio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        await release.wait()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    budget = BodyBudget(total=1000)
    transport = httpx.ASGITransport(Bodies(app, budget))
    async with httpx.AsyncClient(transport=transport, base_url="http://hub") as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: client.post("/", content=b"x" * 400))
            while not budget.reserved:
                await anyio.lowlevel.checkpoint()
            refused = await client.post("/", content=b"x" * 400)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
            release.set()
        assert budget.reserved == 0
        assert (await client.post("/", content=b"x" * 400)).status_code == 204


async def test_a_body_left_half_sent_gives_its_room_back_with_its_connection(guarded: Site) -> None:
    async with serving(guarded) as at:
        host, _, port = at.partition(":")
        async with await anyio.connect_tcp(host, int(port)) as stream:
            await stream.send(f"POST /api/login HTTP/1.1\r\nHost: {at}\r\nContent-Length: 90\r\n\r\n{{".encode())
            await anyio.sleep(0.1)
        async with httpx.AsyncClient(base_url=f"http://{at}") as client:
            assert (await client.post("/api/login", json={"token": OPERATOR})).status_code == 200


@pytest.mark.parametrize("length", ["-1", "1e3", "99999999999999999999", "4097", " "])
async def test_a_length_that_is_no_length_or_too_much_is_refused(guarded: Site, length: str) -> None:
    async with serving(guarded) as at:
        host, _, port = at.partition(":")
        async with await anyio.connect_tcp(host, int(port)) as stream:
            head = f"POST /api/login HTTP/1.1\r\nHost: {at}\r\nContent-Length: {length}\r\n\r\n"
            await stream.send(head.encode())
            answer = await stream.receive(65536)
    assert int(answer.split()[1]) in (400, 413)


async def test_no_route_takes_more_than_was_weighed(guarded: Site) -> None:
    large = {"/api/login": 4096, "/api/equipment/lookup": 1 << 20}
    large |= {"/api/trace/seed": 256 << 10, "/api/trace/lineage": 6 << 20, "/api/trace/events": 6 << 20}
    async with guarded.client() as client:
        app: Any = client._transport.app  # type: ignore[attr-defined]
    for path, methods in app.openapi()["paths"].items():
        for method in methods:
            scope = {
                "type": "http",
                "method": method.upper(),
                "path": path,
                "raw_path": path.encode(),
                "headers": [],
            }
            assert body_limit_of(route_for(app.routes, scope)) == large.get(path, DEFAULT_LIMIT)
