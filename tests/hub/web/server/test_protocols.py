"""Malformed input of a client closes its connection and logs nothing."""

import gc
import logging
import os
import socket
import struct

import anyio
import pytest

from hub.web.server.protocols import HttpProtocol
from tests.hub.web.parts import Site, serving, until
from tests.hub.web.server.test_server import connect_blocking

pytestmark = pytest.mark.anyio


def frame(opcode: int, payload: bytes, is_last: bool = True) -> bytes:
    """A frame as a client sends it."""
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[n % 4] for n, byte in enumerate(payload))
    return bytes([opcode | (0x80 if is_last else 0), 0x80 | len(payload)]) + mask + masked


def talk(at: str, sent: bytes) -> bytes:
    """What a stream says until its end, to a client that says `sent`."""
    host, _, port = at.partition(":")
    with socket.socket() as client:
        connect_blocking(client, host, int(port), "/api/live")
        received = b""
        while b"\r\n\r\n" not in received:
            received += client.recv(65536)
        client.sendall(sent)
        try:
            while piece := client.recv(65536):
                received += piece
        except ConnectionResetError:
            pass
        return received


TEXT, MORE, BINARY, CLOSE, PING = 1, 0, 2, 8, 9


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(TEXT, b"\xff\xfe"), 1007),
        (frame(TEXT, "\ud800".encode("utf-8", "surrogatepass")), 1007),
        (frame(TEXT, b"\xc3", False) + frame(MORE, b"("), 1007),
        (frame(TEXT, b"fine") + frame(TEXT, b"\x80"), 1007),
        (frame(CLOSE, struct.pack("!H", 1000) + b"\xff"), 1007),
        (frame(CLOSE, b"\x03"), 1002),
        (frame(PING, b"x", False), 1002),
        (frame(3, b"x"), 1002),
        (frame(MORE, b"x"), 1002),
        (b"\x81\x02ab", 1002),
        (b"\x81\xff" + b"\x7f" * 20, 1009),
    ],
    ids=lambda value: value if isinstance(value, int) else "",
)
async def test_nonsense_on_a_stream_ends_it_with_its_code_and_without_a_line(
    site: Site, sent: bytes, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(site) as at:
        received = await anyio.to_thread.run_sync(talk, at, sent)
        await until(lambda: not site.parts.units["gate-a"].viewers)
    assert code.to_bytes(2, "big") in received
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


async def test_halves_of_a_character_in_two_frames_are_text(site: Site) -> None:
    async with serving(site) as at:
        sent = frame(TEXT, b"\xc3", False) + frame(MORE, b"\xa9") + frame(CLOSE, struct.pack("!H", 1000))
        received = await anyio.to_thread.run_sync(talk, at, sent)
    assert (1000).to_bytes(2, "big") in received


def protocols() -> list[HttpProtocol]:
    """Those that something still holds."""
    gc.collect()
    return [one for one in gc.get_objects() if isinstance(one, HttpProtocol)]


async def test_a_connection_that_was_reset_leaves_nothing_in_memory(site: Site) -> None:
    def reset(at: str) -> None:
        host, _, port = at.partition(":")
        with socket.create_connection((host, int(port))) as client:
            client.sendall(f"GET /livez HTTP/1.1\r\nHost: {at}\r\n\r\n".encode())
            client.recv(65536)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async with serving(site) as at:
        for _ in range(5):
            await anyio.to_thread.run_sync(reset, at)
        await until(lambda: not protocols())


@pytest.mark.parametrize(
    "body", [b'{"token":"\xff"}', b'{"token":"\\ud800"}', b"[" * 4000, b"\xff\xfe", b'{"token":NaN}']
)
async def test_nonsense_in_a_body_is_the_clients_fault_and_no_line(
    guarded: Site, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with guarded.client() as client:
        answer = await client.post("/api/login", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 401, 422)
    assert answer.headers["content-type"] == "application/problem+json"
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []
