"""Failed logins make an address wait ever longer; known addresses are not affected by the others."""

from typing import Any

import pytest

from hub.runtime.clock import Clock
from hub.web.auth.throttle import LoginThrottle
from tests.hub.web.parts import TOKENS, Site

pytestmark = pytest.mark.anyio

VIEWER, OPERATOR = TOKENS[0]["token"], TOKENS[1]["token"]
WRONG = {"token": "wrong-0123456789abcdef"}


class SetClock(Clock):
    """A clock that a test sets."""

    now_s = 1000.0

    def steady(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def throttle(clock: SetClock) -> LoginThrottle:
    return LoginThrottle(clock)


def test_five_failures_are_free_and_each_further_one_doubles_the_wait(
    throttle: LoginThrottle, clock: SetClock
) -> None:
    assert [throttle.failed("10.0.0.7") for _ in range(4)] == [0.0] * 4
    for wait_s in (10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0, 900.0, 900.0):
        assert throttle.failed("10.0.0.7") == throttle.wait_s("10.0.0.7") == wait_s
        clock.now_s += wait_s
        assert throttle.wait_s("10.0.0.7") == 0.0
    assert throttle.wait_s("10.0.0.8") == 0.0


def test_a_success_or_a_quiet_minute_starts_anew(throttle: LoginThrottle, clock: SetClock) -> None:
    for _ in range(4):
        throttle.failed("10.0.0.7")
    throttle.succeeded("10.0.0.7")
    assert [throttle.failed("10.0.0.7") for _ in range(5)][-2:] == [0.0, 10.0]
    clock.now_s += 10 + 60
    assert [throttle.failed("10.0.0.7") for _ in range(5)][-2:] == [0.0, 10.0]


def test_one_failure_a_minute_is_not_throttled(throttle: LoginThrottle, clock: SetClock) -> None:
    for _ in range(100):
        assert throttle.failed("10.0.0.7") == 0.0
        clock.now_s += 60


def test_all_addresses_together_are_limited_except_known_ones(throttle: LoginThrottle, clock: SetClock) -> None:
    throttle.succeeded("192.0.2.1")
    for n in range(100):
        assert throttle.wait_s(f"10.0.0.{n}") == 0.0
        throttle.failed(f"10.0.0.{n}")
    assert throttle.wait_s("10.0.1.1") == 60.0
    assert throttle.wait_s("192.0.2.1") == 0.0
    clock.now_s += 60
    assert throttle.wait_s("10.0.1.1") == 0.0


def test_addresses_of_one_ipv6_network_are_one(throttle: LoginThrottle) -> None:
    for n in range(5):
        throttle.failed(f"2001:db8::{n}")
    assert throttle.wait_s("2001:db8::ffff") == 10.0
    assert throttle.wait_s("2001:db8:0:1::1") == 0.0
    for _ in range(5):
        throttle.failed("::ffff:10.0.0.7")
    assert throttle.wait_s("10.0.0.7") == 10.0


def test_however_many_addresses_try_memory_is_bounded(throttle: LoginThrottle) -> None:
    for n in range(10_000):
        throttle.failed(f"10.0.{n // 250}.{n % 250}")
        throttle.succeeded(f"10.1.{n // 250}.{n % 250}")
    assert len(throttle._failures) == len(throttle._known) == 4096


async def test_a_login_is_throttled_and_tokens_of_programs_are_not(guarded: Site) -> None:
    async with guarded.client() as client:
        for _ in range(5):
            assert (await client.post("/api/login", json=WRONG)).status_code == 401
        for body in (WRONG, {"token": OPERATOR}):
            refused = await client.post("/api/login", json=body)
            assert refused.status_code == 429
            assert 1 <= int(refused.headers["retry-after"]) <= 10
            assert refused.headers["content-type"] == "application/problem+json"
        for _ in range(20):
            answer = await client.get("/api/units", headers={"authorization": f"Bearer {OPERATOR}"})
            assert answer.status_code == 200


async def test_right_logins_are_never_throttled(guarded: Site) -> None:
    async with guarded.client() as client:
        for _ in range(50):
            assert (await client.post("/api/login", json={"token": VIEWER})).status_code == 200


async def test_whom_a_trusted_proxy_forwards_is_throttled_apart(guarded: Site) -> None:
    hub = guarded.parts.config.hub.model_copy(update={"trusted_proxies": ("127.0.0.1",)})
    guarded.parts.config = guarded.parts.config.model_copy(update={"hub": hub})
    async with guarded.client() as client:

        async def log_in(address: str, body: Any) -> int:
            return (await client.post("/api/login", json=body, headers={"x-forwarded-for": address})).status_code

        assert [await log_in("203.0.113.7", WRONG) for _ in range(6)][-2:] == [401, 429]
        assert await log_in("203.0.113.8", {"token": OPERATOR}) == 200
        assert await log_in("1.1.1.1, 203.0.113.7", {"token": OPERATOR}) == 429
