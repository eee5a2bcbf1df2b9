import json
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.config.file import load_config
from hub.config.problem import ConfigError
from hub.line.config import LineConfig, parse_bytes
from hub.line.instrument import form_of

ROOT = Path(__file__).parents[3]

PATTERN = r"T=(?P<temperature>-?[\d.]+),W=(?P<wind>[\d.]+)"
QUANTITIES = {"temperature": {"unit": "°C", "decimals": 1}, "wind": {"unit": "m/s", "name": "Wind speed"}}


def unit(**keys: Any) -> dict[str, Any]:
    return {"id": "weather", "kind": "line", "host": "127.0.0.1", "port": 4001, "quantities": QUANTITIES, **keys}


def test_a_polled_unit_with_a_pattern_is_read() -> None:
    config = LineConfig.model_validate(unit(ask=r"0R0\r\n", end="\r\n", pattern=PATTERN))
    assert config.ask_bytes == b"0R0\r\n"
    assert config.end_bytes == b"\r\n"
    assert config.quantities["wind"].name == "Wind speed"
    assert config.quantities["temperature"].mean == "arithmetic"


def test_a_pushed_unit_with_columns_is_read() -> None:
    config = LineConfig.model_validate(unit(columns=["_", "wind", "temperature"], separator=";", decimal=","))
    assert config.ask_bytes is None
    assert config.end_bytes == b"\n"
    assert config.push_within == 30.0


@pytest.mark.parametrize(
    ("keys", "where", "message"),
    [
        ({"pattern": r"T=([\d.]+)"}, "pattern", "has no named group; write one per quantity, such as (?P<"),
        ({"pattern": "T=(?P<t>"}, "pattern", "is no regular expression: "),
        ({"pattern": "(?P<temperature>(a+)+),(?P<wind>b)"}, "pattern", "instead of .*"),
        ({"pattern": PATTERN + r",P=(?P<pressure>\d+)"}, "quantities", "have no 'pressure', which is a group"),
        ({"pattern": r"T=(?P<temperature>\d+)"}, "quantities", "'wind' is no group of the pattern"),
        ({"pattern": PATTERN.replace("wind", "winds")}, "quantities", "did you mean 'wind'?"),
        ({"columns": ["temperature"]}, "quantities", "'wind' is no column"),
        ({"columns": ["temperature", "wind", "rain"]}, "quantities", "have no 'rain', which is a column"),
        ({"columns": ["wind", "wind", "temperature"]}, "columns", "'wind' is named twice; write _"),
        ({"columns": []}, "columns", "must have at least 1 entries"),
        ({"pattern": PATTERN, "columns": ["wind"]}, "columns", "write one of them, `pattern` or `columns`"),
        ({"pattern": PATTERN, "separator": ";"}, "separator", "is for `columns`"),
        ({"columns": ["wind", "temperature"], "decimal": ","}, "decimal", "write another `separator`"),
        ({}, "quantities", "need a `pattern` with a group for each, or `columns`"),
        ({"pattern": PATTERN, "ask": r"0R0\q"}, "ask", r"write \r, \n, \t, \0, \xHH, or \\ for a backslash"),
        ({"pattern": PATTERN, "ask": "0R0\\"}, "ask", "is no escape"),
        ({"pattern": PATTERN, "end": r"\xZZ"}, "end", "is no escape"),
        ({"pattern": PATTERN, "end": ""}, "end", "must have at least 1 characters"),
        ({"pattern": PATTERN, "ask": "?", "push_within": "5s"}, "push_within", "sends by itself"),
        ({"columns": ["lp"], "quantities": {"lp": {}}}, "quantities.lp", "must be another name"),
        ({"columns": ["a"], "quantities": {"a": {"mean": "median"}}}, "quantities.a.mean", "energy or none"),
        ({"columns": ["a"], "quantities": {"a": {"units": "V"}}}, "quantities.a.units", "did you mean 'unit'?"),
        ({"pattern": PATTERN, "keep_awake": True}, "keep_awake", "units of `kind: nl43` have it"),
        ({"pattern": PATTERN, "asks": "?"}, "asks", "did you mean 'ask'?"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_place_and_what_to_write(
    tmp_path: Path, keys: dict[str, Any], where: str, message: str
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(json.dumps({"units": [unit(**keys)]}, ensure_ascii=False))
    with pytest.raises(ConfigError) as caught:
        load_config(path, {})
    (problem,) = caught.value.problems
    assert problem.path == f"units[0].{where}"
    assert message in problem.message


def test_a_unit_without_port_or_quantities_says_so(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("units: [{id: weather, kind: line, host: 127.0.0.1, columns: [a]}]")
    with pytest.raises(ConfigError) as caught:
        load_config(path, {})
    assert {problem.path: problem.message for problem in caught.value.problems} == {
        "units[0].port": "is required",
        "units[0].quantities": "is required",
    }


def test_a_rule_on_a_quantity_that_no_unit_measures_is_refused_with_the_one_that_was_meant(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        "units: [{id: weather, kind: line, host: 127.0.0.1, port: 1, columns: [temperature],"
        " quantities: {temperature: {}}}]\n"
        "alerts: {rules: [{name: hot, metric: temprature, above: 30}]}"
    )
    with pytest.raises(ConfigError, match="did you mean 'temperature'"):
        load_config(path, {})
    path.write_text(path.read_text().replace("temprature", "temperature"))
    assert load_config(path, {}).config.alerts.rules[0].metric == "temperature"


def test_escapes_are_bytes_and_other_text_is_utf_8() -> None:
    assert parse_bytes(r"a\r\n\t\0\\\x02\xfF") == b"a\r\n\t\0\\\x02\xff"
    assert parse_bytes("°\r") == "°\r".encode()


@given(st.binary())
def test_any_bytes_can_be_written_with_escapes(data: bytes) -> None:
    assert parse_bytes("".join(f"\\x{byte:02x}" for byte in data)) == data


def test_the_example_of_the_documentation_reads_the_line_it_is_for(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "adding-an-instrument.md").read_text()
    example = page.partition("```yaml\n")[2].partition("```")[0]
    path = tmp_path / "config.yaml"
    path.write_text(dedent(example))
    (config,) = load_config(path, {}).config.units
    assert isinstance(config, LineConfig)
    assert config.ask_bytes == b"MEAS?\r\n"
    assert form_of(config)("+021.5 C,OK") == {"temperature": 21.5}


def test_the_unit_that_config_yaml_explains_in_comments_is_valid(tmp_path: Path) -> None:
    lines = (ROOT / "config.yaml").read_text().splitlines()
    begin = lines.index("  # - id: weather")
    end = next(at for at in range(begin, len(lines)) if lines[at].startswith("  # A rule on it"))
    path = tmp_path / "config.yaml"
    path.write_text("\n".join(["units:", *(line.replace("  # ", "  ", 1) for line in lines[begin:end])]))
    (config,) = load_config(path, {}).config.units
    assert isinstance(config, LineConfig)
    values = form_of(config)("0R0,Dm=231D,Sm=3.4M,Ta=-0.5C,Ua=71.0P")
    assert values == {"direction": 231.0, "wind": 3.4, "temperature": -0.5}
