"""One commit of the desk: a batch of what was decided, with its deliveries, and then their bodies."""

from dataclasses import replace

from sqlmodel import Session

from alerts import outbox
from alerts.clock import Clock, wall_offset_s
from alerts.delivery import Delivery, Notice, deliveries_of
from alerts.message import render
from alerts.uncommitted import Batch

Told = list[Delivery] | None
"""The deliveries a notice was announced with from memory, before it could be stored; None when it was not."""


class Commit:
    """`write`, then `store_bodies`, run in the writer's thread; `committed_s` (steady) is when `write` was over."""

    def __init__(self, batch: Batch, told: list[Told], clock: Clock, hub: str) -> None:
        """`told` has one entry for each notice of the batch; `hub` is the name in the bodies."""
        self.batch = batch
        self.started_s = clock.time()
        self.committed_s: float | None = None
        self._told = told
        self._clock = clock
        self._hub = hub
        self._fresh: dict[int, list[Delivery]] = {}  # by identity of the notice

    def write(self, session: Session) -> None:
        """Transitions, deliveries without bodies, and states."""
        notices: list[Notice] = []
        deliveries: list[Delivery] = []
        for notice, told in zip(self.batch.notices, self._told, strict=True):
            notices.append(notice if told is None else replace(notice, persisted=False))
            if told is None:
                told = self._fresh[id(notice)] = deliveries_of(notice, b"")
            deliveries += told
        outbox.write(session, notices, deliveries, self.batch.states.values(), wall_offset_s(self._clock))

    def store_bodies(self, session: Session) -> None:
        """After the commit, whose time the bodies tell: a repeat after a crash is the same to the byte."""
        self.committed_s = self._clock.time()
        for notice in self.batch.notices:
            if deliveries := self._fresh.get(id(notice)):
                taken_ms = (self.committed_s - notice.transition.decided_s) * 1000
                body = render(replace(notice, decision_to_commit_ms=taken_ms), self._hub)
                self._fresh[id(notice)] = [replace(delivery, body=body) for delivery in deliveries]
        outbox.store_bodies(session, [delivery for some in self._fresh.values() for delivery in some])

    def deliveries(self, notice: Notice) -> list[Delivery]:
        """What a notice is announced with, once committed."""
        return self._fresh.get(id(notice), [])


def rendered(notice: Notice, hub: str) -> list[Delivery]:
    """The deliveries of a notice, with their body."""
    return deliveries_of(notice, render(notice, hub)) if notice.receivers else []
