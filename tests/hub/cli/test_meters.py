from pathlib import Path

import pytest
from typer.testing import CliRunner

from hub.cli import app


@pytest.mark.parametrize(
    ("address", "shown"), [("::1", "::1:2255"), ("[::1]:1", "::1:1"), ("127.0.0.1:1", "127.0.0.1:1")]
)
def test_a_probe_takes_every_kind_of_address(address: str, shown: str) -> None:
    result = CliRunner().invoke(app, ["probe", address])
    assert f"refused: {shown} refused" in result.output
    assert result.exit_code == 1


def test_a_probe_without_mercy_for_the_meter_is_refused() -> None:
    assert CliRunner().invoke(app, ["probe", "127.0.0.1:1", "--gap", "-1"]).exit_code == 2


def test_a_probe_of_a_configured_unit_is_that_of_its_kind(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        "units: [{id: roof, kind: line, host: 127.0.0.1, port: 1, columns: [temperature],"
        " quantities: {temperature: {}}}]"
    )
    result = CliRunner().invoke(app, ["probe", "roof", "--config", str(config)])
    assert result.exit_code == 1
    assert "127.0.0.1:1 refused the connection" in result.output
    assert "a serial device server takes one connection" in result.output
    result = CliRunner().invoke(app, ["probe", "rof", "--config", str(config)])
    assert result.exit_code == 2
    assert "has no unit 'rof'; did you mean 'roof'?" in result.output


@pytest.mark.parametrize("options", [["--kind", "line", "--control-port", "1"], ["--push", "1"], ["--kind", "dog"]])
def test_an_option_that_the_simulated_kind_does_not_have_is_refused(options: list[str]) -> None:
    assert CliRunner().invoke(app, ["simulate", *options]).exit_code == 2


def test_faults_of_a_simulated_station_are_its_own() -> None:
    result = CliRunner().invoke(app, ["simulate", "--kind", "line", "--faults", "wedge=10%"])
    assert result.exit_code == 1
    assert "'wedge' is not a fault; choose from none, refuse, mute, garbage, half_lines" in result.output
