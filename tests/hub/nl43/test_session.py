"""What is asked of a meter between polls, in virtual time against a simulated meter."""

import itertools
from typing import Any

import anyio
import pytest

from hub.instruments.setting import Setting
from hub.nl43.commands import SERIAL_NUMBER
from hub.nl43.protocol import Result
from hub.nl43.session import Session
from hub.nl43.settings import SETTINGS
from hub.readings.snapshot import Snapshot, StateChange
from hub.simulators.nl43.waveform import constant
from tests.hub.fake_link import session_of
from tests.hub.meter_link import MeterLink, watched_unit
from tests.virtual_time import START_S, VirtualClock, virtual

ASKED_FOR = [question.line for question in SETTINGS]


def settings_asked(link: MeterLink) -> list[str]:
    return [line for line in link.lines() if line != "Measure?"]


def run_states(events: list[Any]) -> list[tuple[str | None, str | None]]:
    return [(e.old, e.new) for e in events if isinstance(e, StateChange) and e.what == "run_state"]


def share(link: MeterLink, from_s: float, until_s: float) -> float:
    """Polls per second of the cadence of one second."""
    polls = [at for at in link.polls() if START_S + from_s <= at < START_S + until_s]
    return len(polls) / (until_s - from_s)


@virtual
@pytest.mark.parametrize("running", [True, False])
async def test_questions_leave_the_readings_their_cadence_from_the_first_second(running: bool) -> None:
    link = MeterLink(VirtualClock(), gap_s=0.95, running=running)
    async with watched_unit(link, poll={"gap": "950ms"}):
        await anyio.sleep(100)
        assert share(link, 0, 100) >= 0.97
        assert link.lines()[0] == "Measure?"
        await anyio.sleep(3500)
    assert set(ASKED_FOR) <= set(link.lines())
    for minute in range(30, 60):
        others = [line for at, line in link.questions() if 0 <= at - START_S - 60 * minute < 60]
        assert len(others) <= 1
    assert share(link, 1800, 3600) >= 59 / 60


@virtual
async def test_where_a_question_costs_no_poll_the_settings_are_known_within_a_minute() -> None:
    link = MeterLink(VirtualClock(), gap_s=0.0)
    async with watched_unit(link, poll={"gap": "0s"}) as (unit, _):
        await anyio.sleep(60)
        assert share(link, 0, 60) >= 0.99
        assert session_of(unit).meter == "NL-43 00412345"
        assert set(session_of(unit).settings) == {question.name for question in SETTINGS}


@virtual
async def test_the_weighting_of_a_running_meter_is_known_within_seconds() -> None:
    link = MeterLink(VirtualClock(), items=(("Frequency Weighting (Main)", "C"),))
    async with watched_unit(link) as (unit, _):
        await anyio.sleep(10)
        assert session_of(unit).settings["Frequency Weighting (Main)"].value == "C"


@virtual
async def test_nothing_is_ever_written_unless_the_configuration_says_so() -> None:
    link = MeterLink(VirtualClock(), gap_s=0.0, running=False, items=(("Sleep Mode", "On"),))
    async with watched_unit(link, poll={"gap": "0s"}) as (unit, events):
        await anyio.sleep(200)
        link.reconnect()
        await anyio.sleep(200)
        assert not [line for line in link.lines() if not line.endswith("?")]
        assert session_of(unit).is_sleep_mode_on is True
        assert ("sleep_mode", "on") in [(e.what, e.new) for e in events if isinstance(e, StateChange)]


@virtual
async def test_keep_awake_switches_sleep_mode_off_once_no_run_is_on() -> None:
    link = MeterLink(VirtualClock(), gap_s=0.0, items=(("Sleep Mode", "On"),))
    async with watched_unit(link, poll={"gap": "0s"}, keep_awake=True) as (unit, _):
        await anyio.sleep(100)
        assert "Sleep Mode,Off" not in link.lines()
        link.meter.execute("Measure,Stop", link.clock.steady())
        await anyio.sleep(100)
        assert link.lines().count("Sleep Mode,Off") == 1
        assert session_of(unit).is_sleep_mode_on is False


@virtual
async def test_keep_awake_holds_as_soon_as_the_configuration_says_so() -> None:
    link = MeterLink(VirtualClock(), gap_s=0.0, running=False, items=(("Sleep Mode", "On"),))
    async with watched_unit(link, poll={"gap": "0s"}) as (unit, _):
        await anyio.sleep(100)
        assert link.meter["Sleep Mode"] == "On"
        assert unit.configure(unit.config.model_copy(update={"keep_awake": True}))
        await anyio.sleep(10)
        assert link.meter["Sleep Mode"] == "Off"


