"""SIGTERM: viewers are told, what was read is stored, what hangs is left, and all within five seconds."""

import signal
import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import anyio
import pytest
from httpx_ws import WebSocketDisconnect

from hub.app.service import STOP_WITHIN_S
from tests.elapsed import takes_less_than
from tests.whole.running_hub import RunningHub, eventually
from tests.whole.site import LOUD, Site, open_site

pytestmark = pytest.mark.anyio

_NO_RESOLVER = """
import asyncio, time
from hub.nl43 import link
async def dial(*of):
    await asyncio.get_running_loop().run_in_executor(None, time.sleep, 10)
link.dial = dial
"""


async def test_a_stop_amid_viewers_a_hanging_meter_and_a_hanging_receiver(tmp_path: Path) -> None:
    async with open_site(tmp_path, 3) as site:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            _tell_too(site, silent)
            async with site.run() as hub, anyio.create_task_group() as tasks:
                async with hub.watch("/api/units/gate-0/live") as one, hub.watch("/api/live?units=*") as board:
                    await eventually(lambda: site.rows("SELECT 1 FROM readings WHERE unit_id = 'gate-2'"))
                    site.meters[2].set_fault("mute")
                    site.meters[1].set_lp(LOUD)
                    await site.hears("alert.onset", "loud")
                    last = (await one.receive_json())["sequence"]
                    tasks.start_soon(_ask_in_vain, hub)
                    await anyio.sleep(0.1)  # the question is on its way to the mute meter
                    hub.send(signal.SIGTERM)
                    codes = []
                    for viewer in (one, board):
                        try:
                            while True:
                                frame = await viewer.receive_json()
                                if viewer is one:
                                    last = frame["sequence"]
                        except WebSocketDisconnect as end:
                            codes.append(end.code)
                    assert await hub.ended(5) == 0
                assert set(codes) <= {1001, 1012}
                assert not [line for line in hub.lines if "Traceback" in line or "not stopped" in line]
            [stored] = site.rows("SELECT max(sequence) AS last FROM readings WHERE unit_id = 'gate-0'")
            assert stored["last"] >= last
            for unit in range(2):
                [row] = site.rows("SELECT count(*) AS n FROM readings WHERE unit_id = ?", f"gate-{unit}")
                assert 0 <= site.meters[unit].counters.commands["DOD?"] - row["n"] <= 1  # one may be on its way
            waiting = site.rows("SELECT state, body FROM deliveries WHERE receiver = 'silent'")
            assert [row["state"] for row in waiting] == ["pending"]
            assert waiting[0]["body"]
        with closing(sqlite3.connect(site.database)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


async def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    async with open_site(tmp_path, 1) as site:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            _tell_too(site, silent)
            async with site.run() as hub:
                site.meters[0].set_lp(LOUD)
                await site.hears("alert.onset", "loud")
                hub.send(signal.SIGTERM)
                await eventually(lambda: any('"stopping"' in line for line in hub.lines))
                hub.send(signal.SIGTERM)
                assert await hub.ended(1) == 1


async def test_a_stop_does_not_wait_for_a_resolver_that_does_not_answer(tmp_path: Path) -> None:
    async with open_site(tmp_path, 1) as site, site.run(_NO_RESOLVER) as hub:
        assert await hub.stop(within_s=5) == 0
        assert '"stopped"' in hub.lines[-1]


async def test_ctrl_c_stops_as_well_and_the_meter_gets_its_socket_back(tmp_path: Path) -> None:
    async with open_site(tmp_path, 1) as site, site.run() as hub:
        await site.meters[0].until(lambda: site.meters[0].has_session)
        with takes_less_than(STOP_WITHIN_S):
            hub.send(signal.SIGINT)
            await site.meters[0].until(lambda: not site.meters[0].has_session)
            assert await hub.ended(STOP_WITHIN_S) == 0


async def _ask_in_vain(hub: RunningHub) -> None:
    problem = await hub.ask("POST", "/api/units/gate-2/poll", 503)
    assert "stopping" in problem["detail"]


def _tell_too(site: Site, silent: socket.socket) -> None:
    """A second receiver, which takes connections and never answers."""
    alerts = site.config["alerts"]
    alerts["receivers"].append({"name": "silent", "url": f"http://127.0.0.1:{silent.getsockname()[1]}/"})
    alerts["rules"][0]["notify"] = ["ops", "silent"]
