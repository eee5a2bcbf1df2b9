"""Pure: times as RFC 3339 text and back, and those that every database and every zone can hold."""

from datetime import UTC, datetime
from typing import overload

FIRST, LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


def known_moment(text: str) -> datetime:
    """An RFC 3339 time with its offset, in UTC. Raises ValueError for anything else."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("must have an offset or Z")
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise ValueError("must be a time of the years 1 to 9999 in UTC") from None


@overload
def rfc3339(at: datetime) -> str: ...
@overload
def rfc3339(at: datetime | None) -> str | None: ...
def rfc3339(at: datetime | None) -> str | None:
    """`2026-03-18T22:14:07.120Z`: an aware time in UTC with milliseconds, cut off; None stays None."""
    if at is None:
        return None
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
