"""Pure: moments that came from outside, in UTC, and those that every database and every zone can hold."""

from datetime import UTC, datetime

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
