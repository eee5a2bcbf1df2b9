"""The whole file: what it may contain, and every mistake that is reported."""

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.config.file import Loaded, load_config
from hub.config.problem import ConfigError

UNIT = "units: [{id: gate-a, host: 10.0.0.40, labels: {site: dockside}}]\n"


def load(folder: Path, text: str, **environ: str) -> Loaded:
    (folder / "config.yaml").write_text(dedent(text), "utf-8")
    return load_config(folder / "config.yaml", environ)


def wrong(folder: Path, text: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(folder, text, **environ)
    return str(caught.value).replace(f"{folder}/", "").splitlines()


def test_a_file_with_nothing_but_a_name_is_a_hub_without_units(tmp_path: Path) -> None:
    loaded = load(tmp_path, "hub: {name: site}")
    assert loaded.config.hub.port == 8480
    assert loaded.config.hub.data_dir == tmp_path / "data"
    assert loaded.config.database.url.get_secret_value() == f"sqlite:///{tmp_path}/data/hub.db"
    assert loaded.files == (tmp_path / "config.yaml",)


def test_postgresql_without_its_driver_is_one_line_that_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    said = "database.url: needs the driver of PostgreSQL: run `pip install 'monitor-hub[postgres]'`"
    assert wrong(tmp_path, 'database: {url: "postgresql://me:hunter2@host/db"}') == [f"config.yaml:1:17: {said}"]


@pytest.mark.parametrize("text", ["", "# nothing but a comment\n"])
def test_an_empty_file_is_refused(tmp_path: Path, text: str) -> None:
    assert wrong(tmp_path, text) == ["config.yaml:1:1: is empty: write units, feeds or at least `hub:` with a name"]


def test_a_value_that_cannot_be_read_is_reported_once_without_its_consequences(tmp_path: Path) -> None:
    (tmp_path / "more.yaml").write_text("units: [{id: gate-b, host: a b}]")
    text = """\
        include: [more.yaml]
        units: [{id: gate-a, host: "${HOST}"}]
        feeds:
          - {id: fab, kind: oracle-equipment, dsn: a, user: b, password: "${PASSWORD}"}
          - {id: fac, kind: oracle-equipment, dsn: a, user: b, password: {file: "${FILE}"}}
        alerts: {rules: [{name: loud, metric: lp, above: 70, notify: ["${WHO}"]}]}
        """
    assert [line.split(": ", 1)[1] for line in wrong(tmp_path, text)] == [
        "units[0].host: the variable HOST is not set; set it, or write ${HOST:-default}",
        "feeds[0].password: the variable PASSWORD is not set; set it, or write ${PASSWORD:-default}",
        "feeds[1].password: the variable FILE is not set; set it, or write ${FILE:-default}",
        "alerts.rules[0].notify[0]: the variable WHO is not set; set it, or write ${WHO:-default}",
        "units[0].host: must be a host name or an IP address, without a port",
    ]


def test_all_problems_are_reported_at_once_with_their_positions(tmp_path: Path) -> None:
    text = """\
        hub: {nmae: x}
        units:
          - id: gate-a
            host: 10.0.0.40
            port: seventy
            poll: {watched: 1}
          - {id: gate-a, host: 10.0.0.41, kind: nl44}
          - id: gate b
        feeds:
          - {id: fab, kind: oracle-equipmnt}
          - {id: fac, kind: oracle-equipment, pasword: x, dsn: a, user: b, password: c}
        alerts:
          rules:
            - {name: one, metric: laeq_15m, above: 65, units: [gate-c], notify: [opps]}
          receivers: [{name: ops, url: "https://example.org"}]
        """
    assert wrong(tmp_path, text) == [
        "config.yaml:1:7: hub.nmae: unknown key; did you mean 'name'?",
        "config.yaml:5:11: units[0].port: must be a whole number",
        "config.yaml:6:21: units[0].poll.watched: 1 needs a unit: write 1s, or another such as 250ms, 5m, 2h, 14d",
        "config.yaml:7:10: units[1].id: 'gate-a' is used twice, first at config.yaml:3:9 (units[0].id)",
        "config.yaml:7:41: units[1].kind: must be nl43 or line; did you mean 'nl43'?",
        "config.yaml:8:5: units[2].host: is required",
        "config.yaml:8:9: units[2].id: must be 1 to 64 letters, digits or any of _ . -",
        "config.yaml:10:21: feeds[0].kind: must be oracle-equipment or sample-equipment; "
        "did you mean 'oracle-equipment'?",
        "config.yaml:11:39: feeds[1].pasword: unknown key; did you mean 'password'?",
        "config.yaml:14:56: alerts.rules[0].units[0]: 'gate-c' matches no unit; did you mean 'gate-a'?",
        "config.yaml:14:74: alerts.rules[0].notify[0]: no receiver is named 'opps'; did you mean 'ops'?",
    ]


def test_a_mistake_in_every_reference_is_reported(tmp_path: Path) -> None:
    text = """\
        hub: {listen: "0.0.0.0:8480"}
        units:
          - {id: a, host: 10.0.0.40, labels: {site: dockside, floor: 1}}
          - {id: b, host: 10.0.0.40, labels: {site: inland}}
        alerts:
          rules:
            - {name: one, metric: lp, above: 65, match: {site: docksid}, notify: [ops]}
            - {name: one, metric: lp, above: 65, match: {sit: dockside}, notify: [ops]}
            - {name: two, metric: lp, above: 65, match: {site: inland, floor: 1}, notify: [ops]}
            - {name: three, metric: status_category, in: [DOWN], equipment: {category: [DOWN]}, notify: [ops]}
          receivers:
            - {name: ops, url: "https://example.org"}
            - {name: ops, url: "https://example.org"}
          system: {notify: [nobody]}
          flows: [{name: night}]
          silences: []
        """
    lines = wrong(tmp_path, text)
    assert [line.split(": ", 2)[1] for line in lines] == [
        "hub.listen",
        "units[1].host",
        "alerts.rules[0].match.site",
        "alerts.rules[1].name",
        "alerts.rules[1].match.sit",
        "alerts.rules[2].match",
        "alerts.rules[3].equipment",
        "alerts.receivers[1].name",
        "alerts.system.notify[0]",
        "alerts.flows",
    ]
    assert "did you mean 'dockside'?" in lines[2]
    assert "did you mean 'site'?" in lines[4]


@pytest.mark.parametrize(
    ("rule", "path", "said"),
    [
        ("metric: status, equals: UDT", "metric", "there is no feed"),
        ("metric: lp, above: 1, match: {feed: fab}", "match.feed", "a label feed"),
        ("metric: lp, above: 1, units: [yard], match: {site: dockside}", "match.site", "did you mean"),
        ("metric: lp, above: 1, units: ['x*', yard]", "units[0]", "matches no unit"),
    ],
)
def test_a_rule_that_can_have_no_subject_is_refused(tmp_path: Path, rule: str, path: str, said: str) -> None:
    text = f"""\
        units:
          - {{id: gate-a, host: 10.0.0.40, labels: {{site: dockside}}}}
          - {{id: yard, host: 10.0.0.41, labels: {{site: dockland}}}}
        alerts: {{rules: [{{name: a, {rule}}}]}}
        """
    (line,) = wrong(tmp_path, text)
    assert f" alerts.rules[0].{path}: " in line
    assert said in line


def test_tokens_open_the_hub_to_the_network(tmp_path: Path) -> None:
    text = 'hub: {listen: "0.0.0.0:8480", tokens: [{name: wall, token: "${T}", role: viewer}]}'
    assert load(tmp_path, text, T="0123456789abcdef").config.hub.tokens[0].role == "viewer"


def test_a_secret_is_in_no_message_and_no_repr(tmp_path: Path) -> None:
    text = """\
        hub:
          tokens:
            - {name: a, token: "${T}", role: viewer}
            - {name: b, token: "${T}", role: viewer}
            - {name: c, token: hunter2, role: viewer}
          timezone: ${T}
          listen: ${T}
        database: {url: "mysql://me:${T}@host/db"}
        redis: {url: "htp://me:hunter2@host"}
        units: [{id: a, host: "${T}", port: "${T}", poll: {watched: "${T}"}, labels: {"${T}": b}}]
        """
    said = "\n".join(wrong(tmp_path, text, T="correct horse battery"))
    assert "hub.tokens[1].token: the same token is used twice" in said
    assert "hub.tokens[2].token: must have at least 16 characters" in said
    assert "units[0].poll.watched: the value is not a duration" in said
    assert "database.url" in said
    assert "redis.url" in said
    assert "horse" not in said
    assert "hunter2" not in said
    good = load(
        tmp_path, 'database: {url: "postgresql://me:hunter2@host/db"}\nredis: {url: "redis://:hunter2@host"}'
    )
    assert "hunter2" not in repr(good)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("unit: []", "1:1: unit: unknown key; did you mean 'units'?"),
        ("hub: {log: jsn}", "1:12: hub.log: must be console or json; did you mean 'json'?"),
        (
            "units: [{id: a, host: h, poll: {wached: 1s}}]",
            "1:33: units[0].poll.wached: unknown key; did you mean 'watched'?",
        ),
        (
            "alerts: {rules: [{name: a, metric: lp, above: 1, cooldwn: 1s}]}",
            "1:50: alerts.rules[0].cooldwn: unknown key; did you mean 'cooldown'?",
        ),
        (
            'units: [{id: a, host: h, ask: "?"}]',
            "1:26: units[0].ask: unknown key of kind nl43; units of `kind: line` have it",
        ),
        (
            "feeds: [{id: f, kind: sample-equipment, dsn: a}]",
            "1:41: feeds[0].dsn: unknown key of kind sample-equipment; feeds of `kind: oracle-equipment` have it",
        ),
        ("feeds: [{id: f}]", "1:9: feeds[0].kind: is required"),
        ("feeds: [{id: f, kind: sample-equipment, machines: 0}]", "1:51: feeds[0].machines: must be 1 or more"),
        ("units: [{id: a, host: h, monitor: maybe}]", "1:35: units[0].monitor: must be true or false"),
        ("units: [7]", "1:9: units[0]: must be a mapping of keys to values"),
        ("database: {retention: {readings: 1s}}", "1:34: database.retention.readings: must be 1h or more"),
        ("database: {max_size: 1KB}", "1:22: database.max_size: must be 1MB or more"),
    ],
)
def test_one_mistake_is_one_line_that_says_what_to_write(tmp_path: Path, text: str, said: str) -> None:
    assert wrong(tmp_path, text) == [f"config.yaml:{said}"]