@virtual
async def test_a_write_that_is_refused_changes_nothing_and_is_not_repeated_at_once() -> None:
    link = MeterLink(VirtualClock(), gap_s=0.0, running=False, items=(("Sleep Mode", "On"),))
    link.unknown = {"Sleep Mode,Off"}
    async with watched_unit(link, poll={"gap": "0s"}, keep_awake=True) as (unit, _):
        await anyio.sleep(600)
        assert link.lines().count("Sleep Mode,Off") == 1
        assert session_of(unit).is_sleep_mode_on is True


@virtual
async def test_a_mere_reconnect_asks_who_the_meter_is_and_ever_more_rarely() -> None:
    link = MeterLink(VirtualClock(), gap_s=0.0)
    async with watched_unit(link, poll={"gap": "0s"}):
        await anyio.sleep(120)
        link.asked.clear()
        link.reconnect()
        await anyio.sleep(60)
        assert settings_asked(link) == ["Serial Number?"]
        link.asked.clear()
        for _ in range(360):
            link.reconnect()
            await anyio.sleep(10)
        assert set(settings_asked(link)) == {"Serial Number?"}
        assert len(settings_asked(link)) <= 6
        assert link.lines().count("Measure?") <= 8


@virtual
async def test_a_swapped_meter_is_noticed_and_asked_for_everything_anew() -> None:
    link = MeterLink(VirtualClock(), gap_s=0.0)
    async with watched_unit(link, poll={"gap": "0s"}) as (unit, events):
        await anyio.sleep(90)
        weighting = (("Frequency Weighting (Main)", "C"),)
        link.meter = link.new_meter(serial_number="00999999", items=weighting)
        link.asked.clear()
        link.reconnect()
        await anyio.sleep(120)
        assert settings_asked(link)[0] == "Serial Number?"
        assert set(ASKED_FOR) <= set(link.lines())
        assert session_of(unit).meter == "NL-43 00999999"
        assert session_of(unit).settings["Frequency Weighting (Main)"].value == "C"
    changes = [(e.what, e.old, e.new) for e in events if isinstance(e, StateChange)]
    assert ("meter", "NL-43 00412345", "00999999") in changes


@virtual
async def test_what_the_meter_refuses_is_not_asked_for_again_before_the_next_day() -> None:
    link = MeterLink(VirtualClock(), gap_s=0.0, running=False)
    link.unknown = {f"Percentile {slot}?" for slot in range(1, 6)}
    async with watched_unit(link, poll={"gap": "0s", "watched": "10s"}) as (unit, _):
        for _ in range(24):
            link.reconnect()
            await anyio.sleep(3600 - 10)
        assert {link.lines().count(line) for line in link.unknown} == {1}
        assert session_of(unit).settings["Percentile 1"].refusal == "R+0001"
        assert session_of(unit).settings["Percentile 1"].value is None


@virtual
async def test_a_meter_without_run_state_is_asked_for_it_ever_less_often_and_its_totals_tell() -> None:
    link = MeterLink(VirtualClock(), gap_s=0.0)
    link.unknown = {"Measure?"}
    async with watched_unit(link, poll={"gap": "0s"}) as (unit, _):
        await anyio.sleep(60)
        assert unit.latest is not None
        assert unit.latest.run_state == "Start"
        await anyio.sleep(3600)
        assert link.lines().count("Measure?") < 10


@virtual
async def test_a_run_state_that_is_refused_leaves_what_the_totals_tell() -> None:
    link = MeterLink(VirtualClock())
    link.unknown = {"Measure?"}
    async with watched_unit(link) as (_, events):
        await anyio.sleep(1800)
        assert run_states(events) == [(None, "Start")]
        link.meter = link.new_meter(running=False)
        await anyio.sleep(600)
    assert run_states(events) == [(None, "Start"), ("Start", None)]


@virtual
async def test_settings_are_asked_for_daily_and_after_a_stop_and_a_start() -> None:
    link = MeterLink(VirtualClock(), gap_s=0.0, running=False)
    async with watched_unit(link, poll={"gap": "0s", "watched": "10s"}):
        await anyio.sleep(300)
        assert sorted(settings_asked(link)) == sorted(ASKED_FOR)
        link.asked.clear()
        await anyio.sleep(80_000)
        assert settings_asked(link) == []
        link.meter.execute("Measure,Start", link.clock.steady())
        await anyio.sleep(400)
        assert sorted(settings_asked(link)) == sorted(set(ASKED_FOR) - {"Type?", "Serial Number?"})
        link.asked.clear()
        await anyio.sleep(6400)
        assert sorted(settings_asked(link)) == ["Serial Number?", "Type?"]


