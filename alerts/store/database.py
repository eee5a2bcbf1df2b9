"""The interface to a database that alerting uses."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeVar

from sqlmodel import Session

from alerts.store.unstorable import Refused

T = TypeVar("T")

Work = Callable[[Session], object]


class Write(NamedTuple):
    """One transaction. With `durable` it is on the disk before `then` begins, which runs in a second one."""

    work: Work
    durable: bool
    then: Work | None = None


class Database(Protocol):
    """Runs a function of a session in a worker thread, in one transaction. Raises DBAPIError."""

    async def read(self, work: Callable[[Session], T]) -> T:
        """Run `work` on a snapshot."""
        ...

    async def write(self, work: Callable[[Session], T], *, durable: bool = False) -> T:
        """Run `work` and commit; with `durable` it is on the disk when this returns."""
        ...

    async def write_in_turn(self, next_write: Callable[[], Write | None]) -> None:
        """Run the writes that `next_write` returns until it returns None, with no other writer in between.

        `next_write` runs in the event loop; each call means that the write before it is committed.
        """
        ...

    async def set_aside(self, refused: Sequence[Refused]) -> None:
        """Store rows that every database refuses where an operator can read them."""
        ...
