"""One commit: a batch of transitions with their deliveries, and then the bodies of these."""

from dataclasses import replace

from sqlmodel import Session

from alerts.commits.uncommitted import Batch
from alerts.delivery.message import render, with_commit_time
from alerts.model.clock import Clock, wall_offset_s
from alerts.model.delivery import Delivery, Notice, deliveries_of
from alerts.store import outbox
from alerts.store.unstorable import Refused

Told = list[Delivery] | None
"""The deliveries a notice was announced with from memory, before it could be stored; None when it was not."""


class Commit:
    """Is made ready in the event loop; `write`, then `store_bodies`, run in the writer's thread.

    `committed_s` (steady) is when `write` was committed, None before.
    """

    def __init__(self, batch: Batch, told: list[Told], clock: Clock, hub: str, is_apart: bool = False) -> None:
        """`told` has one entry for each notice of the batch; `hub` is the name in the bodies.

        `is_apart` has rows that no database takes left out, into `refused`; their notices are announced all the
        same, as not persisted.
        """
        self.batch = batch
        self.refused: list[Refused] = []
        self._is_apart = is_apart
        self.started_s = clock.time()
        self.committed_s: float | None = None
        self._clock = clock
        self._hub = hub
        self._unstored: set[int] = set()  # by identity of the notice, too
        self._fresh: dict[int, list[Delivery]] = {}  # by identity of the notice
        notices: list[Notice] = []
        deliveries: list[Delivery] = []
        for notice, before in zip(batch.notices, told, strict=True):
            if before is None:
                fresh = self._fresh[id(notice)] = rendered(notice, hub)
                notices.append(notice)
                deliveries += [replace(delivery, body=b"") for delivery in fresh]
            else:
                notices.append(replace(notice, persisted=False))
                deliveries += before
        self._rows = outbox.rows_of(notices, deliveries, batch.states.values(), wall_offset_s(clock))

    def write(self, session: Session) -> None:
        """Transitions, deliveries without bodies, and states."""
        if not self._is_apart:
            outbox.write(session, self._rows)
            return
        self.refused = outbox.write_those_that_can_be(session, self._rows)
        alerts = {row["id"] for table, row, _ in self.refused if table == "alerts" and "id" in row}
        transitions = {(r["alert_id"], r["sequence"]) for table, r, _ in self.refused if table == "transitions"}
        for notice in self.batch.notices:
            key = (notice.alert_id, notice.transition.alert.sequence)
            if id(notice) in self._fresh and (key in transitions or notice.alert_id in alerts):
                self._fresh[id(notice)] = rendered(replace(notice, persisted=False), self._hub)
                self._unstored.add(id(notice))

    def store_bodies(self, session: Session) -> None:
        """After the commit, whose time the bodies tell: a repeat after a crash is the same to the byte."""
        self.committed_s = self._clock.time()
        for notice in self.batch.notices:
            if id(notice) not in self._unstored and (deliveries := self._fresh.get(id(notice))):
                taken_ms = (self.committed_s - notice.transition.decided_s) * 1000
                body = with_commit_time(deliveries[0].body, taken_ms)
                self._fresh[id(notice)] = [replace(delivery, body=body) for delivery in deliveries]
        outbox.store_bodies(session, [delivery for some in self._fresh.values() for delivery in some])

    def deliveries(self, notice: Notice) -> list[Delivery]:
        """What a notice is announced with, once committed."""
        return self._fresh.get(id(notice), [])


def rendered(notice: Notice, hub: str) -> list[Delivery]:
    """The deliveries of a notice, with their body."""
    return deliveries_of(notice, render(notice, hub)) if notice.receivers else []
