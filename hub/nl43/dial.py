"""Opens a meter's socket, or says why it could not be opened."""

import socket

import anyio
from anyio.abc import SocketAttribute, SocketStream

_KEEPALIVE = (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
_PROBE_S = 2.0


class DialFailed(Exception):
    """No connection; `is_refused` when the other side said no, `is_name_unknown` when the name has no address."""

    def __init__(self, detail: str, is_refused: bool = False, is_name_unknown: bool = False) -> None:
        super().__init__(detail)
        self.is_refused = is_refused
        self.is_name_unknown = is_name_unknown


async def dial(host: str, port: int, timeout_s: float) -> SocketStream:
    """A connected socket with TCP keepalive. Raises DialFailed, its text fit to show."""
    try:
        with anyio.fail_after(timeout_s):
            # addresses of one name are tried one after the other: never two connects at once
            stream = await anyio.connect_tcp(host, port, happy_eyeballs_delay=timeout_s)
    except TimeoutError:
        raise DialFailed(f"no connection to {host}:{port} in {timeout_s:g} s") from None
    except (socket.gaierror, UnicodeError) as error:
        text = f"the name {host} cannot be resolved: {getattr(error, 'strerror', None) or 'it is no host name'}"
        raise DialFailed(text, is_name_unknown=True) from None
    except OSError as error:
        causes = _causes(error)
        if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
            text = f"{host}:{port} refused the connection: is TCP On in the meter?"
            raise DialFailed(text, is_refused=True) from None
        why = getattr(causes[0], "strerror", None) or type(causes[0]).__name__
        raise DialFailed(f"{host}:{port} cannot be reached: {why}") from None
    _keep_alive(stream)
    return stream


async def is_open(host: str, port: int) -> bool:
    """Whether a connect succeeds within 2 s; it is closed at once."""
    try:
        with anyio.fail_after(_PROBE_S):
            async with await anyio.connect_tcp(host, port):
                return True
    except (OSError, TimeoutError):
        return False


def _keep_alive(stream: SocketStream) -> None:
    """Have the kernel find out within 45 s that the other side is gone, and keep NAT entries alive."""
    raw: socket.socket = stream.extra(SocketAttribute.raw_socket)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        if hasattr(socket, name):
            raw.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _causes(error: BaseException) -> list[BaseException]:
    """The errors at the bottom of what `connect_tcp` raised: one per address that was tried."""
    if isinstance(error, BaseExceptionGroup):
        return [bottom for part in error.exceptions for bottom in _causes(part)]
    return [error] if error.__cause__ is None else _causes(error.__cause__)
