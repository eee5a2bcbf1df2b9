"""The output of `hub check`."""

from pathlib import Path

from hub.config.check import check


def test_a_good_file_is_summed_up(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(
        "units: [{id: a, host: h}]\nalerts: {rules: [{name: r, metric: lp, above: 1}]}\n"
    )
    checked = check(tmp_path / "c.yaml", {})
    assert checked.summary == "1 unit, 1 rule, no receivers, no feeds"
    assert len(checked.warnings) == 1
    assert checked.exit_code == 0


def test_a_bad_file_ends_with_2(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("units: 5\n")
    checked = check(tmp_path / "c.yaml", {})
    assert checked.exit_code == 2
    assert checked.summary is None
    assert [str(problem) for problem in checked.problems] == [f"{tmp_path}/c.yaml:1:8: units: must be a list"]
