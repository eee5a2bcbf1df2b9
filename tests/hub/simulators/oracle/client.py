"""Connections of the real driver for the tests, and waiting for what the server counts."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import oracledb

from hub.simulators.oracle import OracleServer


@asynccontextmanager
async def connected(server: OracleServer, **options: Any) -> AsyncIterator[oracledb.AsyncConnection]:
    """A connection of the reader, closed at the end if it is still usable."""
    connection = await oracledb.connect_async(user="reader", password="secret", dsn=server.dsn, **options)
    try:
        yield connection
    finally:
        if connection._impl is not None and connection.is_healthy():
            await connection.close()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for the server to have got so far, at most a minute."""
    with anyio.fail_after(60):
        while not condition():
            await anyio.sleep(0.001)
