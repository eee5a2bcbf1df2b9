"""Caches the results of small requests for minutes: in process memory up to a size, and in Redis."""

import json
import zlib
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NamedTuple

import structlog
from anyio import to_thread

from hub.cache.figures import CacheFigures
from hub.cache.redis import REDIS_FAILURES, RedisClients
from hub.runtime.clock import Clock
from hub.trace.domains import DOMAINS, Domain

log = structlog.get_logger()

MAX_IDS = 10_000
"""A result of more ids is not cached: it is large, and the same ids are not requested again."""

MAX_ANSWER = 8 << 20
"""Bytes of lines; a larger result is not cached."""


class Answer(NamedTuple):
    """The lines of one domain for one set of ids."""

    lines: bytes
    rows: int


@dataclass(slots=True)
class EventCacheCounters:
    """The counters of the cache since its start."""

    hits: int = 0
    misses: int = 0
    evicted: int = 0
    redis_failures: int = 0
    loads: int = 0  # answers read from Redis


def digest_of(ids: Iterable[str]) -> str:
    """A digest of a set of ids, independent of their order. Each id is hashed with its length, so sets differ."""
    digest = sha256()
    for each in sorted(ids):
        data = each.encode()
        digest.update(b"%d:%b" % (len(data), data))
    return digest.hexdigest()


class EventCache:
    """Holds at most `size` bytes in memory. The caller must put complete results only."""

    def __init__(self, redis: RedisClients | None, clock: Clock, size: int = 64 << 20) -> None:
        self.counters = EventCacheCounters()
        self._redis = redis
        self._clock = clock
        self._left = self._size = size
        self._is_usable = redis is not None
        self._answers: OrderedDict[tuple[str, str], tuple[float, Answer]] = OrderedDict()

    async def get(self, domain: Domain, digest: str) -> Answer | None:
        """A result that is not older than the domain allows; else None."""
        key = _key(domain, digest)
        until, answer = self._answers.get(key, (0.0, None))
        if answer is not None and self._clock.steady() < until:
            self.counters.hits += 1
            self._answers.move_to_end(key)
            return answer
        self._forget(key)
        answer = await self._from_redis(domain, digest)
        if answer is None:
            self.counters.misses += 1
        else:
            self.counters.hits += 1
        return answer

    def figures(self) -> CacheFigures:
        """The statistics of the cache."""
        counters = self.counters
        ttl_s = float(max(domain.ttl_s for domain in DOMAINS.values()))
        return CacheFigures(
            name="trace",
            enabled=self._is_usable,
            entries=self._size - self._left,
            size=self._size,
            unit="bytes",
            ttl_s=ttl_s,
            keep_s=ttl_s,
            hits=counters.hits,
            misses=counters.misses,
            loads=counters.loads,
            failures=counters.redis_failures,
            evictions=counters.evicted,
        )

    async def put(self, domain: Domain, digest: str, answer: Answer, age_s: float) -> None:
        """Cache a result whose read began `age_s` seconds ago."""
        left_s = domain.ttl_s - age_s
        if len(answer.lines) > MAX_ANSWER or left_s <= 1:
            return
        self._remember(_key(domain, digest), answer, left_s)
        if self._redis is None:
            return
        head = {"digest": digest, "domain": domain.name, "version": domain.version, "rows": answer.rows}
        payload = await to_thread.run_sync(_pack, head, answer.lines)
        try:
            await self._redis.commands.set(self._name(domain, digest), payload, px=round(left_s * 1000))
        except REDIS_FAILURES as error:
            self._failed(error)
        else:
            self._is_usable = True

    async def _from_redis(self, domain: Domain, digest: str) -> Answer | None:
        if self._redis is None:
            return None
        name = self._name(domain, digest)
        try:
            payload = await self._redis.commands.get(name)
            left_ms = await self._redis.commands.pttl(name) if payload else 0
        except REDIS_FAILURES as error:
            self._failed(error)
            return None
        self._is_usable = True
        if not isinstance(payload, bytes) or left_ms <= 0:
            return None
        try:
            head, lines = await to_thread.run_sync(_unpack, payload)
        except (ValueError, zlib.error):
            self.counters.redis_failures += 1
            log.error("a value in redis cannot be read", cache="trace", domain=domain.name)
            return None
        if (head.get("digest"), head.get("domain"), head.get("version")) != (digest, domain.name, domain.version):
            return None
        self.counters.loads += 1
        answer = Answer(lines, int(head["rows"]))
        self._remember(_key(domain, digest), answer, left_ms / 1000)
        return answer

    def _remember(self, key: tuple[str, str], answer: Answer, left_s: float) -> None:
        self._forget(key)
        self._answers[key] = (self._clock.steady() + left_s, answer)
        self._left -= len(answer.lines)
        while self._left < 0:
            self._forget(next(iter(self._answers)))
            self.counters.evicted += 1

    def _forget(self, key: tuple[str, str]) -> None:
        _, answer = self._answers.pop(key, (0.0, None))
        if answer is not None:
            self._left += len(answer.lines)

    def _name(self, domain: Domain, digest: str) -> str:
        assert self._redis is not None
        return self._redis.key("evt", *_key(domain, digest))

    def _failed(self, error: Exception) -> None:
        self.counters.redis_failures += 1
        if self._is_usable:
            log.warning("redis cannot be used; memory serves", cache="trace", error=type(error).__name__)
        self._is_usable = False


def _key(domain: Domain, digest: str) -> tuple[str, str]:
    return f"{domain.name}-v{domain.version}", digest


def _pack(head: dict[str, object], lines: bytes) -> bytes:
    return json.dumps(head).encode() + b"\n" + zlib.compress(lines, 1)


def _unpack(payload: bytes) -> tuple[dict[str, Any], bytes]:
    head, _, packed = payload.partition(b"\n")
    found = json.loads(head)
    if not isinstance(found, dict):
        raise ValueError("no head")
    return found, zlib.decompress(packed)
