"""A port for a server that starts later, or stops and starts again."""

import socket
from contextlib import closing, suppress
from random import randrange

_LOWEST, _HIGHEST = 24_000, 32_000  # below those that systems give to clients and to servers that name none


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on, and that no test beside this one is given by chance."""
    while True:
        port = randrange(_LOWEST, _HIGHEST)
        with suppress(OSError), closing(socket.socket()) as sock:
            sock.bind(("127.0.0.1", port))
            return port
