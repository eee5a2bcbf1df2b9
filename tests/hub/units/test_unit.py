import itertools
from contextlib import suppress
from functools import partial
from typing import Any

import anyio
import pytest
from structlog.testing import capture_logs

from alerts.model.sample import Value
from hub.instruments.exchange import LinkDown, Priority, Refused
from hub.nl43.commands import Command
from hub.nl43.config import NL43Config
from hub.nl43.dialogue import Answer
from hub.nl43.instrument import NL43Instrument
from hub.nl43.link import Link
from hub.nl43.protocol import Result
from hub.readings.samples import UnitSampler
from hub.readings.snapshot import Event, Failure, FeedStatus, PollFailure, Snapshot, StateChange
from hub.runtime.clock import Clock
from hub.units.monitor import run_unit
from hub.units.unit import Unit
from tests.hub.fake_link import READING, FakeLink, linked
from tests.hub.nl43.scripted_meter import DOD_LINE
from tests.hub.nl43.wire import Arrivals, WiredMeter
from tests.virtual_time import VirtualClock, virtual

MONITOR = Priority.MONITOR


def new_unit(link: FakeLink, first_sequence: int = 1, **config: Any) -> tuple[Unit, list[Event]]:
    events: list[Event] = []
    config = {"id": "gate-a", "host": "meter", **config}
    unit_config = NL43Config(**config)
    return Unit(
        unit_config, link.clock, events.append, linked(unit_config, link, link.clock), first_sequence
    ), events


def changes(events: list[Event]) -> list[tuple[str, str | None, str | None, str | None]]:
    return [(e.what, e.old, e.new, e.reason) for e in events if isinstance(e, StateChange)]


@virtual
async def test_readings_are_numbered_without_a_hole() -> None:
    unit, events = new_unit(FakeLink(VirtualClock()), first_sequence=1 << 32)
    for _ in range(3):
        await unit.poll(MONITOR)
    assert [e.sequence for e in events if isinstance(e, Snapshot)] == [(1 << 32) + n for n in range(3)]


@virtual
async def test_a_reading_is_stamped_at_its_receipt() -> None:
    link = FakeLink(VirtualClock(), latency_s=0.25)
    unit, _ = new_unit(link)
    began = link.clock.now()
    snapshot = await unit.poll(MONITOR)
    assert (snapshot.at - began).total_seconds() == pytest.approx(0.25)


@virtual
@pytest.mark.parametrize(
    ("latency_s", "gap", "cadence_s"), [(0.2, "0s", 1.0), (0.2, "2.5s", 2.7), (1.2, "1s", 2.2), (8.0, "0s", 8.0)]
)
async def test_a_reading_tells_how_soon_the_next_can_be_had(latency_s: float, gap: str, cadence_s: float) -> None:
    unit, _ = new_unit(FakeLink(VirtualClock(), latency_s), poll={"idle": "1s", "gap": gap})
    assert (await unit.poll(MONITOR)).cadence_s == pytest.approx(cadence_s)


@virtual
async def test_a_meter_that_is_slow_now_and_then_fills_its_windows() -> None:
    clock, numbers = VirtualClock(), itertools.count(1)
    replies = {"DOD?": DOD_LINE, "Measure?": "Start"}

    def slow_once_in_twenty(connection: int, number: int, command: str) -> Arrivals:
        reply = f"R+0000\r\n{replies[command]}\r\n" if command in replies else "R+0001\r\n"
        return [(0.2 if next(numbers) % 20 else 2.0, reply.encode())]

    meter = WiredMeter(clock, slow_once_in_twenty)
    link = Link("meter", 2255, clock, gap_s=0.2, open_socket=meter.open_socket)
    sampler, levels = UnitSampler("gate-a", frozenset({"laeq_1m"})), list[Value]()
    config = NL43Config(id="gate-a", host="meter", poll={"gap": "200ms"})
    connect = linked(config, link, clock)
    unit = Unit(config, clock, lambda event: levels.extend(s.value for s in sampler.samples(event)), connect)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_unit, unit, clock, 0.0)
        with unit.watch(1):
            await anyio.sleep(600)
        tasks.cancel_scope.cancel()
    assert set(levels[100:]) == {45.8}


