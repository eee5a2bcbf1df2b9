"""The columns of captured lines."""

import math
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.nl43 import fields
from hub.nl43.fields import FieldError, RunState, parse_dlc, parse_dod, parse_drd
from hub.nl43.protocol import ProtocolError
from hub.readings.reading import LEVEL_NAMES

SUB_DOD = ("," + ",".join(["  -.-"] * 14 + ["-", "-"])) * 3
SUB_DRD = ("," + ",".join(["  -.-"] * 6 + ["-", "-"])) * 3

NEVER_MEASURED = " 45.8," + "  -.-," * 13 + "0,0" + SUB_DOD
AFTER_A_RUN = " 46.2, 43.7, 53.7, 44.1, 43.4, 44.2, 44.2, 43.7, 43.4, 43.3, 59.0,  -.-,  -.-,  -.-,0,0" + SUB_DOD
DLC = "  -.-, 43.7, 53.7, 44.1, 43.4, 44.2, 44.2, 43.7, 43.4, 43.3, 59.0,  -.-,  -.-,  -.-,0,0" + SUB_DOD


def test_a_dod_line_before_any_run_has_only_lp() -> None:
    assert len(NEVER_MEASURED) == 351
    reading = parse_dod(NEVER_MEASURED)
    assert reading[:14] == (45.8, *[None] * 13)
    assert (reading.over, reading.under, reading.raw) == (False, False, NEVER_MEASURED)


def test_a_dod_line_after_a_run_has_its_totals_in_their_columns() -> None:
    assert len(AFTER_A_RUN) == 351
    reading = parse_dod(AFTER_A_RUN)
    assert (reading.lp, reading.leq, reading.le, reading.lmax, reading.lmin) == (46.2, 43.7, 53.7, 44.1, 43.4)
    assert (reading.ln1, reading.ln2, reading.ln3, reading.ln4, reading.ln5) == (44.2, 44.2, 43.7, 43.4, 43.3)
    assert (reading.lpeak, reading.lieq, reading.leq_mov, reading.ltm5) == (59.0, None, None, None)
    assert reading.le is not None
    assert reading.leq is not None
    assert reading.le - reading.leq == pytest.approx(10 * math.log10(10), abs=0.1)


def test_a_dlc_line_has_no_lp() -> None:
    reading = parse_dlc(DLC)
    assert (reading.lp, reading.leq, reading.lpeak) == (None, 43.7, 59.0)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("163, 43.7, 43.2, 43.8, 43.7, 54.2,  -.-,0,0", (163, 43.7, 43.2, 43.8, 43.7, 54.2, None, False, False)),
        ("386, 46.3, 46.7, 46.3, 46.2, 59.0,  -.-,0,0", (386, 46.3, 46.7, 46.3, 46.2, 59.0, None, False, False)),
        (" 91, 46.2, 44.9, 46.3, 46.2, 56.6,  -.-,0,0", (91, 46.2, 44.9, 46.3, 46.2, 56.6, None, False, False)),
    ],
)
def test_a_drd_line_is_a_counter_and_the_values_of_100_ms(line: str, expected: tuple[object, ...]) -> None:
    assert len(line + SUB_DRD) == 163
    assert parse_drd(line + SUB_DRD) == (*expected, line + SUB_DRD)


@pytest.mark.parametrize("missing", ["  -.-", " --.-", "     "])
def test_a_token_of_full_width_without_a_digit_is_a_missing_level(missing: str) -> None:
    reading = parse_dod(AFTER_A_RUN.replace(" 43.7", missing, 1))
    assert (reading.leq, reading.le) == (None, 53.7)


@pytest.mark.parametrize("line", [NEVER_MEASURED, AFTER_A_RUN], ids=["never measured", "after a run"])
def test_a_line_short_of_any_byte_or_with_any_byte_doubled_is_an_error(line: str) -> None:
    for place in range(351):
        for damaged in (line[:place] + line[place + 1 :], line[: place + 1] + line[place:]):
            with pytest.raises(FieldError):
                parse_dod(damaged)