def test_text_is_used_as_written_where_text_is_required(tmp_path: Path) -> None:
    text = """\
        units: [{id: 0042, host: 10.0.0.40, name: 42, labels: {floor: 1.10, open: true, "file": x}}]
        redis: {url: "redis://h", prefix: 7}
        """
    config = load(tmp_path, text).config
    assert config.units[0].id == "0042"
    assert config.units[0].name == "42"
    assert config.units[0].labels == {"floor": "1.10", "open": "true", "file": "x"}
    assert config.redis is not None
    assert config.redis.prefix == "7"


def test_included_units_are_counted_in_their_own_file(tmp_path: Path) -> None:
    (tmp_path / "units").mkdir()
    (tmp_path / "units" / "a.yaml").write_text("- {id: a, host: 10.0.0.1}\n- {id: gate-a, host: 10.0.0.2}\n")
    (tmp_path / "units" / "b.yaml").write_text("units:\n- {id: b, host: 10.0.0.3, port: 0}\n")
    (tmp_path / "units" / "c.yaml").write_text("- {id: [}\n")
    (tmp_path / "units" / "d.yaml").write_text("hub: {}\n")
    lines = wrong(tmp_path, f"include: ['units/*.yaml', more.yaml]\n{UNIT}")
    assert lines[3].startswith("units/c.yaml:1:9: is not YAML: ")
    assert lines == [
        "config.yaml:1:27: include[1]: there is no file more.yaml",
        "units/a.yaml:2:8: [1].id: 'gate-a' is used twice, first at config.yaml:2:14 (units[0].id)",
        "units/b.yaml:2:33: units[0].port: must be 1 or more",
        lines[3],
        "units/d.yaml:1:1: an included file has a list of units and nothing else",
    ]
    for name in "bcd":
        (tmp_path / "units" / f"{name}.yaml").unlink()
    loaded = load(tmp_path, "include: ['units/*.yaml']")
    assert [unit.id for unit in loaded.config.units] == ["a", "gate-a"]
    assert loaded.files == (
        tmp_path / "config.yaml",
        tmp_path / "units/*.yaml",
        tmp_path / "units/a.yaml",
    )