@virtual
async def test_three_failed_polls_make_a_unit_unreachable_and_one_reading_brings_it_back() -> None:
    link = FakeLink(VirtualClock())
    unit, events = new_unit(link)
    await unit.poll(MONITOR)
    link.failure = Failure.REFUSED
    for reachable in (True, True, False, False):
        with pytest.raises(LinkDown):
            await unit.poll(MONITOR)
        assert unit.reachable is reachable
    assert (unit.status, unit.frame()["reason"]) == (FeedStatus.UNREACHABLE, "refused")
    link.failure = None
    await unit.poll(MONITOR)
    assert changes(events) == [
        ("reachability", None, "reachable", None),
        ("reachability", "reachable", "unreachable", "refused"),
        ("reachability", "unreachable", "reachable", None),
    ]
    assert [e.reachable for e in events if isinstance(e, PollFailure)] == [True, True, False, False]
    assert unit.frame()["feed_status"] == "ok"


@virtual
async def test_the_log_says_once_of_what_kind_and_how_a_unit_became_unreachable() -> None:
    link = FakeLink(VirtualClock())
    unit, _ = new_unit(link)
    link.failure = Failure.REFUSED
    with capture_logs() as lines:
        for _ in range(5):
            with pytest.raises(LinkDown) as down:
                await unit.poll(MONITOR)
    assert lines == [
        {
            "event": "unit unreachable",
            "log_level": "warning",
            "unit": "gate-a",
            "reason": "refused",
            "detail": down.value.detail,
        }
    ]
    assert down.value.detail


@virtual
@pytest.mark.parametrize("offline_after", [1, 3])
async def test_a_poll_that_fails_because_the_hub_stood_still_says_nothing_of_the_meter(offline_after: int) -> None:
    link = FakeLink(VirtualClock())
    unit, events = new_unit(link, offline_after=offline_after)
    await unit.poll(MONITOR)
    await anyio.sleep(45)
    link.clock.resumed_s = link.clock.steady()
    link.failure = Failure.MUTE
    with pytest.raises(LinkDown):
        await unit.poll(MONITOR)
    assert (unit.reachable, unit.failures_in_a_row) == (True, 0)
    assert not any(isinstance(e, PollFailure) for e in events)
    for failures in range(1, offline_after + 1):
        with pytest.raises(LinkDown):
            await unit.poll(MONITOR)
        assert unit.failures_in_a_row == failures
        assert unit.reachable is (failures < offline_after)


@virtual
async def test_a_failed_poll_of_a_stale_unit_makes_it_unreachable_at_once() -> None:
    link = FakeLink(VirtualClock())
    unit, _ = new_unit(link)
    await unit.poll(MONITOR)
    await anyio.sleep(40)
    link.failure = Failure.MUTE
    with pytest.raises(LinkDown):
        await unit.poll(MONITOR)
    assert unit.reachable is False


@virtual
async def test_after_a_restart_or_a_release_one_failed_poll_does_not_make_a_unit_unreachable() -> None:
    link = FakeLink(VirtualClock(), latency_s=40.0)
    unit, _ = new_unit(link)
    await unit.poll(MONITOR)
    unit.release(True)
    unit.release(False)
    link.failure = Failure.TIMEOUT
    for reachable in (None, None, False):
        with pytest.raises(LinkDown):
            await unit.poll(MONITOR)
        assert unit.reachable is reachable


@virtual
async def test_a_unit_never_heard_of_is_neither_reachable_nor_not() -> None:
    unit, _ = new_unit(FakeLink(VirtualClock()))
    assert unit.reachable is None
    frame = unit.frame()
    assert (frame["sequence"], frame["lp"], frame["age_s"]) == (None, None, None)
    assert (unit.status, frame["feed_status"]) == (FeedStatus.STALE, "stale")


@virtual
async def test_of_a_released_unit_nobody_knows_whether_it_can_be_reached() -> None:
    link = FakeLink(VirtualClock())
    unit, _ = new_unit(link, offline_after=1)
    for failure, known in ((None, True), (Failure.REFUSED, False)):
        link.failure = failure
        with suppress(LinkDown):
            await unit.poll(MONITOR)
        assert unit.reachable is known
        unit.release(True)
        assert {unit.reachable, unit.frame().get("reason")} == {None}
        unit.release(False)


@virtual
async def test_a_refusal_stores_nothing_and_is_no_failure() -> None:
    link = FakeLink(VirtualClock())
    link.result = Result.STATUS
    unit, events = new_unit(link)
    with pytest.raises(Refused) as refused:
        await unit.poll(MONITOR)
    assert refused.value.code == "R+0004"
    assert (events, unit.failures_in_a_row, unit.polls["refusal"]) == ([], 0, 1)


