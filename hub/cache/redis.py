"""Two Redis clients with deadlines that fit a cache: one for commands, one for listening."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import quote

import anyio
from pydantic import SecretStr
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

REDIS_FAILURES = (RedisError, OSError)
"""What a Redis that is down, slow, full or restarting raises."""


@dataclass(frozen=True, slots=True)
class RedisClients:
    """`commands` fails within a second; `stream` may listen for ever."""

    commands: "Redis"
    stream: "Redis"
    prefix: str

    def key(self, *parts: str) -> str:
        """`prefix:part:part`; a colon inside a part is escaped, so that no two keys collide."""
        return ":".join([self.prefix, *(quote(part, safe="") for part in parts)])


@asynccontextmanager
async def open_redis(
    url: str | SecretStr, prefix: str = "hub", command_s: float = 1.0
) -> AsyncIterator[RedisClients]:
    """Clients for the block. Opening does not connect, so a Redis that is down now may come later."""
    address = url.get_secret_value() if isinstance(url, SecretStr) else url
    # Once more for a pooled connection that a restart of Redis has cut; never for one that is slow.
    once_more = Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,))
    commands = Redis.from_url(
        address, retry=once_more, socket_connect_timeout=0.3, socket_timeout=command_s, max_connections=16
    )
    stream = Redis.from_url(address, retry=once_more, socket_connect_timeout=0.3, socket_timeout=None)
    try:
        yield RedisClients(commands, stream, prefix)
    finally:
        with anyio.move_on_after(1, shield=True):
            await commands.aclose()
            await stream.aclose()
