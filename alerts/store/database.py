"""What alerting asks of a database."""

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
    """Runs a function of a session, whole in one transaction, in a worker thread. Raises DBAPIError."""

    async def read(self, work: Callable[[Session], T]) -> T:
        """Run `work` on a snapshot."""
        ...

    async def write(self, work: Callable[[Session], T], *, durable: bool = False) -> T:
        """Run `work` and commit; with `durable` it is on the disk when this returns."""
        ...

    async def write_in_turn(self, take: Callable[[], Write | None]) -> None:
        """Run what `take` gives until it gives None, with no other writer in between.

        `take` is called in the event loop; a call says that what it gave before is committed.
        """
        ...

    async def set_aside(self, refused: Sequence[Refused]) -> None:
        """Keep rows that no database takes where people can look into them."""
        ...