def test_a_file_that_is_not_there_is_a_problem_not_a_crash(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml:1:1: cannot be read: No such file"):
        load_config(tmp_path / "none.yaml")


def test_a_file_that_is_a_list_is_refused(tmp_path: Path) -> None:
    assert wrong(tmp_path, "- a\n") == [
        "config.yaml:1:1: must be a mapping with the keys hub, database, units, alerts, …"
    ]


def test_an_empty_value_says_so(tmp_path: Path) -> None:
    lines = wrong(tmp_path, "units:\n  - id: a\n    host:\n    labels:\nfeeds: fab\n")
    assert lines == [
        "config.yaml:3:10: units[0].host: is empty; it must be text",
        "config.yaml:4:12: units[0].labels: is empty; it must be a mapping of keys to values",
        "config.yaml:5:8: feeds: must be a list",
    ]


@pytest.mark.parametrize(
    ("rule", "poll", "interval"),
    [
        ("metric: laeq_1m, above: 65, every: 60s", "idle: 60s", "1m"),
        ("metric: laeq_1m, above: 65, every: 10s", "idle: 10s", "10s"),
        ("metric: laeq_1m, above: 65, every: 60s", "idle: 7s", "7s"),
        ("metric: laeq_1m, above: 65", "gap: 8s", "8s"),
        ("metric: laeq_1m, above: 65", "watched: 20s, idle: 20s", "20s"),
        ("metric: la90_15m, above: 65, every: 5m", "idle: 5m", "5m"),
    ],
)
def test_a_window_that_the_readings_of_a_unit_cannot_fill_is_warned_of(
    tmp_path: Path, rule: str, poll: str, interval: str
) -> None:
    units = f"units: [{{id: a, host: h, poll: {{gap: 1s, {poll}}}}}, {{id: b, host: i}}]\n"
    text = (
        units.replace("gap: 1s, gap", "gap") + f"alerts:\n  rules: [{{name: r, {rule}, units: [a], notify: [o]}}]\n"
    )
    warnings = load(tmp_path, f"{text}  receivers: [{{name: o, url: 'http://h'}}]\n").warnings
    (warning,) = [str(warning) for warning in warnings if "wins over" not in str(warning)]
    assert "sees nothing on a: " in warning
    assert f"and a is read every {interval};" in warning


@pytest.mark.parametrize(
    "rules",
    [
        "{name: r, metric: laeq_1m, above: 65, every: 6s, notify: [o]}",
        "{name: r, metric: laeq_5m, above: 65, every: 60s, notify: [o]}",  # read every 10 s, idle as it is
        "{name: r, metric: laeq_1m, above: 65, every: 60s, notify: [o]}, "
        "{name: s, metric: lp, above: 65, every: 5s, notify: [o]}",  # another rule has it read faster
    ],
)
def test_a_window_that_is_filled_is_not_warned_of(tmp_path: Path, rules: str) -> None:
    text = f"units: [{{id: a, host: h}}]\nalerts:\n  rules: [{rules}]\n"
    assert load(tmp_path, f"{text}  receivers: [{{name: o, url: 'http://h'}}]\n").warnings == ()


def test_a_rule_without_receivers_and_a_gap_that_wins_are_warnings(tmp_path: Path) -> None:
    text = f"{UNIT[:-3]}, poll: {{watched: 250ms}}}}]\nalerts: {{rules: [{{name: a, metric: lp, above: 65}}]}}\n"
    warnings = [str(warning).replace(f"{tmp_path}/", "") for warning in load(tmp_path, text).warnings]
    assert [line.split(": ")[0] for line in warnings] == ["config.yaml:1:71", "config.yaml:2:18"]
    assert "no receiver gets them" in warnings[1]


def test_trusted_proxies_without_tokens_are_a_warning(tmp_path: Path) -> None:
    (warning,) = load(tmp_path, "hub: {trusted_proxies: [127.0.0.1]}").warnings
    assert str(warning).startswith(f"{tmp_path}/config.yaml:1:24: hub.trusted_proxies: ")
    token = "{name: a, token: 0123456789abcdef-, role: viewer}"
    assert load(tmp_path, f"hub: {{trusted_proxies: [127.0.0.1], tokens: [{token}]}}").warnings == ()


def test_an_option_that_redis_does_not_take_is_a_mistake(tmp_path: Path) -> None:
    (said,) = wrong(tmp_path, 'redis: {url: "redis://127.0.0.1/0?socket_timeout=abc"}')
    assert said == "config.yaml:1:14: redis.url: has a value for socket_timeout that cannot be used"


def test_a_rule_on_a_run_total_is_a_warning_at_its_metric(tmp_path: Path) -> None:
    text = f"{UNIT}alerts:\n  rules: [{{name: a, metric: leq, above: 65, notify: [o]}}]\n"
    (warning,) = load(tmp_path, f"{text}  receivers: [{{name: o, url: 'http://h'}}]\n").warnings
    assert str(warning).startswith(f"{tmp_path}/config.yaml:3:29: alerts.rules[0].metric: ")


def test_the_mistakes_of_rules_stand_at_their_keys(tmp_path: Path) -> None:
    text = f"""\
{UNIT}alerts:
  rules:
    - {{name: a, metric: laeq_15min, above: 65}}
    - {{name: unit-unreachable, metric: lp, above: 65, flow: night}}
    - {{name: c, metric: lp, above: 65, schedule: {{from: 7:00, timezone: Europe/Lundon}}}}
    - {{name: d, metric: lp}}
"""
    assert [line.split(": ")[:2] for line in wrong(tmp_path, text)] == [
        ["config.yaml:4:25", "alerts.rules[0].metric"],
        ["config.yaml:5:14", "alerts.rules[1].name"],
        ["config.yaml:5:61", "alerts.rules[1].flow"],
        ["config.yaml:6:57", "alerts.rules[2].schedule.from"],
        ["config.yaml:6:73", "alerts.rules[2].schedule.timezone"],
        ["config.yaml:7:7", "alerts.rules[3]"],
    ]


def test_two_rules_may_share_values_through_an_anchor(tmp_path: Path) -> None:
    text = """\
        units:
          - &gate {id: a, host: 10.0.0.1, port: 1, labels: {site: x}}
          - {<<: *gate, id: b, port: 2}
        """
    units = load(tmp_path, text).config.units
    assert [(unit.id, unit.port, unit.labels) for unit in units] == [
        ("a", 1, {"site": "x"}),
        ("b", 2, {"site": "x"}),
    ]


@given(st.data())
def test_a_mistake_at_any_scalar_is_reported_at_its_position(data: st.DataObject) -> None:
    lines = EXAMPLE.splitlines()
    scalars = [(n, m) for n, line in enumerate(lines) for m in SCALAR.finditer(line)]
    number, found = data.draw(st.sampled_from(scalars))
    line = lines[number]
    lines[number] = f"{line[: found.start(1)]}[[wrong]]{line[found.end(1) :]}"
    with TemporaryDirectory() as folder:
        said = wrong(Path(folder), "\n".join(lines) + "\n")
    assert any(each.startswith(f"config.yaml:{number + 1}:{found.start(1) + 1}: ") for each in said), said


SCALAR = re.compile(r"\w: ([\w.:/-]+)(?=[,}\n]|$)")
EXAMPLE = """\
hub:
  name: häuser
  timezone: Europe/London
units:
  - {id: a, host: 10.0.0.40, labels: {größe: 3, 場所: 東京}, port: 2255, monitor: true}
  - id: b
    host: 10.0.0.41
    poll: {watched: 1s, gap: 1s}
    timeouts:
      connect: 5s
feeds:
  - {id: f, kind: sample-equipment, machines: 12}
database:
  retention: {readings: 14d}
  url: sqlite:///x.db
"""


def test_the_example_of_the_project_is_valid() -> None:
    loaded = load_config(Path(__file__).parents[3] / "config.yaml", {})
    assert len(loaded.config.units) == 3
    assert loaded.warnings == ()


def test_a_thousand_units_load_quickly(tmp_path: Path) -> None:
    text = "units:\n" + "".join(
        f"  - {{id: u{n}, host: 127.0.0.1, port: {n + 1}, labels: {{n: {n}}}, poll: {{gap: 0}}}}\n"
        for n in range(1000)
    )
    assert len(load(tmp_path, text).config.units) == 1000


def test_an_include_that_reads_as_a_number_is_a_file_name(tmp_path: Path) -> None:
    assert "include[0]: there is no file" in wrong(tmp_path, "include: [3]\n")[0]


@pytest.mark.parametrize(
    ("dsn", "user"),
    [
        ("reader/SECRET@host:1521/XE", "reader"),
        ("reader/SEC@RET@host/XE", "reader"),
        ("SECRET@host/XE", "reader"),
        ("reader/SECRET@(DESCRIPTION=(ADDRESS=(HOST=h)))", "reader"),
        ("reader/SECRET?@host/XE", "reader"),
        ("host:1521/XE", "reader/SECRET"),
        ("host:1521/XE", "reader/SECRET@host"),
    ],
)
def test_a_password_outside_its_own_key_is_refused_and_not_repeated(tmp_path: Path, dsn: str, user: str) -> None:
    text = f"""
        feeds:
          - id: fab
            kind: oracle-equipment
            dsn: "{dsn}"
            user: "{user}"
            password: other
        """
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert "SECRET" not in str(caught.value)
    assert re.search(r"config\.yaml:[56]:\d+: feeds\[0\]\.(dsn|user): must ", str(caught.value))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("units:\n", "1:7: units: is empty; write [], or remove the key"),
        ("units: ~\nfeeds: null", "1:8: units: is empty; write [], or remove the key"),
        ("include:", "1:9: include: is empty; write [], or remove the key"),
        ("alerts:", "1:8: alerts: is empty; write {}, or remove the key"),
        ("hub:\n  name: x\ndatabase:\n", "3:10: database: is empty; write {}, or remove the key"),
        ("alerts: {rules: }", "1:17: alerts.rules: is empty; write [], or remove the key"),
        ("alerts:\n  receivers:\n", "2:13: alerts.receivers: is empty; write [], or remove the key"),
        ("hub: {tokens: }", "1:15: hub.tokens: is empty; write [], or remove the key"),
        ("units: [{id: a, host: h, poll: }]", "1:32: units[0].poll: is empty; it must be a mapping"),
        ("units: [{id: a, host: h, labels: }]", "1:34: units[0].labels: is empty; it must be a mapping"),
        ("units: [{id: a, host: h, port: }]", "1:32: units[0].port: is empty; it must be a whole number"),
        ("units: [{id: a, host: h, poll: {idle: 300}}]", "1:39: units[0].poll.idle: 300 needs a unit: write 300s"),
        ("units: [{id: a, host: h, poll: {idle: 1.5}}]", "1:39: units[0].poll.idle: 1.5 needs a unit: write 1.5s"),
        ('units: [{id: a, host: h, poll: {idle: "7"}}]', "1:39: units[0].poll.idle: 7 needs a unit: write 7s"),
        ("units: [{id: a, host: h, poll: {idle: true}}]", "1:39: units[0].poll.idle: True is not a duration"),
        ("units: [{id: a, host: h, poll: {idle: -1}}]", "1:39: units[0].poll.idle: -1 is not a duration"),
        ("alerts: {site_settle: 20}", "1:10: alerts.site_settle: unknown key"),
        ("units:\n  - id: a\n\thost: h\n", "3:1: line 3 uses a tab; YAML indents with spaces"),
        ("hub:\n\tname: x\n", "2:1: line 2 uses a tab; YAML indents with spaces"),
        ("units:\n-\tid: a\n", "2:2: line 2 uses a tab; YAML indents with spaces"),
    ],
)  # fmt: skip
def test_each_mistake_says_what_to_write(tmp_path: Path, text: str, said: str) -> None:
    lines = wrong(tmp_path, text)
    assert lines[0].startswith(f"config.yaml:{said}")
    assert len(lines) == 1 + ("feeds" in text)


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("'a blank 0123456789'", "a blank or a line end"),
        ('"line-end-012345\\n"', "a blank or a line end"),
        ('"tab-\\t-0123456789abc"', "a blank or a line end"),
        ("'ümlaut-0123456789'", "a character"),
        ("'a=b-0123456789abc'", "a character"),
        ("'a,b;0123456789abc'", "a character"),
        ('"nul-\\0-0123456789abc"', "a character"),
    ],
)
def test_a_token_that_bearer_cannot_carry_is_refused(tmp_path: Path, token: str, said: str) -> None:
    (line,) = wrong(tmp_path, f"hub: {{tokens: [{{name: a, token: {token}, role: viewer}}]}}")
    assert line.startswith(f"config.yaml:1:33: hub.tokens[0].token: holds {said} that no Bearer header can carry")
    assert "0123" not in line