@given(
    st.sampled_from([NEVER_MEASURED, AFTER_A_RUN]),
    st.integers(0, 350),
    st.integers(0, 350),
    st.characters(max_codepoint=255),
)
def test_a_byte_lost_and_one_that_came_in_elsewhere_break_the_form(
    line: str, lost: int, new: int, byte: str
) -> None:
    rest = line[:lost] + line[lost + 1 :]
    damaged = rest[:new] + byte + rest[new:]
    with suppress(FieldError):
        reading = parse_dod(damaged)
        tokens = damaged.split(",")
        assert [len(token) for token in tokens] == ([5] * 14 + [1, 1]) * 4
        assert reading.lp is None or f"{reading.lp:5.1f}" == tokens[0]


@pytest.mark.parametrize(
    "level",
    ["53.7 ", "053.7", " 53,7", "53.70", "  53.", "   53", " .537", "5 3.7", "+53.7", " 5e.7", "- 3.7", "0 3.7",
     "--.--", "  -.7", "  5.-", "-----", "\t53.7", "٥٣.7  "],
)  # fmt: skip
def test_a_level_is_right_aligned_in_five_characters_with_one_decimal(level: str) -> None:
    with pytest.raises(FieldError):
        parse_dod(AFTER_A_RUN.replace(" 53.7", level))


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_sub_channel_is_held_to_its_form_too(number: int) -> None:
    channels = [AFTER_A_RUN[:87], *["  -.-," * 14 + "-,-"] * 3]
    assert parse_dod(",".join(channels)).lp == 46.2
    channels[number] = channels[number].replace("  -.-", "  -.8", 1)
    with pytest.raises(FieldError, match=f"field lp of sub channel {number} cannot be read"):
        parse_dod(",".join(channels))


def test_a_stream_line_short_of_any_byte_is_an_error() -> None:
    line = " 91, 46.2, 44.9, 46.3, 46.2, 56.6,  -.-,0,0" + SUB_DRD
    for place in range(163):
        with pytest.raises(FieldError):
            parse_drd(line[:place] + line[place + 1 :])


@pytest.mark.parametrize(
    ("flags", "over", "under"), [("1,0", True, False), ("0,1", False, True), ("-,-", None, None)]
)
def test_flags_are_set_clear_or_left_out(flags: str, over: bool | None, under: bool | None) -> None:
    reading = parse_dod(f" 45.8,{'  -.-,' * 13}{flags}{SUB_DOD}")
    assert (reading.over, reading.under) == (over, under)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "has 64 fields, this one has 1"),
        (AFTER_A_RUN[:200], "has 64 fields"),
        (AFTER_A_RUN + ",0", "has 64 fields, this one has 65"),
        (AFTER_A_RUN.replace("53.7", "5x.7"), "field le cannot be read"),
        (AFTER_A_RUN.replace("53.7", "1_03"), "field le cannot be read"),
        (AFTER_A_RUN.replace("53.7", "1e1"), "field le cannot be read"),
        (AFTER_A_RUN.replace("53.7", "5 .7"), "field le cannot be read"),
        (AFTER_A_RUN.replace(",0,0", ",2,0"), "field over cannot be read"),
        (AFTER_A_RUN.replace(" 53.7", "453.7"), "453.7 dB is not within"),
        (AFTER_A_RUN.replace(" 53.7", "-53.7"), "-53.7 dB is not within"),
    ],
)
def test_a_dod_line_that_does_not_fit_is_an_error_not_a_value(line: str, message: str) -> None:
    with pytest.raises(FieldError, match=message):
        parse_dod(line)


@pytest.mark.parametrize("counter", ["0", "601", "-1", "", "x", "1.5", "1000"])
def test_a_drd_counter_runs_from_1_to_600(counter: str) -> None:
    with pytest.raises(FieldError):
        parse_drd(f"{counter}, 43.7, 43.2, 43.8, 43.7, 54.2,  -.-,0,0{SUB_DRD}")