@virtual
async def test_the_run_state_has_an_age_and_an_observed_start() -> None:
    link = FakeLink(VirtualClock())
    unit, events = new_unit(link)

    async def poll_and_ask() -> Snapshot:
        await unit.poll(MONITOR)
        await unit.ask_questions(MONITOR)
        return await unit.poll(MONITOR)

    link.answers["Measure?"] = "Stop"
    first = await poll_and_ask()
    assert (first.run_state, first.run_started_at, first.quality) == ("Stop", None, ("frozen",))
    link.answers["Measure?"] = "Start"
    link.latency_s = 75.0
    await unit.poll(MONITOR)
    link.latency_s = 0.1
    second = await poll_and_ask()
    assert second.run_state == "Start"
    assert second.run_started_at is not None
    link.latency_s = 100.0
    third = await unit.poll(MONITOR)
    assert (third.run_state, third.quality) == (None, ("unknown_run",))
    assert ("run_state", "Stop", "Start", None) in changes(events)


@virtual
async def test_a_lost_reply_to_the_run_state_invents_nothing() -> None:
    link = FakeLink(VirtualClock())
    unit, _ = new_unit(link)
    await unit.poll(MONITOR)
    link.failure = Failure.MUTE
    await unit.ask_questions(MONITOR)
    link.failure = None
    assert (await unit.poll(MONITOR)).run_state is None


@virtual
async def test_a_question_is_at_most_every_third_command() -> None:
    link = FakeLink(VirtualClock(), latency_s=1.0)
    unit, _ = new_unit(link)
    for _ in range(60):
        await unit.poll(MONITOR)
        await unit.ask_questions(MONITOR)
    lines = [line for _, line, _ in link.asked]
    questions = [index for index, line in enumerate(lines) if line != "DOD?"]
    assert lines[0] == "DOD?"
    assert min(b - a for a, b in itertools.pairwise(questions)) >= 3
    assert {"Measure?", "Frequency Weighting (Main)?"} <= set(lines)


@virtual
@pytest.mark.parametrize("bad", ["Measure?", "Sleep Mode?"])
async def test_a_question_that_costs_the_connection_each_time_is_asked_ever_less_often(bad: str) -> None:
    class Fragile(FakeLink):
        """Loses its connection over one question, and has a new one for the next poll."""

        async def request(self, command: Command, *how: Any, **more: Any) -> Answer[Any]:
            self.failure = Failure.MUTE if command.line == bad else None
            try:
                return await super().request(command, *how, **more)
            except LinkDown:
                self.connects += 1
                raise
            finally:
                self.failure = None

    link = Fragile(VirtualClock(), latency_s=1.0)
    unit, _ = new_unit(link)
    for _ in range(1800):
        await unit.poll(MONITOR)
        await unit.ask_questions(MONITOR)
    lines = [line for _, line, _ in link.asked]
    assert 2 <= lines.count(bad) < 10
    assert {"Measure?", "Sleep Mode?", "Percentile 5?"} <= set(lines)


@virtual
async def test_the_frame_tells_its_age_and_hides_the_raw_line_from_viewers() -> None:
    link = FakeLink(VirtualClock())
    unit, _ = new_unit(link)
    await unit.poll(MONITOR)
    link.failure = Failure.MUTE
    link.latency_s = 45.0
    with pytest.raises(LinkDown):
        await unit.poll(MONITOR)
    unit.reachable = True
    frame = unit.frame(dropped=3)
    assert (frame["age_s"], frame["feed_status"], frame["dropped"], frame["raw_payload"]) == (45.0, "stale", 3, "")
    assert unit.frame(with_raw=True)["raw_payload"] == READING.raw


@pytest.mark.anyio
async def test_asking_while_the_link_pauses_is_no_failed_poll() -> None:
    clock = Clock()
    events: list[Event] = []
    config = NL43Config(id="gate-a", host="127.0.0.1", port=1)
    unit = Unit(config, clock, events.append, partial(NL43Instrument, config, clock))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(unit.instrument.run)
        for _ in range(4):
            with pytest.raises(LinkDown):
                await unit.poll(MONITOR)
        tasks.cancel_scope.cancel()
    assert (unit.reachable, unit.failures_in_a_row, unit.polls["refused"]) == (None, 1, 1)
    assert len([e for e in events if isinstance(e, PollFailure)]) == 1
