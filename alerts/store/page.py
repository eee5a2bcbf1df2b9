"""A page of a list, and the cursor of the page after it. Pure."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar

from alerts.model.moments import known_moment

Item = TypeVar("Item")
Key = TypeVar("Key", str, int)

FOREIGN_CURSOR = "cursor: is not one that this list gave; leave it out to start at the beginning"


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Some items of a list; `next_cursor` is the cursor of the next page, None at the end."""

    items: Sequence[Item]
    next_cursor: str | None


def encode_cursor(at: datetime, key: str | int) -> str:
    """The opaque cursor behind the item of this aware time; `key` distinguishes items of the same time."""
    return urlsafe_b64encode(f"{at.astimezone(UTC).isoformat()}|{key}".encode()).decode().rstrip("=")


def decode_cursor(cursor: str, key_of: Callable[[str], Key]) -> tuple[datetime, Key]:
    """The time and the key of a cursor. Raises ValueError for any other text, and where `key_of` does."""
    try:
        text = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        at, _, key_text = text.partition("|")
        moment, key = known_moment(at), key_of(key_text)
        if not text.isprintable() or encode_cursor(moment, key) != cursor.rstrip("="):
            raise ValueError("not as it was written")
    except ValueError:
        raise ValueError(FOREIGN_CURSOR) from None
    return moment, key
