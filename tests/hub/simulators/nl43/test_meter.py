"""The meter without I/O: command lines, answers, and time as a number."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.nl43.fields import parse_dlc, parse_dod, parse_drd
from hub.simulators.nl43.items import plain_items
from hub.simulators.nl43.meter import Answer, Meter
from hub.simulators.nl43.options import MeterOptions
from hub.simulators.nl43.waveform import constant, steps

WALL = datetime(2025, 12, 24, 2, 10, 55)  # noqa: DTZ001  the meter knows no zone


def a_meter(*lines: str, options: MeterOptions | None = None) -> Meter:
    meter = Meter(options or MeterOptions(wall=WALL), 0.0)
    for line in lines:
        assert meter.execute(line, 0.0).code == 0
    return meter


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("$Measure,Start", 1),
        ("$Measure, Start", 1),
        ("$Measure,1", 1),
        ("ManualStore", 1),
        ("ManualStore,Start", 1),
        ("Manual Store", 1),
        ("Reset", 1),
        ("Reset,On", 1),
        ("Store  Name?", 1),
        (" DOD?", 1),
        ("", 1),
        ("?", 1),
        ("Clock,2025/12/24,01:13:57", 2),
        ("Clock,2099/12/24 01:13:57", 2),
        ("Store Name,19", 2),
        ("Percentile 1,100", 2),
        ("Measure,Go", 2),
        ("Frequency Weighting,B", 2),
        ("Manual Store?", 3),
        ("DOD,1", 3),
        ("Battery Level,Full", 3),
        ("Measure,Stop", 4),
        ("Pause,On", 4),
        ("Manual Store,Start", 4),
    ],
)
def test_a_refusal_has_its_code_and_no_data(line: str, code: int) -> None:
    assert a_meter().execute(line, 0.0) == Answer(code)


@pytest.mark.parametrize(
    "line", ["Manual Store,Start", "Sleep Mode,On", "Measure,Start", "Store Name,0020", "Clock,2025/12/24 01:13:57"]
)
def test_while_measuring_the_meter_refuses_to_be_changed(line: str) -> None:
    assert a_meter("Measure,Start").execute(line, 1.0) == Answer(4)


@pytest.mark.parametrize(
    ("line", "data"),
    [
        ("Measure?", "Stop"),
        ("clock?", "2025/12/24 02:10:55"),
        ("BATTERY LEVEL?", "Full"),
        ("Frequency Weighting (Main)?", "A"),
        ("Frequency Weighting?", "A"),
        ("Time Weighting (Main)?", "F"),
        ("Type?", "NL-43"),
        ("FTP?", "On"),
        ("Sleep Mode?", "Off"),
        ("Percentile 5?", "95"),
        ("Store Name?", "0000"),
        ("Overwrite?", "None"),
    ],
)
def test_a_request_has_one_data_line(line: str, data: str) -> None:
    assert a_meter().execute(line, 0.0) == Answer(0, data)


@pytest.mark.parametrize("line", ["Store Name,0019", "store name, 0019"])
def test_a_setting_is_kept_in_any_case_and_with_a_blank(line: str) -> None:
    assert a_meter(line).execute("Store Name?", 0.0) == Answer(0, "0019")


def test_the_clock_runs_from_where_it_is_set() -> None:
    meter = a_meter("Clock,2026/01/01 00:00:00")
    assert meter.execute("Clock?", 61.0).line == "2026/01/01 00:01:01"


def test_before_any_run_only_lp_is_shown() -> None:
    line = a_meter().dod_line(5.0)
    assert line == " 45.8," + "  -.-," * 13 + "0,0" + (",  -.-" * 14 + ",-,-") * 3
    assert len(line) == 351


def test_a_stopped_run_keeps_its_result_while_lp_moves_on() -> None:
    meter = a_meter(options=MeterOptions(waveform=steps([(0.0, 43.7), (12.0, 46.2)])))
    meter.execute("Measure,Start", 0.0)
    meter.execute("Measure,Stop", 10.0)
    reading = parse_dod(meter.dod_line(20.0))
    assert (reading.lp, reading.leq, reading.le, reading.lmax, reading.ln5) == (46.2, 43.7, 53.7, 43.7, 43.7)
    assert (reading.lieq, reading.leq_mov, reading.ltm5) == (None, None, None)
    final = parse_dlc(meter.dod_line(20.0, final=True))
    assert final.lp is None
    assert final[1:14] == reading[1:14]


def test_a_run_stops_by_itself_and_can_be_stored_once() -> None:
    meter = a_meter("Measurement Time Preset Manual,10s", "Store Name,0019", "Measure,Start")
    assert meter.execute("Measure?", 9.9).line == "Start"
    assert meter.execute("Manual Store,Start", 9.9).code == 4
    assert meter.execute("Measure?", 10.1).line == "Stop"
    assert meter.execute("Measure,Stop", 10.2).code == 4
    assert meter.execute("Overwrite?", 10.3).line == "None"
    assert meter.execute("Manual Store,Start", 10.4).code == 0
    assert meter.execute("Overwrite?", 10.5).line == "Exist"
    assert meter.execute("Manual Store,Start", 10.6).code == 4


def test_auto_store_uses_its_name_at_once() -> None:
    meter = a_meter("Store Mode,Auto", "Measure,Start")
    assert meter.execute("Overwrite?", 1.0).line == "Exist"
    meter.execute("Measure,Stop", 2.0)
    assert meter.execute("Manual Store,Start", 3.0).code == 4


def test_a_new_run_forgets_the_one_before() -> None:
    meter = a_meter(options=MeterOptions(waveform=constant(90.0), running=True))
    meter.execute("Measure,Stop", 10.0)
    meter.set_waveform(50.0, 10.0)
    meter.execute("Measure,Start", 10.0)
    assert parse_dod(meter.dod_line(11.0)).lmax == 50.0


def test_a_level_set_by_hand_counts_from_that_moment() -> None:
    meter = a_meter(options=MeterOptions(waveform=constant(50.0), running=True))
    meter.set_waveform(80.0, 10.0)
    reading = parse_dod(meter.dod_line(20.0))
    assert (reading.lp, reading.lmax, reading.lmin) == (80.0, 80.0, 50.0)
    assert reading.leq == pytest.approx(77.0, abs=0.05)


def test_display_switches_blank_their_field_alone() -> None:
    meter = a_meter("Measure,Start", "Display Lmax,Off", "Display LIeq,On")
    reading = parse_dod(meter.dod_line(3.0))
    assert (reading.lmax, reading.lmin) == (None, 45.8)
    assert reading.lieq is not None


def test_sub_channels_appear_when_they_are_switched_on() -> None:
    fields = a_meter("Measure Display Sub Channel 2,On").dod_line(1.0).split(",")
    assert len(fields) == 64
    assert [fields[16], fields[32].strip(), fields[46], fields[48]] == ["  -.-", "39.8", "0", "  -.-"]


def test_flags_follow_the_level_unless_forced() -> None:
    meter = a_meter(options=MeterOptions(waveform=constant(141.0)))
    assert (parse_dod(meter.dod_line(0.0)).over, parse_dod(meter.dod_line(0.0)).under) == (True, False)
    meter.over, meter.under = False, True
    assert (parse_dod(meter.dod_line(0.0)).over, parse_dod(meter.dod_line(0.0)).under) == (False, True)


def test_pause_stops_the_totals_but_not_the_run() -> None:
    meter = a_meter("Measure,Start")
    assert meter.execute("Pause,On", 1.0).code == 0
    assert (meter.execute("Pause?", 1.0).line, meter.execute("Measure?", 1.0).line) == ("On", "Start")
    meter.set_waveform(99.0, 2.0)
    assert parse_dod(meter.dod_line(5.0)).lmax == 45.8
    meter.execute("Pause,Off", 6.0)
    assert parse_dod(meter.dod_line(7.0)).lmax == 99.0


def test_a_stream_line_has_33_fields_and_no_totals() -> None:
    line = a_meter().drd_line(91, 5.0)
    assert len(line) == 163
    reading = parse_drd(line)
    assert (reading.counter, reading.lp, reading.lieq) == (91, 45.8, None)


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ((), 0),
        (("Store Mode,Auto",), 0),
        (("Store Mode,Auto", "Lp Store Interval,1s"), 4),
        (("Lp Store Interval,1s",), 0),
        (("Wave Rec Mode,On",), 4),
    ],
)
def test_a_stream_needs_the_right_store_mode(lines: tuple[str, ...], code: int) -> None:
    assert a_meter(*lines).execute("DRD?", 0.0) == Answer(code, streams=code == 0)


def test_the_status_stream_adds_what_it_knows_of_the_meter() -> None:
    meter = a_meter("Measure,Start")
    assert meter.execute("DRD?status", 1.0) == Answer(0, streams=True)
    assert meter.status_fields(1.0) == ",2025/12/24 02:10:56,E,F,29862,M"
    assert meter.execute("DRD?nonsense", 1.0).code == 2


@pytest.mark.parametrize(
    ("line", "reachable"), [("TCP,Off", False), ("Web,On", False), ("USB Class,CDC", False), ("FTP,Off", True)]
)
def test_settings_that_stop_the_control_port(line: str, reachable: bool) -> None:
    assert a_meter(line).is_reachable is reachable
    assert a_meter(line).has_ftp is (line == "TCP,Off")


def test_items_can_start_with_another_value() -> None:
    meter = a_meter(options=MeterOptions(items=(("Battery Level", "Low"),)))
    assert meter.execute("Battery Level?", 0.0).line == "Low"


NAMES = st.sampled_from(["DOD", "Measure", "Pause", "Clock", "Manual Store", *plain_items("NL-43", "1")]) | st.text(
    max_size=9
)


@given(
    NAMES, st.sampled_from(["?", ",", ", ", ""]), st.text(max_size=9) | st.sampled_from(["On", "Start", "5", "10s"])
)
def test_any_line_has_an_answer(name: str, mark: str, param: str) -> None:
    meter = a_meter()
    for line in (f"{name}{mark}{param}", "Measure,Start", f"{name}{mark}{param}"):
        answer = meter.execute(line, 1.0)
        assert 0 <= answer.code <= 4
        assert answer.line is None or (answer.code == 0 and "?" in line)
