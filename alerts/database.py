"""What alerting asks of a database."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from sqlmodel import Session

T = TypeVar("T")


class Database(Protocol):
    """Runs a function of a session, whole in one transaction, in a worker thread. Raises DBAPIError."""

    async def read(self, work: Callable[[Session], T]) -> T:
        """Run `work` on a snapshot."""
        ...

    async def write(
        self,
        work: Callable[[Session], T],
        *,
        durable: bool = False,
        then: Callable[[Session], object] | None = None,
    ) -> T:
        """Run `work` and commit; with `durable` it is on the disk when `then` begins or this returns.

        `then` runs in a second transaction, before any other writer.
        """
        ...
