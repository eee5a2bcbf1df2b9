import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hub.cli import app
from tests.child_process import open_child

TODAY = ["--from", "2026-11-21T00:00:00Z", "--to", "2026-11-22T00:00:00Z"]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(
        "units: [{id: gate-a, host: 127.0.0.1}]\n"
        "alerts: {rules: [{name: loud, metric: lp, above: 70, notify: [ops]}],"
        " receivers: [{name: ops, url: 'http://127.0.0.1:1/'}]}\n"
    )
    return path


def hub(config: Path, *words: str) -> Result:
    return CliRunner().invoke(app, [*words, "--config", str(config)])


@pytest.mark.parametrize("step", ["500ms", "90500ms", "7x"])
def test_a_step_that_cannot_be_is_a_line_and_no_traceback(config: Path, step: str) -> None:
    result = hub(config, "export", *TODAY, "--step", step)
    assert (result.exit_code, isinstance(result.exception, SystemExit)) == (2, True)


@pytest.mark.parametrize("command", [["export"], ["rules", "replay", "--rule", "loud"]])
def test_a_range_that_runs_backwards_is_refused(config: Path, command: list[str]) -> None:
    result = hub(config, *command, "--from", TODAY[3], "--to", TODAY[1])
    assert result.exit_code == 2
    assert "must not be after" in result.output


@pytest.mark.parametrize("command", [["export"], ["rules", "replay", "--rule", "loud"]])
def test_a_database_without_tables_is_said_in_words(config: Path, command: list[str]) -> None:
    (config.parent / "data").mkdir()
    (config.parent / "data" / "hub.db").touch()
    result = hub(config, *command, *TODAY)
    assert result.exit_code == 1
    assert "hub db upgrade" in result.output


@pytest.mark.parametrize(
    "command", [["export", *TODAY], ["rules", "replay", "--rule", "loud", *TODAY], ["db", "info"]]
)
def test_a_command_that_only_reads_creates_no_database(config: Path, command: list[str]) -> None:
    result = hub(config, *command)
    assert result.exit_code == 1
    assert f"there is no database at {config.parent / 'data' / 'hub.db'}" in result.output
    assert not (config.parent / "data").exists()


def test_an_empty_range_is_a_table_without_rows(config: Path) -> None:
    assert hub(config, "db", "upgrade").exit_code == 0
    assert hub(config, "export", *TODAY).output.startswith("unit_id,at,sequence,lp,leq,")
    header = "unit_id,at,lp_max,lp_min,leq_lp,count,coverage,name,lp_label,leq_label\n"
    assert hub(config, "export", *TODAY, "--step", "1m").output == header


def test_a_reader_that_goes_ends_the_export_in_silence(config: Path) -> None:
    assert hub(config, "db", "upgrade").exit_code == 0
    command = [sys.executable, "-m", "hub", "export", *TODAY, "--config", str(config)]
    with open_child(command) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
        assert process.wait(20) == 1
