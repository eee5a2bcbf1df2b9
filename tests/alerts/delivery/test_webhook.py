import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream
from pydantic import SecretStr
from standardwebhooks import Webhook as Verifier

from alerts.config.rule import Receiver
from alerts.delivery.answers import Delivered, Gone, Outcome, Refused, Retry, Wait
from alerts.delivery.webhook import Webhook
from alerts.model.delivery import Delivery
from hub.simulators.receiver import open_receiver
from tests.alerts.fakes import SECRET, START
from tests.elapsed import takes_less_than

pytestmark = pytest.mark.anyio

DELIVERY = Delivery("m1", "ops", "test", START, b'{"version":1}')
Handler = Callable[[SocketStream], Awaitable[None]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """A server that reads a request and does what the handler does; its URL."""

    async def serve(stream: SocketStream) -> None:
        async with stream:
            await stream.receive()
            await handler(stream)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        yield f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}/hook"
        tasks.cancel_scope.cancel()


def answering(head: str, body: bytes = b"") -> Handler:
    async def answer(stream: SocketStream) -> None:
        length = f"content-length: {len(body)}\r\n"
        await stream.send(f"HTTP/1.1 {head}\r\n{length}\r\n".encode() + body)

    return answer


async def sent(url: str, **settings: Any) -> Outcome:
    async with Webhook(Receiver(name="ops", url=url, **settings), "0.1") as hook:
        return await hook.post(DELIVERY, datetime.now(UTC))


@pytest.mark.parametrize(
    ("head", "outcome"),
    [
        ("200 OK", Delivered(200)),
        ("204 No Content", Delivered(204)),
        ("410 Gone", Gone()),
        ("302 Found\r\nlocation: /other", Retry("HTTP 302", 302)),
        ("400 Bad Request", Refused("HTTP 400", 400)),
        ("500 Oops", Retry("HTTP 500", 500)),
        ("429 Slow\r\nretry-after: 7", Wait("HTTP 429", 429, 7.0)),
    ],
)
async def test_only_a_2xx_is_delivered(head: str, outcome: Outcome) -> None:
    async with serving(answering(head)) as url:
        assert await sent(url) == outcome


async def test_the_beginning_of_the_answer_is_kept_without_the_tokens_of_the_receiver() -> None:
    async with serving(answering("400 Bad Request", b"no_team\r\nfor /hook hunter2")) as url:
        outcome = await sent(url + "?token=hunter2")
    assert outcome == Refused("HTTP 400", 400, "no_team for /hook ***")


async def test_a_refused_connection_is_tried_again() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        assert await sent(f"http://127.0.0.1:{taken.getsockname()[1]}/") == Retry("refused")


async def test_a_reset_is_tried_again() -> None:
    async def reset(stream: SocketStream) -> None:
        raw = stream.extra(SocketAttribute.raw_socket)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")

    async with serving(reset) as url:
        assert await sent(url) == Retry("closed without an answer")


async def test_what_is_not_http_is_tried_again() -> None:
    async def chat(stream: SocketStream) -> None:
        await stream.send(b"hello there\r\n\r\n")

    async with serving(chat) as url:
        assert await sent(url) == Retry("not an HTTP answer")


async def test_silence_ends_with_the_time_out() -> None:
    async with serving(lambda stream: anyio.sleep_forever()) as url:
        assert await sent(url, timeout="50ms") == Retry("no answer within 0.05 s")


async def test_a_trickle_does_not_outlive_the_time_out() -> None:
    async def trickle(stream: SocketStream) -> None:
        await stream.send(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        while True:
            await stream.send(b"x")
            await anyio.sleep(0.01)

    async with serving(trickle) as url:
        with takes_less_than(5):
            assert await sent(url, timeout="100ms") == Retry("no answer within 0.1 s")


async def test_a_long_answer_is_not_read_to_its_end() -> None:
    ended = anyio.Event()
    pieces = 0

    async def flood(stream: SocketStream) -> None:
        nonlocal pieces
        await stream.send(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n")
        try:
            while True:
                await stream.send(b"x" * 65536)
                pieces += 1
        except anyio.BrokenResourceError:
            ended.set()

    async with serving(flood) as url:
        with anyio.fail_after(60):
            assert await sent(url) == Delivered(200, "x" * 299 + "…")
            await ended.wait()
    assert pieces < 1000  # of 15,258; some are on their way when the connection is closed


async def test_a_message_is_signed_and_its_connection_is_kept() -> None:
    async with open_receiver(secret=SECRET) as receiver:
        settings = Receiver(name="ops", url=receiver.url, secret=SecretStr(SECRET), headers={"X-Site": "dock"})
        async with Webhook(settings, "0.1") as hook:
            for _ in range(3):
                assert await hook.post(DELIVERY, datetime.now(UTC)) == Delivered(204)
        assert receiver.connections == 1
    got = receiver.received[0]
    assert got.body == DELIVERY.body
    assert got.id == "m1"
    assert got.headers["user-agent"] == "monitor-hub/0.1"
    assert got.headers["content-type"] == "application/json"
    assert got.headers["x-site"] == "dock"
    Verifier(SECRET).verify(got.body, got.headers)


async def test_a_kept_connection_that_was_closed_costs_no_attempt() -> None:
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(serving(answering("204 No Content")))  # it closes after each answer
        hook = await stack.enter_async_context(Webhook(Receiver(name="ops", url=url), "0.1"))
        for _ in range(3):
            assert await hook.post(DELIVERY, datetime.now(UTC)) == Delivered(204)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_private_address_is_refused_where_it_is_not_allowed(host: str) -> None:
    async with open_receiver() as receiver:
        outcome = await sent(f"http://{host}:{receiver.port}/", allow_private=False)
        assert outcome == Retry("private address, and allow_private is false")
        assert receiver.connections == 0


@pytest.mark.parametrize(
    ("settings", "advice"),
    [
        ({"url": "ftp://x/"}, "write the url as"),
        ({"url": "http://user:pw@x/"}, "under headers"),
        ({"url": "http://x/", "secret": SecretStr("hunter2")}, "write whsec_"),
        ({"url": "http://x/", "headers": {"a": "b\r\nc: d"}}, "does not allow"),
    ],
)
async def test_what_cannot_be_used_is_said_without_the_secret(settings: dict[str, Any], advice: str) -> None:
    with pytest.raises(ValueError, match=advice) as refused:
        Webhook(Receiver(name="ops", **settings), "0.1")
    assert "hunter2" not in str(refused.value)


async def test_a_header_may_hold_what_latin_1_holds() -> None:
    async with open_receiver() as receiver:
        async with Webhook(Receiver(name="ops", url=receiver.url, headers={"X-Site": "Zürich"}), "0.1") as hook:
            assert await hook.post(DELIVERY, START) == Delivered(204)
    assert receiver.received[0].headers["x-site"] == "Zürich"
