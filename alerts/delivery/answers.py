"""What the answer of a receiver means for a delivery and for the receiver: pure."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MOST_WAIT_S = 3600.0
_SECONDS = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_CONTENT = frozenset({400, 404, 406, 409, 413, 415, 422})


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver answered 2xx."""

    status: int
    answer: str | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """It did not get through; `after_s` is what the receiver asked for this message, if it did."""

    error: str
    status: int | None = None
    after_s: float | None = None
    answer: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The receiver works and does not take this message: the same again is likely to be refused again."""

    error: str
    status: int
    answer: str | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """The receiver asks to be left alone, with every message; `after_s` is for how long, if it said so."""

    error: str
    status: int
    after_s: float | None = None
    answer: str | None = None


@dataclass(frozen=True, slots=True)
class Gone:
    """The receiver answered 410: it wants no more."""

    error: str = "HTTP 410: it wants no more messages"
    status: int = 410
    answer: str | None = None


Outcome = Delivered | Retry | Refused | Wait | Gone
"""The `answer` of each is an excerpt of what the receiver wrote."""


def judge(status: int, retry_after: str | None, now: datetime, answer: str | None = None) -> Outcome:
    """What a status means. Redirects are not followed, so one is a failure like any other."""
    error = f"HTTP {status}"
    if 200 <= status < 300:
        return Delivered(status, answer)
    if status == 410:
        return Gone(answer=answer)
    if status == 429 or (status >= 500 and retry_after is not None):
        return Wait(error, status, parse_retry_after(retry_after, now), answer)
    if status in _CONTENT:
        return Refused(error, status, answer)
    return Retry(error, status, parse_retry_after(retry_after, now), answer)


def advice(status: int | None) -> str:
    """What an operator looks at first when a receiver has answered with this status; None: not at all."""
    match status:
        case None:
            return "check the url, the network between, and that the receiver runs"
        case 401 | 403 | 407:
            return "check the credentials under headers, and the secret"
        case 404 | 405 | 410:
            return "check the url: the receiver knows no such address, or not any more"
        case 400 | 406 | 409 | 413 | 415 | 422:
            return "check that the receiver takes the format it is sent"
        case 429:
            return "set rate_limit, so that fewer messages are sent"
        case _ if 300 <= status < 400:
            return "write the address it redirects to as the url; redirects are not followed"
        case _:
            return "look into the log of the receiver: the fault is there, or in a proxy before it"


def splits_digest(status: int, attempts: int) -> bool:
    """Whether a digest that was refused with this status, `attempts` times by now, is sent in parts instead.

    404 is often a receiver that is being deployed: the digest is tried whole once more.
    """
    return status != 404 or attempts > 1


def parse_retry_after(text: str | None, now: datetime) -> float | None:
    """Seconds that a Retry-After (seconds, some write them with decimals, or a date) asks for, an hour at most.

    None where there is none, or none that asks for a wait: unreadable, zero, negative, past.
    """
    if text is None:
        return None
    if _SECONDS.fullmatch(text.strip()):
        asked_s = float(text)
    else:
        try:
            until = parsedate_to_datetime(text)
            asked_s = (until.replace(tzinfo=until.tzinfo or UTC) - now).total_seconds()
        except (ValueError, OverflowError):
            return None
    return min(asked_s, MOST_WAIT_S) if asked_s > 0 else None