@virtual
async def test_a_stop_is_noticed_at_once_because_the_totals_freeze() -> None:
    link = MeterLink(VirtualClock())
    async with watched_unit(link) as (_, events):
        await anyio.sleep(40)
        link.meter.execute("Measure,Stop", link.clock.steady())
        await anyio.sleep(10)
        assert run_states(events) == [(None, "Start"), ("Start", "Stop")]


@virtual
async def test_a_start_is_noticed_at_once_because_the_totals_move() -> None:
    link = MeterLink(VirtualClock())
    async with watched_unit(link) as (unit, events):
        await anyio.sleep(40)
        link.meter.execute("Measure,Stop", link.clock.steady())
        await anyio.sleep(60)
        began = link.clock.now()
        link.meter.execute("Measure,Start", link.clock.steady())
        await anyio.sleep(6)
        assert run_states(events)[-1] == ("Stop", "Start")
        assert unit.instrument.run_started_at is not None
        assert abs((unit.instrument.run_started_at - began).total_seconds()) <= 2


@virtual
async def test_a_restart_between_two_readings_is_noticed_because_le_comes_nearer_to_leq() -> None:
    link = MeterLink(VirtualClock(), gap_s=0.0)
    async with watched_unit(link, poll={"gap": "0s"}) as (unit, _):
        await anyio.sleep(200)
        link.asked.clear()
        link.meter.execute("Measure,Stop", link.clock.steady())
        link.meter.execute("Measure,Start", link.clock.steady())
        began = link.clock.now()
        await anyio.sleep(4)
        assert link.lines()[0] == "Measure?"
        assert unit.instrument.run_started_at is not None
        assert abs((unit.instrument.run_started_at - began).total_seconds()) <= 2


@virtual
async def test_a_long_quiet_run_is_not_asked_about_more_often() -> None:
    link = MeterLink(VirtualClock(), gap_s=0.0, waveform=constant(40.0))
    async with watched_unit(link, poll={"gap": "0s"}) as (_, events):
        await anyio.sleep(3600)
        assert link.lines().count("Measure?") < 60 * 0.75
        assert run_states(events) == [(None, "Start")]
        readings = [e for e in events if isinstance(e, Snapshot)]
        assert {reading.run_state for reading in readings[1:]} == {"Start"}


@virtual
async def test_the_run_state_is_never_held_longer_than_90_s() -> None:
    link = MeterLink(VirtualClock(), gap_s=0.0, running=False)
    async with watched_unit(link, poll={"gap": "0s"}) as (_, events):
        await anyio.sleep(600)
        readings = [e for e in events if isinstance(e, Snapshot)]
        assert {reading.run_state for reading in readings[1:]} == {"Stop"}
        measured = [at for at, line in link.questions() if line == "Measure?"]
        assert max(b - a for a, b in itertools.pairwise(measured)) <= 90
        link.unknown = {"Measure?"}
        await anyio.sleep(95)
        assert unit_run_state(events) is None


def unit_run_state(events: list[Any]) -> str | None:
    return [e for e in events if isinstance(e, Snapshot)][-1].run_state


@virtual
async def test_a_paused_meter_is_asked_ever_less_often() -> None:
    link = MeterLink(VirtualClock(), gap_s=0.0)
    async with watched_unit(link, poll={"gap": "0s"}) as (unit, _):
        await anyio.sleep(200)
        began = unit.instrument.run_started_at
        link.asked.clear()
        link.meter.execute("Pause,On", link.clock.steady())
        await anyio.sleep(600)
        assert 5 <= link.lines().count("Measure?") <= 15
        link.meter.execute("Pause,Off", link.clock.steady())
        await anyio.sleep(300)
        assert unit.instrument.run_started_at == began


@virtual
async def test_what_was_known_before_a_restart_is_asked_for_again_only_of_another_meter() -> None:
    link = MeterLink(VirtualClock(), gap_s=0.0)
    known = {question.name: Setting("x", START_S - 3600, START_S - 7200) for question in SETTINGS}
    known["Serial Number"] = known["Serial Number"]._replace(value="00412345")
    async with watched_unit(link, poll={"gap": "0s"}) as (unit, _):
        unit.resume(None, known)
        await anyio.sleep(200)
        assert settings_asked(link) == ["Serial Number?"]
        assert session_of(unit).settings["Frequency Weighting (Main)"].since_s == START_S - 7200


def test_a_serial_number_refused_does_not_make_the_meter_unknown() -> None:
    session = Session()
    session.restore([("Serial Number", Setting("1", 0.0, 0.0))])
    session.answered(SERIAL_NUMBER, Result.STATUS, None, 10.0)
    assert (session.meter, session.swaps) == ("1", 0)
    session.answered(SERIAL_NUMBER, Result.NORMAL, "2", 20.0)
    assert (session.meter, session.swaps) == ("2", 1)
