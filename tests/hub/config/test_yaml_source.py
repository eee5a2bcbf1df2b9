"""Scalars, variables, files, merge keys and duplicates."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.config.yaml_nodes import parse_nodes
from hub.config.yaml_source import Source, resolve_scalar, shown_path


def construct(text: str, folder: Path = Path("/nowhere"), **environ: str) -> tuple[object, list[str]]:
    source = Source(folder, environ)
    node = parse_nodes(text.encode(), "f.yaml")
    assert node is not None
    return source.construct(node), [str(problem) for problem in source.problems]


@pytest.mark.parametrize(
    "text", ["22:00", "on", "yes", "No", "0001", "0x1f", "1_000", "2026-01-01", ".inf", "+1", "True"]
)
def test_what_yaml_1_1_would_twist_stays_text(text: str) -> None:
    assert construct(f"a: {text}") == ({"a": text}, [])


def test_numbers_truth_and_null_are_read() -> None:
    data, _ = construct("[1, -2, 0.5, 1e3, true, false, null, ~, '1', \"true\"]")
    assert data == [1, -2, 0.5, 1000.0, True, False, None, None, "1", "true"]


@given(st.integers(-(10**15), 10**15) | st.floats(-1e9, 1e9).map(lambda x: round(x, 6)))
def test_a_number_is_read_as_the_number_it_is(number: float) -> None:
    assert resolve_scalar(f"{number}") == number


@given(st.text(max_size=30))
def test_other_scalars_are_never_changed(text: str) -> None:
    value = resolve_scalar(text)
    assert value is None or value == text or not isinstance(value, str)


def test_variables_are_filled_in_after_parsing() -> None:
    data, problems = construct(
        "a: ${P}\nb: '${P}'\nc: x${Q:-y}z\nd: ${E:-5}\ne: $${P}\nf: ${Y}", P="2255", E="", Y="[1, 2]: {"
    )
    assert data == {"a": 2255, "b": "2255", "c": "xyz", "d": 5, "e": "${P}", "f": "[1, 2]: {"}
    assert problems == []


def test_a_variable_that_is_not_set_is_named_with_its_position() -> None:
    _, problems = construct("hub:\n  name: a-${NOPE}\n  x: ${1}\n  y: ${OPEN")
    assert problems[0] == "f.yaml:2:9: hub.name: the variable NOPE is not set; set it, or write ${NOPE:-default}"
    assert [problem.split(": ")[1] for problem in problems] == ["hub.name", "hub.x", "hub.y"]


def test_a_value_comes_from_a_file_without_its_last_line_end(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("0001\n")
    assert construct("a: {file: secret}\nlabels: {file: secret}", tmp_path) == (
        {"a": "0001", "labels": {"file": "secret"}},
        [],
    )


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff")
    (tmp_path / "large").write_bytes(b"x" * 100_000)
    _, problems = construct("[{file: none}, {file: binary}, {file: large}, {file: [a]}]", tmp_path)
    assert [problem.split(": ", 2)[2] for problem in problems] == [
        f"cannot read {tmp_path}/none: No such file or directory",
        f"cannot read {tmp_path}/binary: not UTF-8 text",
        f"{tmp_path}/large is too large to be a value",
        "file: needs the name of a file",
    ]


def test_merge_keys_give_way_to_what_is_written() -> None:
    data, problems = construct("a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc: {<<: [*a, *b], z: 3}\nd: {x: 0, <<: *a}")
    assert problems == []
    assert isinstance(data, dict)
    assert data["c"] == {"x": 1, "y": 1, "z": 3}
    assert data["d"] == {"x": 0, "y": 1}


def test_duplicate_and_strange_keys_are_problems() -> None:
    _, problems = construct("a: {b: 1, b: 2}\n[x]: 1\nc: {<<: 5}\na: 2")
    assert problems == [
        "f.yaml:2:1: a key must be a single word",
        "f.yaml:4:1: a: is written twice; the first is on line 1",
        "f.yaml:1:11: a.b: is written twice; the first is on line 1",
        "f.yaml:3:9: c: << needs a mapping, such as *name, or a list of them",
    ]


def test_a_path_reads_as_people_write_it() -> None:
    assert shown_path(("units", 0, "poll", "gap")) == "units[0].poll.gap"
    assert shown_path((0, "id")) == "[0].id"
