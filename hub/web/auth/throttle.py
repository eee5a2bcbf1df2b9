"""Limits how often a client may try tokens at the login. Pure but for the clock, and bounded in memory."""

from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TypeVar

from hub.runtime.clock import Clock

T = TypeVar("T")

_FREE = 5  # failures
_FORGET_S = 60.0
_FIRST_WAIT_S = 10.0
_LONGEST_WAIT_S = 900.0
_FREE_IN_ALL = 100  # failures of all addresses together, in a window of as long
_ADDRESSES = 4096


@dataclass(slots=True)
class _Failures:
    count: int = 0
    until_s: float = 0.0
    last_s: float = 0.0


class LoginThrottle:
    """After five failures an address waits 10 s, then twice as long after each further one, up to 15 minutes.

    A successful login, or a minute without a failure after the wait, resets the count. When all addresses together
    fail a hundred times within a minute, every address without an earlier login waits until that minute is over.
    An IPv6 address counts as its /64 network, because one client has all of its addresses.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, _Failures] = OrderedDict()
        self._known: OrderedDict[str, None] = OrderedDict()
        self._window_s = 0.0
        self._in_window = 0

    def wait_s(self, address: str) -> float:
        """Seconds until this address may try; 0 when it may now."""
        now_s, key = self._clock.steady(), _key(address)
        own = self._failures.get(key)
        wait_s = 0.0 if own is None else own.until_s - now_s
        if self._in_window >= _FREE_IN_ALL and key not in self._known:  # once the window is over this is below 0
            wait_s = max(wait_s, self._window_s + _FORGET_S - now_s)
        return max(0.0, wait_s)

    def failed(self, address: str) -> float:
        """Count a wrong token from this address; returns the seconds that it has to wait now."""
        now_s, key = self._clock.steady(), _key(address)
        if now_s >= self._window_s + _FORGET_S:
            self._window_s, self._in_window = now_s, 0
        self._in_window += 1
        own = self._failures.pop(key, None)
        if own is None or now_s >= max(own.last_s, own.until_s) + _FORGET_S:
            own = _Failures()
        own.count, own.last_s = own.count + 1, now_s
        if own.count >= _FREE:
            own.until_s = now_s + min(_FIRST_WAIT_S * 2.0 ** min(own.count - _FREE, 16), _LONGEST_WAIT_S)
        _store(self._failures, key, own)
        return max(0.0, own.until_s - now_s)

    def succeeded(self, address: str) -> None:
        """Reset the failures of this address and exempt it from the limit over all addresses."""
        key = _key(address)
        self._failures.pop(key, None)
        self._known.pop(key, None)
        _store(self._known, key, None)


def _key(address: str) -> str:
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, IPv6Address):
        return str(found.ipv4_mapped or ip_network((found, 64), strict=False))
    return str(found)


def _store(of: OrderedDict[str, T], key: str, value: T) -> None:
    of[key] = value
    while len(of) > _ADDRESSES:
        of.popitem(last=False)
