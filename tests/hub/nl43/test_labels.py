import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.model.metrics import LEVELS
from hub.nl43.labels import labels
from hub.readings.snapshot import FRAME_LEVELS

F, T = "Frequency Weighting (Main)", "Time Weighting (Main)"


@pytest.mark.parametrize(
    ("frequency", "time", "expected"),
    [
        ("A", "F", {"lp": "LAF", "leq": "LAeq", "le": "LAE", "lmax": "LAFmax", "lmin": "LAFmin"}),
        ("A", "S", {"lp": "LAS", "leq": "LAeq", "lmax": "LASmax", "laeq_15m": "LAeq,15min"}),
        ("C", "F", {"lp": "LCF", "leq": "LCeq", "laeq_15m": "LCeq,15min", "la10_15m": "LC10,15min"}),
        ("Z", "F", {"lp": "LZF", "laeq_1h": "LZeq,1h", "la90_15m": "LZ90,15min"}),
        ("A", "I", {"lp": "LAI", "leq": "LAIeq", "laeq_1m": "LAIeq,1min"}),
        ("A", None, {"lp": "LA", "leq": "LAeq", "lmax": "LAmax"}),
        (None, "F", {"lp": "Lp", "leq": "Leq", "lmax": "Lmax", "lmin": "Lmin", "le": "LE"}),
        (None, None, {"lp": "Lp", "laeq_15m": "Leq,15min", "la10_15m": "L10,15min", "lpeak": "Lpeak"}),
        ("B", "F", {"lp": "Lp", "leq": "Leq"}),
    ],
)
def test_a_symbol_claims_the_weightings_that_are_known(
    frequency: str | None, time: str | None, expected: dict[str, str]
) -> None:
    found = labels({F: frequency, T: time})
    assert {name: found[name] for name in expected} == expected


def test_percentages_are_those_the_meter_is_set_to() -> None:
    found = labels({"Percentile 1": "05", "Percentile 2": "10", "Percentile 3": "33", "Percentile 4": None})
    assert [found[f"ln{slot}"] for slot in range(1, 6)] == ["L5", "L10", "L33", "LN4", "LN5"]


def test_every_level_that_is_shown_or_ruled_on_has_a_symbol() -> None:
    assert set(labels({})) == {*FRAME_LEVELS, *(metric.name for metric in LEVELS)}


@given(st.dictionaries(st.sampled_from([F, T, "Percentile 1"]), st.none() | st.text(max_size=5)))
def test_whatever_the_meter_answers_there_is_a_symbol(settings: dict[str, str | None]) -> None:
    assert all(label.startswith("L") and label.isascii() for label in labels(settings).values())
