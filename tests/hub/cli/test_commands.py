import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hub.cli import app

GOOD = """\
units:
  - {id: gate-a, host: 10.0.0.40}
alerts:
  rules:
    - {name: loud, metric: lp, above: 80, notify: [ops]}
  receivers:
    - {name: ops, url: "http://127.0.0.1:9/hook"}
"""


def hub(*args: str) -> Result:
    return CliRunner().invoke(app, list(args))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(GOOD)
    return path


def test_check_sums_a_good_file_up(config: Path) -> None:
    result = hub("check", str(config))
    assert (result.exit_code, result.stdout) == (0, f"{config}: 1 unit, 1 rule, 1 receiver, no feeds\n")


def test_check_warns_of_a_service_that_takes_another_format(config: Path) -> None:
    config.write_text(GOOD.replace("http://127.0.0.1:9/hook", "https://hooks.slack.com/services/T0/B0/hunter2"))
    result = hub("check", str(config))
    assert result.exit_code == 0
    assert f"{config}:7:24: alerts.receivers[0].url: Slack takes messages of its own form only" in result.output
    assert "hunter2" not in result.output


def test_check_names_every_mistake_at_once_with_its_position(config: Path) -> None:
    config.write_text(GOOD.replace("10.0.0.40", "10.0.0.40, prot: 2255").replace("[ops]", "[obs]"))
    result = hub("check", str(config))
    assert result.exit_code == 2
    lines = result.stderr.splitlines()
    assert lines[0].startswith(f"{config}:2:35: units[0].prot: ")
    assert "port" in lines[0]
    assert lines[1].startswith(f"{config}:5:")
    assert "ops" in lines[1]


def test_run_with_a_bad_file_starts_nothing(config: Path) -> None:
    config.write_text("units: 3\n")
    result = hub("run", str(config))
    assert result.exit_code == 2
    assert f"{config}:1:8: units: " in result.stderr
    assert not (config.parent / "data").exists()


def test_schema_is_json_that_knows_the_keys() -> None:
    schema = json.loads(hub("schema").stdout)
    assert {"hub", "database", "units", "feeds", "alerts"} <= set(schema["properties"])


def test_info_prints_the_tables_and_the_size_of_the_database(config: Path) -> None:
    (config.parent / "data").mkdir()
    (config.parent / "data" / "hub.db").touch()
    assert "run `hub db upgrade`" in hub("db", "info", "--config", str(config)).stdout
    upgraded = hub("db", "upgrade", "--config", str(config))
    assert upgraded.stdout.startswith("the database is at revision ")
    told = json.loads(hub("db", "info", "--json", "--config", str(config)).stdout)
    assert {"readings", "minutes", "alerts"} <= {table["name"] for table in told["tables"]}
    assert "readings" in hub("db", "info", "--config", str(config)).stdout


def test_export_wants_times_with_a_zone_and_units_that_exist(config: Path) -> None:
    hub("db", "upgrade", "--config", str(config))
    times = ("--from", "2026-03-18T00:00:00Z", "--to", "2026-03-19T00:00:00Z", "--config", str(config))
    assert hub("export", *times).exit_code == 0
    assert hub("export", *times, "--units", "nothing-*").exit_code == 2
    naive = hub("export", "--from", "2026-03-18T00:00:00", "--to", "2026-03-19T00:00:00Z")
    assert naive.exit_code == 2
    assert "zone" in naive.stderr


def test_a_receiver_that_does_not_answer_fails_its_test(config: Path) -> None:
    result = hub("webhook", "test", "ops", "--config", str(config))
    assert (result.exit_code, result.stdout[:27]) == (1, "ops did not accept it: refu")
    unknown = hub("webhook", "test", "obs", "--config", str(config))
    assert unknown.exit_code == 2
    assert "configured: ops" in unknown.stderr


def test_the_example_of_a_rule_test_is_as_expected() -> None:
    example = Path(__file__).parents[3] / "docs" / "examples" / "rules-test.yaml"
    result = hub("rules", "test", str(example))
    assert result.exit_code == 0, result.output
    assert "as expected" in result.stdout


def test_a_probe_without_a_meter_fails_with_advice() -> None:
    result = hub("probe", "127.0.0.1:1", "--json")
    assert result.exit_code == 1
    assert [json.loads(line)["step"] for line in result.stdout.splitlines()] == ["connection", "advice"]
    assert hub("probe", "127.0.0.1:port").exit_code == 2


def test_help_answers_at_once() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-m", "hub", "--help"], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert "probe" in done.stdout
    processor_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert processor_s < 1.0  # about 0.3; what the machine does besides is left out
