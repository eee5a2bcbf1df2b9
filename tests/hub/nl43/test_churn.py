"""A day with a meter that answers badly, in virtual time: how often it is connected to, and what still works."""

from collections.abc import Callable

import anyio
import pytest

from hub.nl43.config import NL43Config
from hub.nl43.link import Link
from hub.units.monitor import run_unit
from hub.units.unit import Unit
from tests.hub.fake_link import linked
from tests.hub.nl43.scripted_meter import DOD_LINE
from tests.hub.nl43.wire import Arrivals, WiredMeter
from tests.virtual_time import VirtualClock, virtual

DAY_S = 86_400.0
GOOD: Arrivals = [(0.15, b"R+0000\r\n" + DOD_LINE.encode() + b"\r\n")]
GARBAGE: Arrivals = [(0.15, b"garbage\r\n")]
SHORT: Arrivals = [(0.15, b"R+0000\r\n" + DOD_LINE[3:].encode() + b"\r\n")]
CLOSED: Arrivals = [(0.15, b"")]
STOP: Arrivals = [(0.15, b"R+0000\r\nStop\r\n")]

Script = Callable[[int, int, str], Arrivals]


def after(good: int, then: Arrivals) -> Script:
    """Answer `good` polls of each connection, then badly."""
    return lambda connection, n, command: (GOOD if command == "DOD?" else STOP) if n <= good else then


async def live(script: Script, seconds: float, viewers: int = 0) -> tuple[WiredMeter, Unit]:
    """A unit that a rule wants every second."""
    clock = VirtualClock()
    meter = WiredMeter(clock, script)
    config = NL43Config(id="gate", kind="nl43", host="meter")
    link = Link("meter", 2255, clock, open_socket=meter.open_socket)
    unit = Unit(config, clock, lambda event: None, linked(config, link, clock))
    unit.rule_cadence_s = 1.0
    unit.demand_changed()
    for _ in range(viewers):
        unit.add_viewer()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_unit, unit, clock, 0.5)
        await anyio.sleep(seconds)
        tasks.cancel_scope.cancel()
    return meter, unit


@pytest.mark.parametrize(
    "script",
    [
        after(0, []),
        after(0, GARBAGE),
        after(0, SHORT),
        after(0, CLOSED),
        after(1, []),
        after(1, GARBAGE),
        after(3, CLOSED),
    ],
    ids=["mute", "garbage", "short lines", "closes", "mute after one", "garbage after one", "closes after three"],
)
@virtual
async def test_a_meter_that_answers_badly_is_connected_to_ever_more_rarely_though_a_rule_wants_it(
    script: Script,
) -> None:
    meter, unit = await live(script, DAY_S)
    assert 200 < meter.connections < 500
    assert unit.latest is None or unit.latest.reading.value("lp") == 45.8


@virtual
async def test_a_meter_that_fails_every_half_minute_is_connected_to_about_once_a_minute() -> None:
    meter, _ = await live(after(25, CLOSED), DAY_S / 8)
    assert 100 < meter.connections < 1500 / 8


@virtual
async def test_who_looks_at_the_unit_shortens_the_pauses() -> None:
    meter, _ = await live(after(0, []), 3600.0)
    watched, _ = await live(after(0, []), 3600.0, viewers=1)
    assert watched.connections > 2 * meter.connections


@pytest.mark.parametrize("answer", [[], GARBAGE, GOOD], ids=["none", "garbage", "levels"])
@virtual
async def test_a_question_that_fails_again_and_again_is_asked_ever_more_rarely_and_costs_no_connection(
    answer: Arrivals,
) -> None:
    meter, unit = await live(lambda connection, n, command: GOOD if command == "DOD?" else answer, 3600.0)
    questions = [command for _, command in meter.commands if command != "DOD?"]
    assert meter.connections == 1
    assert unit.polls["ok"] > 0.9 * 3600 / 1.2
    assert len(questions) < 100
    assert questions.count("Measure?") < 20
