"""What the answer of a receiver means for a delivery and for the receiver: pure."""

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MOST_WAIT_S = 3600.0
_CONTENT = frozenset({400, 404, 406, 409, 413, 415, 422})


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver answered 2xx."""

    status: int


@dataclass(frozen=True, slots=True)
class Retry:
    """It did not get through; `after_s` is what the receiver asked for this message, if it did."""

    error: str
    status: int | None = None
    after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The receiver works and does not take this message: the same again is likely to be refused again."""

    error: str
    status: int


@dataclass(frozen=True, slots=True)
class Wait:
    """The receiver asks to be left alone, with every message; `after_s` is for how long, if it said so."""

    error: str
    status: int
    after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Gone:
    """The receiver answered 410: it wants no more."""

    error: str = "HTTP 410: it wants no more messages"
    status: int = 410


Outcome = Delivered | Retry | Refused | Wait | Gone


def judge(status: int, retry_after: str | None, now: datetime) -> Outcome:
    """What a status means. Redirects are not followed, so one is a failure like any other."""
    error = f"HTTP {status}"
    if 200 <= status < 300:
        return Delivered(status)
    if status == 410:
        return Gone()
    if status == 429 or (status >= 500 and retry_after is not None):
        return Wait(error, status, parse_retry_after(retry_after, now))
    if status in _CONTENT:
        return Refused(error, status)
    return Retry(error, status, parse_retry_after(retry_after, now))


def splits_digest(status: int, attempts: int) -> bool:
    """Whether a digest that was refused with this status, `attempts` times by now, is sent in parts instead.

    404 is often a receiver that is being deployed: the digest is tried whole once more.
    """
    return status != 404 or attempts > 1


def parse_retry_after(text: str | None, now: datetime) -> float | None:
    """Seconds that a Retry-After (seconds or a date) asks for, an hour at most.

    None where there is none, or none that asks for a wait: unreadable, zero, negative, past.
    """
    if text is None:
        return None
    if text.strip().isdecimal():
        asked_s = float(text)
    else:
        try:
            until = parsedate_to_datetime(text)
            asked_s = (until.replace(tzinfo=until.tzinfo or UTC) - now).total_seconds()
        except (ValueError, OverflowError):
            return None
    return min(asked_s, MOST_WAIT_S) if asked_s > 0 else None
