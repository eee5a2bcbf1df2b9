"""The quality of a result: what is missing from it, and why."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """Complete; truncated at a limit; partial, because parts failed; failed, without any result."""

    COMPLETE = "complete"
    TRUNCATED = "truncated"
    PARTIAL = "partial"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class FailedRange:
    """A batch that failed twice: its first and last id, how many ids, and the error's code."""

    first: str
    last: str
    count: int
    code: str
    part: str = ""  # the domain, or the step of a lineage

    def document(self) -> dict[str, Any]:
        """The JSON object."""
        return {
            "domain": self.part,
            "first": self.first,
            "last": self.last,
            "count": self.count,
            "code": self.code,
        }


@dataclass(frozen=True, slots=True)
class Quality:
    """`limits`: names of the limits that cut the result; `unfinished`: why it was stopped before its end."""

    observed_rows: int = 0
    failed: tuple[FailedRange, ...] = ()
    limits: tuple[str, ...] = ()
    unfinished: str | None = None
    succeeded: bool = True  # at least one batch succeeded, or none has ended
    unreadable: int = 0  # cells that are null because they could not be read

    @property
    def status(self) -> Status:
        """The most severe status that applies."""
        if (self.failed or self.unfinished) and not self.succeeded:
            return Status.FAILED
        if self.failed or self.unfinished or self.unreadable:
            return Status.PARTIAL
        return Status.TRUNCATED if self.limits else Status.COMPLETE

    @property
    def is_complete(self) -> bool:
        """True when nothing is missing."""
        return self.status is Status.COMPLETE

    def document(self) -> dict[str, Any]:
        """The `quality` of a reply."""
        reasons = [*self.limits, *(["batch_failed"] if self.failed else []), *filter(None, [self.unfinished])]
        reasons += ["unreadable_cells"] if self.unreadable else []
        return {
            "status": self.status,
            "reasons": reasons,
            "failed_ranges": [one.document() for one in self.failed],
            "observed_rows": self.observed_rows,
            "truncated": bool(self.limits),
            **({"unreadable_cells": self.unreadable} if self.unreadable else {}),
        }


@dataclass(slots=True)
class Tally:
    """Counts the batches and rows of a request while it runs."""

    rows: int = 0
    pending: int = 0  # rows of batches that have not ended
    done: int = 0
    batches: int = 0
    failed: list[FailedRange] = field(default_factory=list)
    limits: dict[str, None] = field(default_factory=dict)
    unfinished: str | None = None
    unreadable: int = 0

    def quality(self) -> Quality:
        """The quality of the results so far."""
        unfinished = self.unfinished or ("unfinished" if self._is_open() else None)
        succeeded = not self.failed or self.done > len(self.failed)
        return Quality(self.rows, tuple(self.failed), tuple(self.limits), unfinished, succeeded, self.unreadable)

    def _is_open(self) -> bool:
        return self.done < self.batches and not self.limits


def worst(qualities: Iterable[Quality]) -> Quality:
    """The quality of several results together: what is missing in one is missing in the whole."""
    every = list(qualities)
    return Quality(
        sum(one.observed_rows for one in every),
        tuple(failed for one in every for failed in one.failed),
        tuple(dict.fromkeys(limit for one in every for limit in one.limits)),
        next((one.unfinished for one in every if one.unfinished), None),
        any(one.succeeded for one in every) or not every,
        sum(one.unreadable for one in every),
    )