@pytest.mark.parametrize("token", ["0123456789abcdef", "MDEyMzQ1Njc4OWFiY2RlZg==", "a.b-c_d~e+f/0123456789"])
def test_a_token_of_bearer_characters_is_accepted(tmp_path: Path, token: str) -> None:
    text = f'hub: {{tokens: [{{name: a, token: "{token}", role: viewer}}]}}'
    assert load(tmp_path, text).config.hub.tokens[0].token.get_secret_value() == token


@pytest.mark.parametrize("end", ["\n", "\r\n", "", "\n\n"])
def test_a_variable_loses_its_line_end_as_a_file_does(tmp_path: Path, end: str) -> None:
    (tmp_path / "token").write_bytes(f"0123456789abcdeX{end}".encode())
    text = """\
        hub:
          tokens:
            - {name: a, token: "${T}", role: viewer}
            - {name: b, token: {file: token}, role: viewer}
            - {name: c, token: "x-${T}-x", role: viewer}
        """
    tokens = load(tmp_path, text, T=f"0123456789abcdef{end}").config.hub.tokens
    assert [token.token.get_secret_value() for token in tokens] == [
        "0123456789abcdef",
        "0123456789abcdeX",
        "x-0123456789abcdef-x",
    ]


def test_a_configuration_that_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for name, said in (
        ("fifo", "is not a regular file"),
        ("/dev/zero", "is not a regular file"),
        (".", "Is a dir"),
    ):
        with pytest.raises(ConfigError, match=f"cannot be read: {said}"):
            load_config(tmp_path / name, {})
    text = "include: [fifo]\nhub: {tokens: [{name: a, token: {file: fifo}, role: viewer}]}"
    assert sorted(wrong(tmp_path, text)) == [
        "config.yaml:2:40: hub.tokens[0].token: cannot read fifo: is not a regular file",
        "fifo:1:1: cannot be read: is not a regular file",
    ]


