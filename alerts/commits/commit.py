"""One commit: stores a batch of transitions with their deliveries and documents, then the time it took."""

from dataclasses import replace

from sqlmodel import Session

from alerts.commits.uncommitted import Batch
from alerts.delivery.message import documented, with_commit_time
from alerts.model.clock import Clock, wall_offset_s
from alerts.model.delivery import Delivery, Notice, deliveries_of
from alerts.model.document import Origin
from alerts.store import outbox
from alerts.store.rows import set_documents
from alerts.store.unstorable import Refused

Announced = list[Delivery] | None
"""The deliveries a notice was announced with from memory, before it could be stored; None when it was not."""


class Commit:
    """Is built in the event loop; `write`, then `store_documents`, run in the writer's thread.

    `committed_s` (steady) is when `write` was committed, None before.
    """

    def __init__(
        self, batch: Batch, announced: list[Announced], clock: Clock, origin: Origin, is_apart: bool = False
    ) -> None:
        """`announced` has one entry for each notice of the batch; `origin` describes the hub in its documents.

        With `is_apart`, rows that every database refuses are left out and listed in `refused`; their notices are
        still announced, as not persisted.
        """
        self.batch = batch
        self.refused: list[Refused] = []
        self._is_apart = is_apart
        self.started_s = clock.time()
        self.committed_s: float | None = None
        self._clock = clock
        self._origin = origin
        self._unstored: set[int] = set()  # by identity of the notice
        self._fresh: dict[int, Notice] = {}  # by identity of the notice: with its document
        self._deliveries: dict[int, list[Delivery]] = {}  # of these
        self._timed: dict[int, Notice] = {}  # of these, with the time of the commit in their documents
        notices: list[Notice] = []
        deliveries: list[Delivery] = []
        for notice, before in zip(batch.notices, announced, strict=True):
            if before is None:
                fresh = self._fresh[id(notice)] = documented(notice, origin)
                notices.append(fresh)
                deliveries += self._deliveries.setdefault(id(notice), deliveries_of(fresh))
            else:
                notices.append(documented(replace(notice, persisted=False), origin))
                deliveries += before
        self._rows = outbox.rows_of(notices, deliveries, batch.states.values(), wall_offset_s(clock))

    def write(self, session: Session) -> None:
        """Transitions with their documents, deliveries, and states."""
        if not self._is_apart:
            outbox.write(session, self._rows)
            return
        self.refused = outbox.write_those_that_can_be(session, self._rows)
        alerts = {row["id"] for table, row, _ in self.refused if table == "alerts" and "id" in row}
        transitions = {(r["alert_id"], r["sequence"]) for table, r, _ in self.refused if table == "transitions"}
        for notice in self.batch.notices:
            key = (notice.alert_id, notice.transition.alert.sequence)
            if id(notice) in self._fresh and (key in transitions or notice.alert_id in alerts):
                self._change(id(notice), documented(replace(notice, persisted=False), self._origin))
                self._unstored.add(id(notice))

    def store_documents(self, session: Session) -> None:
        """Store the documents, which state the commit time: a repeat after a crash sends the same bytes."""
        self.committed_s = self._clock.time()
        for key, notice in self._fresh.items():
            if notice.receivers and key not in self._unstored:
                commit_ms = (self.committed_s - notice.transition.decided_s) * 1000
                self._timed[key] = replace(notice, document=with_commit_time(notice.document, commit_ms))
        set_documents(session, self._timed.values())

    def documents_stored(self) -> None:
        """The second transaction is committed too: the notice is announced as it stored it."""
        for key, notice in self._timed.items():
            self._change(key, notice)

    def deliveries(self, notice: Notice) -> list[Delivery]:
        """The deliveries of a notice, once it is committed."""
        return self._deliveries.get(id(notice), [])

    def is_stored(self, notice: Notice) -> bool:
        """False for a notice that every database refuses."""
        return id(notice) not in self._unstored

    def _change(self, key: int, notice: Notice) -> None:
        self._fresh[key] = notice
        self._deliveries[key] = [replace(one, document=notice.document) for one in self._deliveries[key]]
