"""The answer to one question is not taken for the answer to another."""

import pytest

from hub.nl43 import commands as c
from hub.nl43.answers import check_form
from hub.nl43.fields import FieldError
from hub.nl43.settings import SETTINGS
from tests.hub.nl43.scripted_meter import DOD_LINE

GOOD = {
    c.MEASURE: "Stop",
    c.SLEEP_MODE: "Off",
    c.CLOCK: "2025/12/24 02:10:55",
    c.BATTERY_LEVEL: "Full",
    c.SD_FREE: "29862",
    c.FREQUENCY_WEIGHTING: "A",
    c.TIME_WEIGHTING: "F",
    c.SERIAL_NUMBER: "00412345",
    c.TYPE: "NL-43",
    **{c.percentile(slot): "95" for slot in range(1, 6)},
    c.STORE_NAME: "0019",
    c.SYSTEM_VERSION: "1.2.0001",
}


@pytest.mark.parametrize("command", GOOD, ids=lambda command: command.line)
def test_the_answer_to_a_question_fits_it_and_a_line_of_levels_never_does(command: c.Command) -> None:
    check_form(command, GOOD[command])
    for wrong in (DOD_LINE, "163, 43.7", "x" * 101):
        with pytest.raises(FieldError, match="answer to another command"):
            check_form(command, wrong)


@pytest.mark.parametrize("command", [c.MEASURE, *SETTINGS], ids=lambda command: command.line)
def test_the_answer_to_another_question_of_the_session_is_not_taken(command: c.Command) -> None:
    others = {line for other, line in GOOD.items() if line != GOOD[command]}
    for wrong in (*others, "", "?", f"{GOOD[command]}x"):
        with pytest.raises(FieldError, match="was due"):
            check_form(command, wrong)
