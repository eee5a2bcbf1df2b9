import pytest

from hub.config.measured import Measured
from hub.fields.spelling import Suggestions


def measured(**kinds: str) -> Measured:
    found = Measured()
    for unit_id, kind in kinds.items():
        found.add(unit_id, {"id": unit_id, "kind": kind})
    return found


@pytest.mark.parametrize("metric", ["lp", "leq", "laeq_15m", "reachable"])
def test_what_a_unit_measures_may_be_ruled_on(metric: str) -> None:
    assert measured(gate="nl43").problem_with(metric, {"gate"}, Suggestions()) is None
    assert measured().problem_with(metric, None, Suggestions()) is None


@pytest.mark.parametrize(
    ("metric", "hint"),
    [
        ("laeq15m", "; did you mean 'laeq_15m'?"),
        ("LEQ", "; did you mean 'leq'?"),
        ("ok", "; write one of age_s, la10_15m, "),
        ("xyz", "; write one of age_s, la10_15m, "),
    ],
)
def test_a_metric_that_no_unit_measures_is_refused_with_a_hint(metric: str, hint: str) -> None:
    for units in (measured(gate="nl43"), measured()):
        problem = units.problem_with(metric, None, Suggestions())
        assert problem is not None
        assert problem.startswith(f"no unit measures {metric!r}{hint}")


def test_of_a_unit_whose_kind_is_misspelt_nothing_is_known() -> None:
    assert measured(gate="nl34").problem_with("temperature", None, Suggestions()) is None
