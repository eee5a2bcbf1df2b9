import json
import subprocess
import sys
from pathlib import Path

from hub.app.descriptors import reserved
from hub.config.models import Config

_PLACES = 40


def test_it_measures_readings_onsets_health_and_the_alert_under_attack(tmp_path: Path) -> None:
    units = [{"id": f"u{n}", "host": "127.0.0.1"} for n in range(3)]
    alerts = {"receivers": [{"name": "bench", "url": "http://127.0.0.1/"}]}
    few = reserved(Config.model_validate({"units": units, "alerts": alerts})) + _PLACES
    command = [sys.executable, "-m", "hub", "bench", "edge", "--json", "--units", "3", "--onsets", "2"]
    command += ["--seconds", "6", "--warm-up", "1", "--descriptors", str(few)]
    command += ["--silent", "60", "--bodies", "20", "--downloads", "10"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    found = json.loads(ran.stdout)
    assert found["attack"] == {"silent": 60, "bodies": 20, "downloads": 10}
    assert found["calm"]["alert"] is None
    attacked = found["attacked"]
    assert attacked["connections"]["most"] == _PLACES
    assert attacked["connections"]["pushed_out"] > 0
    assert "connections from 127.0.0.1" in attacked["alert"]
    assert attacked["onsets"]["sent"] == attacked["onsets"]["sample_to_webhook"]["count"] == 2
    assert attacked["onsets"]["without_webhook"] == 0
    assert attacked["readings"]["failed_polls"] == attacked["readings"]["dropped"] == 0
    assert attacked["readings"]["stored"] >= attacked["readings"]["polled"] - 3
    assert attacked["readyz"]["failed"] == 0
    assert attacked["readyz"]["max_ms"] > 0
    assert "Traceback" not in ran.stderr