def test_a_drd_level_out_of_range_is_an_error() -> None:
    with pytest.raises(FieldError, match=r"999\.9 dB is not within"):
        parse_drd(f"  1,999.9, 43.2, 43.8, 43.7, 54.2,  -.-,0,0{SUB_DRD}")


@given(st.lists(st.none() | st.integers(-200, 2000).map(lambda tenths: tenths / 10), min_size=14, max_size=14))
def test_every_level_is_read_back_as_it_was_written(levels: list[float | None]) -> None:
    tokens = ["  -.-" if level is None else f"{level:5.1f}" for level in levels]
    reading = parse_dod(",".join(tokens) + ",0,1" + SUB_DOD)
    assert dict(zip(LEVEL_NAMES, reading, strict=False)) == dict(zip(LEVEL_NAMES, levels, strict=True))


@given(st.text(st.characters(max_codepoint=127), max_size=80))
def test_any_text_is_a_reading_or_a_field_error(text: str) -> None:
    for parse in (parse_dod, parse_drd):
        for line in (text, f"{text}{AFTER_A_RUN[5:]}", f"{text}, 1.0,,,,,,0,0{SUB_DRD}"):
            with suppress(FieldError):
                assert parse(line).raw == line


@pytest.mark.parametrize(
    ("parse", "line", "value"),
    [
        (fields.parse_run_state, "Start", RunState.START),
        (fields.parse_run_state, "Stop", RunState.STOP),
        (fields.parse_on_off, "On", True),
        (fields.parse_on_off, "Off", False),
        (fields.parse_frequency_weighting, "A", "A"),
        (fields.parse_time_weighting, "S", "S"),
        (fields.parse_percentile, "5", 5),
        (fields.parse_percentile, " 95", 95),
        (fields.parse_clock, "2025/12/24 02:10:55", datetime(2025, 12, 24, 2, 10, 55)),  # noqa: DTZ001  zone unknown
        (fields.parse_battery, "Full", "Full"),
        (fields.parse_sd_size_mb, "29862", 29862.0),
        (fields.parse_sd_size_mb, "29862.5 MB", 29862.5),
        (fields.parse_store_name, "0019", 19),
        (fields.parse_overwrite, "None", False),
        (fields.parse_overwrite, "Exist", True),
    ],
)
def test_small_replies_have_their_meaning(parse: Callable[[str], Any], line: str, value: object) -> None:
    assert parse(line) == value


@pytest.mark.parametrize(
    ("parse", "line"),
    [
        (fields.parse_run_state, "Measure"),
        (fields.parse_run_state, "R+0000"),
        (fields.parse_run_state, "Sart"),
        (fields.parse_run_state, "sTop"),
        (fields.parse_run_state, "Stopp"),
        (fields.parse_on_off, "off"),
        (fields.parse_percentile, "05"),
        (fields.parse_clock, "2025/12/24 02:10:5"),
        (fields.parse_clock, "2025/12/24  02:10:55"),
        (fields.parse_battery, "Fu ll"),
        (fields.parse_sd_size_mb, "29862,1"),
        (fields.parse_sd_size_mb, "29862Full"),
        (fields.parse_on_off, "Start"),
        (fields.parse_frequency_weighting, "B"),
        (fields.parse_time_weighting, "AA"),
        (fields.parse_percentile, "0"),
        (fields.parse_percentile, "100"),
        (fields.parse_clock, "2025/13/24 02:10:55"),
        (fields.parse_clock, "2025-12-24 02:10:55"),
        (fields.parse_battery, "100"),
        (fields.parse_sd_size_mb, "full"),
        (fields.parse_store_name, "19"),
        (fields.parse_overwrite, "Stop"),
    ],
)
def test_an_answer_that_belongs_to_another_command_is_out_of_step(parse: Callable[[str], Any], line: str) -> None:
    with pytest.raises(ProtocolError, match="was due"):
        parse(line)
