"""Opens an instrument's socket, or says why it could not be opened."""

import os
import socket
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

import anyio

from hub.links.stream_socket import StreamSocket

_OPTIONS = (("TCP_NODELAY", 1), ("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
_PROBE_S = 2.0

Address = tuple[socket.AddressFamily, tuple[Any, ...]]


class DialFailed(Exception):
    """No connection; `is_refused` when the other side said no, `is_name_unknown` when the name has no address."""

    def __init__(self, detail: str, is_refused: bool = False, is_name_unknown: bool = False) -> None:
        super().__init__(detail)
        self.is_refused = is_refused
        self.is_name_unknown = is_name_unknown


async def dial(host: str, port: int, timeout_s: float) -> StreamSocket:
    """A connected socket with TCP keepalive. Raises DialFailed, its text for an operator."""
    try:
        with anyio.fail_after(timeout_s):
            return await _connect_first(host, port)
    except TimeoutError:
        raise DialFailed(f"no connection to {host}:{port} in {timeout_s:g} s") from None
    except (socket.gaierror, UnicodeError) as error:
        text = f"the name {host} cannot be resolved: {getattr(error, 'strerror', None) or 'it is no host name'}"
        raise DialFailed(text, is_name_unknown=True) from None
    except ConnectionRefusedError:
        text = f"{host}:{port} refused the connection"
        raise DialFailed(text, is_refused=True) from None
    except OSError as error:
        raise DialFailed(f"{host}:{port} cannot be reached: {error.strerror or type(error).__name__}") from None


async def is_open(host: str, port: int) -> bool:
    """Whether a connect succeeds within 2 s; it is closed at once."""
    try:
        (await dial(host, port, _PROBE_S)).close()
    except DialFailed:
        return False
    return True


async def _connect_first(host: str, port: int) -> StreamSocket:
    """Try the addresses of a name one after the other: never two connects to an instrument at once."""
    failed: OSError | None = None
    for family, address in await _addresses(host, port):
        try:
            return await _connect(family, address)
        except OSError as error:
            if failed is None or isinstance(error, ConnectionRefusedError):
                failed = error
    raise failed or OSError("no address")


async def _addresses(host: str, port: int) -> list[Address]:
    try:
        family = socket.AF_INET6 if ip_address(host).version == 6 else socket.AF_INET
    except ValueError:
        found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return [(family, address) for family, _, _, _, address in found]
    return [(family, (host, port))]


async def _connect(family: socket.AddressFamily, address: tuple[Any, ...]) -> StreamSocket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        with suppress(BlockingIOError):
            sock.connect(address)
        await anyio.wait_writable(sock)
        if code := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(code, os.strerror(code))
        _keep_alive(sock)
    except BaseException:
        sock.close()
        raise
    return StreamSocket(sock)


def _keep_alive(sock: socket.socket) -> None:
    """Have the kernel detect within 45 s that the other side is gone, and keep NAT entries alive."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _OPTIONS:
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