def test_a_rule_is_held_against_many_units_quickly(tmp_path: Path) -> None:
    units = [f"{{id: u{n}, host: h{n}}}" for n in range(1000)]
    rules = [f"{{name: r{n}, metric: lp, above: 1, units: ['u{n}', 'u*', '*{n % 10}']}}" for n in range(300)]
    loaded = load(tmp_path, f"units: [{', '.join(units)}]\nalerts: {{rules: [{', '.join(rules)}]}}")
    assert len(loaded.config.alerts.rules) == 300


def test_of_very_many_problems_the_first_are_shown_and_the_rest_counted(tmp_path: Path) -> None:
    lines = wrong(tmp_path, f"units: [{', '.join(['x'] * 500)}]")
    assert len(lines) == 101
    assert lines[-1] == "and 400 more problems"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path.mkdir(), "Is a directory"),
        (lambda path: path.symlink_to("nowhere"), "No such file or directory"),
        (os.mkfifo, "is not a regular file"),
    ],
)
def test_an_included_name_that_is_no_file_is_a_mistake(
    tmp_path: Path, make: Callable[[Path], None], said: str
) -> None:
    make(tmp_path / "units.yaml")
    assert wrong(tmp_path, "include: [units.yaml]") == [f"units.yaml:1:1: cannot be read: {said}"]


def test_a_pattern_skips_folders_and_reports_unreadable_files(tmp_path: Path) -> None:
    (tmp_path / "units" / "old").mkdir(parents=True)
    (tmp_path / "units" / "a.yaml").write_text("- {id: a, host: h}")
    assert len(load(tmp_path, "include: ['units/*']").config.units) == 1
    (tmp_path / "units" / "b.yaml").symlink_to("nowhere")
    assert wrong(tmp_path, "include: ['units/*']") == [
        "units/b.yaml:1:1: cannot be read: No such file or directory"
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("redis:", "1:7: redis: is empty; write what belongs there, or remove the key"),
        ("unit:", "1:1: unit: unknown key; did you mean 'units'?"),
    ],
)
def test_a_key_left_empty_is_a_mistake_known_or_not(tmp_path: Path, text: str, said: str) -> None:
    assert wrong(tmp_path, text) == [f"config.yaml:{said}"]
