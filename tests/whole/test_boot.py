"""The hub comes up and measures, or says why it cannot."""

import socket
import sys
from pathlib import Path
from subprocess import CompletedProcess

import anyio
import pytest

from tests.whole.running_hub import eventually
from tests.whole.site import QUIET, Site, open_site

pytestmark = pytest.mark.anyio


async def test_from_start_to_the_first_frame_and_row(tmp_path: Path) -> None:
    async with open_site(tmp_path, 3) as site, site.run() as hub:
        with anyio.fail_after(2):
            async with hub.watch("/api/units/gate-1/live") as viewer:
                frame = await viewer.receive_json()
                while frame["sequence"] is None:
                    frame = await viewer.receive_json()
            assert (frame["unit_id"], frame["lp"], frame["feed_status"]) == ("gate-1", QUIET, "ok")
            row = "SELECT 1 FROM readings WHERE unit_id = 'gate-1' AND sequence = ?"
            await eventually(lambda: site.rows(row, frame["sequence"]))
        assert (await hub.get("/healthz"))["status"] == "ok"
        stored = await hub.get("/api/units/gate-1/history")
        assert {item["lp"] for item in stored["items"]} == {QUIET}
        assert await hub.stop() == 0


async def test_a_taken_port_ends_with_3(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        async with open_site(tmp_path, 1) as site:
            site.config["hub"]["listen"] = f"127.0.0.1:{taken.getsockname()[1]}"
            ended = await _run(site)
            assert (ended.returncode, ended.stderr.count(b"\n")) == (3, 1)
            assert b"change hub.listen" in ended.stderr
            assert site.meters[0].counters.connections == 0


async def test_a_bad_configuration_ends_with_2_and_names_every_mistake(tmp_path: Path) -> None:
    async with open_site(tmp_path, 1) as site:
        site.config["units"][0]["port"] = 70000
        site.config["units"][0]["hots"] = "10.0.0.1"
        site.config["alerts"]["rules"][0]["metric"] = "lq"
        ended = await _run(site)
        assert ended.returncode == 2
        problems = ended.stderr.decode().splitlines()
        assert len(problems) == 3
        assert all("config.yaml:" in line for line in problems)
        for place in ("units[0].port", "units[0].hots", "alerts.rules[0].metric"):
            assert any(place in line for line in problems)
        assert not (tmp_path / "data").exists()


async def test_a_second_hub_on_the_same_data_is_refused(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    async with open_site(first, 1) as site, site.run(), open_site(second, 1) as other:
        hub = other.config["hub"]
        for other.config in (
            {"hub": hub | {"data_dir": str(first / "data")}},
            {"hub": hub, "database": {"url": f"sqlite:///{site.database}"}},
        ):
            ended = await _run(other)
            assert (ended.returncode, ended.stderr.count(b"\n")) == (1, 1)
            assert b"another hub" in ended.stderr


async def _run(site: Site) -> CompletedProcess[bytes]:
    """The command itself, to its end."""
    site.write()
    command = [sys.executable, "-m", "hub", "run", str(site.path)]
    with anyio.fail_after(60):
        return await anyio.run_process(command, check=False, cwd=Path(__file__).parent.parent.parent)
