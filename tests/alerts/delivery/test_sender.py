"""One POST against real servers: what came back, over which way, and what went wrong in words."""

import socket
import ssl
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream, SocketAttribute

from alerts.config.trust import ClientCertificate
from alerts.delivery import sender
from alerts.delivery.sender import NotSent, Sender, environment_proxy, usable_url
from hub.simulators.receiver import open_receiver
from tests.alerts.certificates import Authority
from tests.alerts.http_peers import Http2Requests, Proxy, keep_answering, once, open_server

pytestmark = pytest.mark.anyio

BODY = b'{"version":1}'
HEADERS = {"webhook-id": "m1", "content-type": "application/json"}


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def server_tls(authority: Authority, name: str, *protocols: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.issue(name))
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


async def status(url: str, **settings: Any) -> int:
    async with Sender(url, **settings) as one:
        return (await one.send(HEADERS, BODY)).status


async def failure(url: str, **settings: Any) -> str:
    async with Sender(url, **settings) as one:
        with pytest.raises(NotSent) as failed:
            await one.send(HEADERS, BODY)
    return str(failed.value)


async def test_headers_and_body_arrive_as_they_are_and_the_connection_is_kept() -> None:
    async with open_receiver() as receiver, Sender(receiver.url) as one:
        for _ in range(3):
            assert (await one.send(HEADERS, BODY)).status == 204
        assert receiver.connections == 1
    got = receiver.received[0]
    assert (got.id, got.body) == ("m1", BODY)
    assert got.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert got.headers["content-type"] == "application/json"


async def test_the_answer_has_status_headers_and_the_beginning_of_its_body() -> None:
    text = b"HTTP/1.1 429 Slow\r\nretry-after: 7\r\ncontent-length: 5\r\n\r\nlater"
    async with open_server(once(text)) as port, Sender(f"http://127.0.0.1:{port}/") as one:
        answer = await one.send(HEADERS, BODY)
    assert (answer.status, answer.headers["retry-after"], answer.body) == (429, "7", b"later")


async def test_a_redirect_is_an_answer_and_a_cookie_is_forgotten() -> None:
    heads: list[bytes] = []

    async def redirect(stream: ByteStream) -> None:
        async for head in stream:
            heads.append(head)
            await stream.send(
                b"HTTP/1.1 302 Found\r\nlocation: /other\r\nset-cookie: a=b\r\ncontent-length: 0\r\n\r\n"
            )

    async with open_server(redirect) as port, Sender(f"http://127.0.0.1:{port}/") as one:
        assert [(await one.send(HEADERS, BODY)).status for _ in range(2)] == [302, 302]
    assert b"/other" not in b"".join(heads)
    assert b"cookie" not in b"".join(heads).lower()


