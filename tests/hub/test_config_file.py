"""The whole file: what is read, and every way it can be wrong."""

from pathlib import Path
from textwrap import dedent

import pytest

from hub.config_file import Loaded, load_config
from hub.problem import ConfigError

UNIT = "units: [{id: gate-a, host: 10.0.0.40, labels: {site: dockside}}]\n"


def load(folder: Path, text: str, **environ: str) -> Loaded:
    (folder / "config.yaml").write_text(dedent(text), "utf-8")
    return load_config(folder / "config.yaml", environ)


def wrong(folder: Path, text: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(folder, text, **environ)
    return str(caught.value).replace(f"{folder}/", "").splitlines()


def test_an_empty_file_is_a_hub_without_units(tmp_path: Path) -> None:
    loaded = load(tmp_path, "")
    assert loaded.config.hub.port == 8480
    assert loaded.config.hub.data_dir == tmp_path / "data"
    assert loaded.config.database.url.get_secret_value() == f"sqlite:///{tmp_path}/data/hub.db"
    assert loaded.files == (tmp_path / "config.yaml",)


def test_all_problems_are_told_at_once_with_their_places(tmp_path: Path) -> None:
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
            - {name: one, metric: laeq_15min, above: 65, units: [gate-c], notify: [opps]}
          receivers: [{name: ops, url: "https://example.org"}]
        """
    assert wrong(tmp_path, text) == [
        "config.yaml:1:7: hub.nmae: unknown key; did you mean 'name'?",
        "config.yaml:5:11: units[0].port: must be a whole number",
        "config.yaml:6:21: units[0].poll.watched: 1 is not a duration; "
        "write a number and a unit, such as 250ms, 1s, 5m, 2h, 14d",
        "config.yaml:7:10: units[1].id: 'gate-a' is used twice, first at config.yaml:3:9 (units[0].id)",
        "config.yaml:7:41: units[1].kind: must be nl43; did you mean 'nl43'?",
        "config.yaml:8:5: units[2].host: is required",
        "config.yaml:8:9: units[2].id: must be 1 to 64 letters, digits or any of _ . -",
        "config.yaml:10:21: feeds[0].kind: must be oracle-equipment or sample-equipment; "
        "did you mean 'oracle-equipment'?",
        "config.yaml:11:39: feeds[1].pasword: unknown key; did you mean 'password'?",
        "config.yaml:14:27: alerts.rules[0].metric: no metric is named 'laeq_15min'; did you mean 'laeq_15m'?",
        "config.yaml:14:58: alerts.rules[0].units[0]: 'gate-c' matches no unit; did you mean 'gate-a'?",
        "config.yaml:14:76: alerts.rules[0].notify[0]: no receiver is named 'opps'; did you mean 'ops'?",
    ]
