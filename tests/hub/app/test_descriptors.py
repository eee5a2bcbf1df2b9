"""File descriptors: what the web server may have is what meters, receivers and the database leave."""

import resource
import subprocess
import sys

from hub.app.descriptors import most_connections, reserved, too_few
from hub.config.models import Config

UNITS = [{"id": f"u{n}", "host": "127.0.0.1"} for n in range(100)]
RECEIVERS = [{"name": f"r{n}", "url": "http://127.0.0.1/"} for n in range(3)]


def test_every_unit_and_every_receiver_keeps_descriptors_back() -> None:
    bare, full = Config(), Config.model_validate({"units": UNITS, "alerts": {"receivers": RECEIVERS}})
    assert reserved(full) == reserved(bare) + 2 * 100 + 24 * 3
    assert most_connections(full, 1024) == 1024 - reserved(full)


def test_connections_are_bounded_where_descriptors_are_not() -> None:
    assert most_connections(Config(), 1 << 20) == 2048


def test_a_limit_that_leaves_nothing_says_what_to_raise() -> None:
    config = Config.model_validate({"units": UNITS})
    assert too_few(config, 1024) is None
    assert most_connections(config, 256) == 32
    assert "ulimit -n" in (too_few(config, 256) or "")


def test_the_soft_limit_is_raised_to_the_hard_one() -> None:
    hard = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 4096)
    raised = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (200, {hard}));"
            "from hub.app.descriptors import raise_limit; print(raise_limit())",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert raised.stdout.split() == [str(hard)]