async def test_an_answer_counts_once_its_head_is_there_though_its_body_breaks_off() -> None:
    async with open_server(once(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nbut")) as port:
        assert await status(f"http://127.0.0.1:{port}/") == 200


async def test_a_long_answer_is_not_read_to_its_end() -> None:
    async def flood(stream: ByteStream) -> None:
        await stream.receive()
        await stream.send(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n")
        with pytest.raises(anyio.BrokenResourceError):
            while True:
                await stream.send(b"x" * 65536)
        broken.set()

    broken = anyio.Event()
    async with open_server(flood) as port:
        with anyio.fail_after(30):
            assert await status(f"http://127.0.0.1:{port}/") == 200
            await broken.wait()


async def test_a_kept_connection_that_was_closed_meanwhile_costs_no_attempt() -> None:
    async with open_server(once(b"HTTP/1.1 204 No Content\r\n\r\n")) as port:
        async with Sender(f"http://127.0.0.1:{port}/") as one:
            assert [(await one.send(HEADERS, BODY)).status for _ in range(3)] == [204] * 3


async def test_a_new_connection_that_is_closed_is_not_tried_twice() -> None:
    asked = 0

    async def close(stream: ByteStream) -> None:
        nonlocal asked
        asked += 1
        await stream.receive()

    async with open_server(close) as port:
        assert await failure(f"http://127.0.0.1:{port}/") == "closed without an answer"
    assert asked == 1


async def test_a_reset_is_a_connection_closed_without_an_answer() -> None:
    async def reset(stream: ByteStream) -> None:
        await stream.receive()
        raw = stream.extra(SocketAttribute.raw_socket)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")

    async with open_server(reset) as port:
        assert await failure(f"http://127.0.0.1:{port}/") == "closed without an answer"


async def test_what_is_not_http_is_said_to_be_that() -> None:
    async with open_server(once(b"hello there\r\n\r\n")) as port:
        assert await failure(f"http://127.0.0.1:{port}/") == "not an HTTP answer"


async def test_a_refused_connection_and_an_unknown_name_are_told_apart() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        assert await failure(f"http://127.0.0.1:{taken.getsockname()[1]}/") == "refused"
    assert await failure("http://no-such-receiver.invalid/") == "name not found"


async def test_silence_ends_with_the_time_out() -> None:
    async with open_server(lambda stream: anyio.sleep_forever()) as port:
        assert await failure(f"http://127.0.0.1:{port}/", timeout_s=0.05) == "no answer within 0.05 s"


async def test_all_addresses_of_a_name_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(host: str, port: int, **how: object) -> list[Any]:
        assert host == "two.example"
        return [(0, 0, 0, "", (address, port)) for address in ("127.0.0.2", "127.0.0.1")]

    async with open_receiver() as receiver:
        monkeypatch.setattr(anyio, "getaddrinfo", resolve)
        monkeypatch.setattr(sender, "is_public", lambda address: True)
        assert await status(f"http://two.example:{receiver.port}/", allow_private=False) == 204
        assert receiver.received[0].headers["host"] == f"two.example:{receiver.port}"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
async def test_a_private_address_is_refused_where_it_is_not_allowed(host: str) -> None:
    async with open_receiver() as receiver:
        refused = await failure(f"http://{host}:{receiver.port}/", allow_private=False)
        assert refused == "private address, and allow_private is false"
        assert receiver.connections == 0


async def test_a_connection_is_kept_over_tls_too(authority: Authority) -> None:
    connections = 0

    async def answer(stream: ByteStream) -> None:
        nonlocal connections
        connections += 1
        await keep_answering(stream)

    async with open_server(answer, server_tls(authority, "127.0.0.1")) as port:
        async with Sender(f"https://127.0.0.1:{port}/", ca_file=authority.path) as one:
            assert [(await one.send(HEADERS, BODY)).status for _ in range(5)] == [204] * 5
    assert connections == 1


async def test_a_certificate_of_the_systems_authorities_is_trusted_a_foreign_one_is_not(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_server(keep_answering, server_tls(authority, "127.0.0.1")) as port:
        assert await failure(f"https://127.0.0.1:{port}/") == "certificate not trusted"
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
        assert await status(f"https://127.0.0.1:{port}/") == 204


async def test_an_authority_of_the_site_is_trusted_for_the_name_of_the_receiver(authority: Authority) -> None:
    async with open_server(keep_answering, server_tls(authority, "localhost")) as port:
        assert await status(f"https://localhost:{port}/", ca_file=authority.path) == 204
        wrong = await failure(f"https://127.0.0.1:{port}/", ca_file=authority.path)
        assert wrong == "certificate not trusted"


async def test_the_name_is_verified_though_a_checked_address_is_connected_to(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolve(host: str, port: int, **how: object) -> list[Any]:
        return [(0, 0, 0, "", ("127.0.0.1", port))]

    monkeypatch.setattr(anyio, "getaddrinfo", resolve)
    monkeypatch.setattr(sender, "is_public", lambda address: True)
    options: dict[str, Any] = {"ca_file": authority.path, "allow_private": False}
    async with open_server(keep_answering, server_tls(authority, "hooks.example")) as port:
        assert await status(f"https://hooks.example:{port}/", **options) == 204
        assert await failure(f"https://other.example:{port}/", **options) == "certificate not trusted"


async def test_a_client_certificate_opens_what_asks_for_one(authority: Authority) -> None:
    context = server_tls(authority, "127.0.0.1")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.path)
    cert, key = authority.issue("hub")
    mine = ClientCertificate(cert=cert, key=key)
    async with open_server(keep_answering, context) as port:
        url = f"https://127.0.0.1:{port}/"
        assert await status(url, ca_file=authority.path, client_cert=mine) == 204
        assert await failure(url, ca_file=authority.path) in ("TLS failed", "closed without an answer")


async def test_http_2_is_spoken_where_it_is_offered(authority: Authority) -> None:
    requests = Http2Requests()
    async with open_server(requests.handle, server_tls(authority, "127.0.0.1", "h2", "http/1.1")) as port:
        async with Sender(f"https://127.0.0.1:{port}/hook", ca_file=authority.path) as one:
            async with anyio.create_task_group() as tasks:
                for _ in range(5):
                    tasks.start_soon(one.send, HEADERS, BODY)
    assert [head[":path"] for head in requests.heads] == ["/hook"] * 5
    assert requests.heads[0]["webhook-id"] == "m1"


async def test_a_proxy_forwards_http_and_tunnels_https(authority: Authority) -> None:
    proxy = Proxy()
    async with AsyncExitStack() as stack:
        receiver = await stack.enter_async_context(open_receiver())
        secure = await stack.enter_async_context(
            open_server(keep_answering, server_tls(authority, "hooks.example"))
        )
        through = f"http://127.0.0.1:{await stack.enter_async_context(open_server(proxy.handle))}"
        assert await status(f"http://hooks.example:{receiver.port}/a", proxy=through) == 204
        https = f"https://hooks.example:{secure}/b"
        assert await status(https, proxy=through, ca_file=authority.path) == 204
    assert proxy.asked == [
        f"POST http://hooks.example:{receiver.port}/a HTTP/1.1",
        f"CONNECT hooks.example:{secure} HTTP/1.1",
    ]


async def test_a_proxy_that_says_no_is_named(authority: Authority) -> None:
    async with open_server(once(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")) as port:
        assert await failure("https://hooks.example/", proxy=f"http://127.0.0.1:{port}") == "the proxy refused"


@pytest.mark.parametrize(
    ("url", "environment", "proxy"),
    [
        ("https://x.example/", {}, ""),
        ("https://x.example/", {"HTTPS_PROXY": "http://p:1"}, "http://p:1"),
        ("http://x.example/", {"HTTPS_PROXY": "http://p:1"}, ""),
        ("http://x.example/", {"http_proxy": "http://p:2"}, "http://p:2"),
        ("http://x.example/", {"ALL_PROXY": "http://p:3"}, "http://p:3"),
        ("https://x.example/", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "x.example"}, ""),
        ("https://a.x.example/", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": ".x.example"}, ""),
        ("https://x.example:8443/", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "x.example:8443"}, ""),
        ("https://x.example/", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"}, ""),
        ("http://127.0.0.1:9000/", {"HTTP_PROXY": "http://p:1"}, ""),
        ("https://localhost/", {"HTTPS_PROXY": "http://p:1"}, ""),
        ("https://y.example/", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "x.example"}, "http://p:1"),
    ],
)
async def test_the_environment_names_the_proxy(
    url: str, environment: dict[str, str], proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert environment_proxy(usable_url(url)) == proxy


async def test_a_url_that_cannot_be_used_is_refused_with_what_to_write() -> None:
    with pytest.raises(ValueError, match="https://host/path"):
        Sender("ftp://x/")
    with pytest.raises(ValueError, match="under headers") as refused:
        Sender("http://user:hunter2@x/")
    assert "hunter2" not in str(refused.value)
