"""Two Redis clients with the deadlines of a cache: one for commands, one for subscriptions."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from math import inf
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import anyio
from pydantic import SecretStr
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

REDIS_FAILURES = (RedisError, OSError)
"""The exceptions of a Redis that is down, slow, full or restarting."""


@dataclass(frozen=True, slots=True)
class RedisClients:
    """`commands` has a timeout of a second; `stream` has none, for subscriptions."""

    commands: "Redis"
    stream: "Redis"
    prefix: str

    def key(self, *parts: str) -> str:
        """`prefix:part:part`; a colon inside a part is escaped, so that no two keys collide."""
        return ":".join([self.prefix, *(quote(part, safe="") for part in parts)])


def url_problem(url: str) -> str | None:
    """What is wrong with the database or the options of a Redis URL, without any of its values; else None.

    Only options that a site may choose are allowed; the hub itself sets decoding and connection pooling.
    """
    parts = urlsplit(url)
    database = "" if parts.scheme == "unix" else parts.path.strip("/")
    if database and not (database.isascii() and database.isdigit()):
        return "must end with the number of a database, such as redis://127.0.0.1:6379/0"
    tls = _TLS_OPTIONS if parts.scheme == "rediss" else frozenset()
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name not in _OPTIONS | tls:
            return f"has the unknown option {name[:40]!r}; there is {', '.join(sorted(_OPTIONS | tls))}"
        if not _is_valid(parts.scheme, name, value):
            return f"has a value for {name} that cannot be used"
    return None


_LEAST = {"db": 0, "socket_timeout": 0.001, "socket_connect_timeout": 0.001, "health_check_interval": 0}
_OPTIONS = frozenset({*_LEAST, "max_connections", "username", "password", "client_name", "protocol"})
_TLS_OPTIONS = frozenset(
    {"ssl_ca_certs", "ssl_ca_path", "ssl_cert_reqs", "ssl_certfile", "ssl_check_hostname", "ssl_keyfile"}
)


def _is_valid(scheme: str, name: str, value: str) -> bool:
    try:
        pool = ConnectionPool.from_url(f"{scheme}://redis/?{urlencode({name: value})}")
        pool.connection_class(**pool.connection_kwargs)
    except (RedisError, ValueError, TypeError):
        return False
    read = pool.connection_kwargs.get(name)
    return name not in _LEAST or (isinstance(read, int | float) and _LEAST[name] <= read < inf)


@asynccontextmanager
async def open_redis(
    url: str | SecretStr, prefix: str = "hub", command_s: float = 1.0
) -> AsyncIterator[RedisClients]:
    """Clients for the block. They connect at first use, so Redis may be down at the start."""
    address = url.get_secret_value() if isinstance(url, SecretStr) else url
    # Retry once on a pooled connection that a restart of Redis has closed, but not after a timeout.
    retry_once = Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,))
    commands = Redis.from_url(
        address, retry=retry_once, socket_connect_timeout=0.3, socket_timeout=command_s, max_connections=16
    )
    stream = Redis.from_url(address, retry=retry_once, socket_connect_timeout=0.3)
    stream.connection_pool.connection_kwargs["socket_timeout"] = None  # even if the URL sets one
    try:
        yield RedisClients(commands, stream, prefix)
    finally:
        with anyio.move_on_after(1, shield=True):
            await commands.aclose()
            await stream.aclose()
