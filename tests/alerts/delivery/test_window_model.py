"""The window against a model of SQL, whatever is offered, loaded, answered, held, replayed and restarted.

No delivery is lost, every alert arrives in order, the receiver takes none twice, and the window keeps its bound.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

import hypothesis.strategies as st
from hypothesis import given, settings

from alerts.config.rule import Receiver
from alerts.delivery.answers import Delivered, Gone, Outcome, Refused, Retry, Wait
from alerts.delivery.window import Load, State, Window
from alerts.model.delivery import Delivery, DeliveryState, Place
from tests.alerts.fakes import START

KINDS: list[dict[str, object]] = [
    {},
    {"rate_limit": "20/min"},
    {"group_by": ["site"], "group_wait": "2s", "group_interval": "5s"},
]
ALERTS = 5
DOCUMENT = '{"type":"alert.level","alert":{"labels":{"site":"dock"}}}'


class Sql:
    """The rows of one receiver, and the marks of the ledger that are not written yet."""

    def __init__(self) -> None:
        self.rows: dict[str, Delivery] = {}
        self.is_held = self.is_down = False
        self.marks: dict[str, Delivery] = {}
        self.change: str | None = None

    def note(self, marks: Iterable[Delivery]) -> None:
        for mark in marks:
            self.marks[mark.id] = mark

    def flush(self) -> bool:
        if self.is_down:
            return False
        self.rows |= self.marks
        self.marks.clear()
        if self.change is not None:
            self.is_held = self.change == "hold"
            self.move(*(("pending", "held") if self.is_held else ("held", "pending")))
        self.change = None
        return True

    def store(self, deliveries: Iterable[Delivery]) -> None:
        for delivery in deliveries:
            self.rows.setdefault(delivery.id, delivery)

    def move(self, source: str, target: str) -> None:
        for row in self.rows.values():
            if row.state == source:
                self.rows[row.id] = replace(row, state=DeliveryState(target))

    def replay(self) -> None:
        self.is_held = False
        for row in self.rows.values():
            if row.state == DeliveryState.HELD:
                fresh = replace(row, state=DeliveryState.PENDING, attempts=0, first_at=None, next_at=None)
                self.rows[row.id] = fresh

    def read(self, load: Load) -> tuple[list[Delivery], Place | None] | None:
        if self.is_held:
            self.move("pending", "held")
            return None
        pending = sorted(
            (r for r in self.rows.values() if r.state == "pending"), key=lambda r: (r.created_at, r.id)
        )
        found = [row for row in pending if (row.created_at, row.id) > load.after][: load.limit]
        reached = (found[-1].created_at, found[-1].id) if len(found) == load.limit else None
        if reached is not None:
            for row in found:  # grows
                found += [other for other in pending if other not in found and is_before(other, row)]
        return found, reached

    def members_of(self, digest: Delivery) -> list[Delivery]:
        rows = [row for row in self.rows.values() if row.digest_id == digest.id]
        return sorted(rows, key=lambda row: (row.alert_id or "", row.sequence)) if self.flush() else []


def is_before(one: Delivery, other: Delivery) -> bool:
    return any(first < other.alerts.get(alert_id, (0, 0))[0] for alert_id, (first, _) in one.alerts.items())


class Model:
    """A window with all that is round it; each event takes a number that says which or how much."""

    def __init__(self, kind: dict[str, object], room: int) -> None:
        self.receiver = Receiver.model_validate({"name": "ops", "url": "http://x/", **kind})
        self.room, self.now_s, self.sql = room, 0.0, Sql()
        self.sequences: Counter[str] = Counter()
        self.uncommitted: list[tuple[Delivery, bool]] = []  # with whether it has been announced
        self.inside: dict[str, list[tuple[str, int]]] = {}
        self.took: dict[str, list[int]] = {}
        self.open()

    def open(self) -> None:
        self.window = Window(self.receiver, "site", self.room)
        self.forget()

    def forget(self) -> None:
        self.out: list[Delivery] = []
        self.to_store: list[Delivery] = []  # digests
        self.to_split: list[Delivery] = []
        self.reads: list[tuple[Load, tuple[list[Delivery], Place | None] | None]] = []

    @property
    def now(self) -> datetime:
        return START + timedelta(seconds=self.now_s)

    @property
    def under_way(self) -> list[Delivery]:
        return [*self.out, *self.to_store, *self.to_split]

    def decide(self, number: int) -> None:
        """Deliveries of one to three alerts; without a database they are announced before they are stored."""
        some = []
        for alert in {f"a{number % ALERTS}", f"a{number % 3}", "a0"} if number % 2 else {f"a{number % ALERTS}"}:
            self.sequences[alert] += 1
            sequence, at = self.sequences[alert], self.now + timedelta(seconds=(0, 1, -30)[number % 3])
            id_ = f"{alert}-{sequence}"
            some.append(Delivery(id_, "ops", "alert.level", at, b"", alert, sequence, document=DOCUMENT))
        self.uncommitted += [(one, False) for one in some]
        if self.sql.is_down:
            fresh = [one for one, is_announced in self.uncommitted if not is_announced]
            self.sql.note(self.window.offered(fresh, False, self.now_s, self.now))
            self.uncommitted = [(one, True) for one, _ in self.uncommitted]
        else:
            self.commit(number)

    def commit(self, number: int) -> None:
        """Store what was decided, in its order, some at a time; announce it then, unless it was before."""
        if self.sql.is_down:
            return
        count = 1 + number % 4 if number else len(self.uncommitted)
        batch, self.uncommitted = self.uncommitted[:count], self.uncommitted[count:]
        self.sql.store(one for one, _ in batch)
        fresh = [one for one, is_announced in batch if not is_announced]
        self.sql.note(self.window.offered(fresh, True, self.now_s, self.now))
        if len(fresh) < len(batch):
            self.window.look_again()
            if self.window.state is State.HELD:
                self.sql.change = "hold"

    def database(self, number: int) -> None:
        self.sql.is_down = not self.sql.is_down and number < 60

    def flush(self, number: int) -> None:
        self.sql.flush()

    def load(self, number: int) -> None:
        load = self.window.load(self.now_s)
        if load is not None and not self.sql.flush():
            self.window.load_failed(load, self.now_s)
        elif load is not None:
            self.reads.append((load, self.sql.read(load)))

    def loaded(self, number: int) -> None:
        if not self.reads:
            return
        load, page = self.reads.pop(number % len(self.reads))
        if number % 5 == 4:
            self.window.load_failed(load, self.now_s)
        elif page is None:
            self.window.found_held(load)
        else:
            self.window.loaded(load, *page, self.now_s, self.now)

    def send(self, number: int) -> None:
        while len(self.under_way) <= number % 8:
            send = self.window.next(self.now_s, self.now)
            if send is None:
                return
            one = send.delivery
            assert not {alert for other in self.under_way for alert in other.alerts} & set(one.alerts)
            self.sql.note(send.writes)
            inside = list(one.members) or [(one.alert_id or "", one.sequence)]
            assert sorted(self.inside.setdefault(one.id, inside)) == sorted(inside)
            (self.to_store if send.is_new_digest else self.out).append(one)

    def stored(self, number: int) -> None:
        if not self.to_store:
            return
        digest = self.to_store.pop()
        self.sql.flush()
        if self.window.state is State.HELD:
            self.window.untried(digest, self.now_s)
        else:
            self.out.append(digest)

    def answer(self, number: int) -> None:
        if not self.out:
            return
        one, outcome = self.out.pop(number % len(self.out)), OUTCOMES[number % len(OUTCOMES)]
        if isinstance(outcome, Delivered):
            for alert_id, sequence in self.inside[one.id]:
                self.took.setdefault(alert_id, []).append(sequence)
        fate = self.window.answered(one, outcome, self.now, 0.1, self.now_s, self.now, 0.5)
        self.sql.note([fate.delivery])
        if isinstance(outcome, Gone):
            self.sql.change = "hold"
        if fate.is_to_split:
            self.to_split.append(fate.delivery)

    def split(self, number: int) -> None:
        if self.to_split:
            digest = self.to_split.pop()
            self.sql.note(self.window.split(digest, self.sql.members_of(digest), self.now_s, self.now))

    def replay(self, number: int) -> None:
        """What is decided and written between the replay in SQL and its notice is not lost."""
        if self.sql.is_down:
            return
        self.sql.replay()
        if number % 2:
            self.decide(number)
            self.sql.flush()
        self.sql.change = "release"
        self.window.resumed()

    def tick(self, number: int) -> None:
        self.now_s += (1.0, 6.0, 60.0, 600.0)[number % 4]

    def crash(self, number: int) -> None:
        self.window.restarted(self.now_s)
        self.forget()

    def restart(self, number: int) -> None:
        if not self.sql.is_down:
            self.commit(0)
            self.sql.flush()
            self.open()

    def check(self) -> None:
        largest = max((len(inside) for inside in self.inside.values()), default=0)
        assert self.window.weight <= max(self.room, largest)
        for sequences in self.took.values():
            assert sequences == list(range(1, len(sequences) + 1))
        if self.window.state is State.SYNCED:
            rows = self.sql.rows | self.sql.marks
            pending = [row for row in rows.values() if row.state == DeliveryState.PENDING]
            assert {row.id for row in pending if row not in self.window} <= {one.id for one, _ in self.uncommitted}

    def end(self) -> None:
        """All is well from now on: everything gets through."""
        self.database(99)
        self.commit(0)
        self.replay(0)
        while True:
            self.load(0)
            while self.reads:
                self.loaded(0)
            while self.to_split:
                self.split(0)
            self.send(7)
            while self.to_store:
                self.stored(0)
            while self.out:
                self.answer(0)
            wakes_at_s = self.window.wakes_at_s(self.now_s)
            if wakes_at_s is None:
                break
            self.now_s = max(self.now_s + 0.001, wakes_at_s)
            assert self.now_s < 1e6, "something waits for ever"


OUTCOMES: list[Outcome] = [
    *[Delivered(204)] * 9,
    Retry("refused"),
    Refused("HTTP 413", 413),
    Refused("HTTP 404", 404),
    Wait("HTTP 503", 503, 3.0),
    Gone(),
]
OFTEN = [Model.send, Model.answer, Model.load, Model.tick]
SOMETIMES = [Model.decide, Model.commit, Model.loaded, Model.stored, Model.split]
EVENTS = [*OFTEN * 4, *SOMETIMES * 2, Model.flush, Model.replay, Model.database, Model.crash, Model.restart]


@settings(max_examples=150, deadline=None)
@given(kind=st.sampled_from(KINDS), room=st.sampled_from([1, 3, 8, 20]), seed=st.integers(0, 2**32))
def test_whatever_happens_every_delivery_arrives_once_and_in_order_and_the_window_keeps_its_bound(
    kind: dict[str, object], room: int, seed: int
) -> None:
    chance, model = Random(seed), Model(kind, room)
    for _ in range(150):
        chance.choice(EVENTS)(model, chance.randrange(100))
        model.check()
    model.end()
    assert model.took == {alert: list(range(1, most + 1)) for alert, most in model.sequences.items()}
    assert model.window.state is State.SYNCED
    assert model.sql.flush()
    assert {row.state for row in model.sql.rows.values()} <= {"delivered", "digested", "split"}
