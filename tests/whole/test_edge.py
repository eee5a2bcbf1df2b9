"""Clients that open connections and say nothing: readings, alarms and health go on, and an alert names them."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import anyio
import pytest

from tests.elapsed import takes_less_than
from tests.whole.running_hub import eventually
from tests.whole.site import LOUD, QUIET, open_site

pytestmark = pytest.mark.anyio

_FEW_DESCRIPTORS = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
"""
_HALF_A_BODY = b"POST /api/login HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 100\r\n\r\n{"
_DOWNLOAD = b"GET /api/units/gate-0/history?format=csv HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"


@contextmanager
def _left_standing(port: int) -> Iterator[None]:
    """More connections than the hub may have descriptors: silent ones, half a body, answers that nobody reads."""
    with ExitStack() as stack:
        for first, count in ((b"", 300), (_HALF_A_BODY, 100), (_DOWNLOAD, 60)):
            for _ in range(count):
                one = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
                try:
                    one.send(first)
                except OSError:
                    pass  # closed already, to make room
        yield


async def test_the_alarm_path_works_while_clients_take_every_connection(tmp_path: Path) -> None:
    async with open_site(tmp_path, 3) as site, site.run(_FEW_DESCRIPTORS) as hub:
        with ExitStack() as stack:
            attack = _left_standing(site.port)
            await anyio.to_thread.run_sync(stack.enter_context, attack)
            before = site.rows("SELECT count(*) AS n FROM readings")[0]["n"]
            site.meters[0].set_lp(LOUD)
            await site.hears("alert.onset", "loud", within_s=5)
            named = await site.hears("alert.onset", "edge-overloaded", within_s=10)
            assert "connections from 127.0.0.1" in named.document["alert"]["reason"]
            for path in ("/livez", "/readyz", "/healthz"):
                with takes_less_than(5):
                    await hub.get(path)
            site.meters[0].set_lp(QUIET)
            await site.hears("alert.clear", "loud", within_s=5)
            await eventually(lambda: site.rows("SELECT count(*) AS n FROM readings")[0]["n"] > before + 10, 20)
        assert sum("too many connections" in line for line in hub.lines) == 1
        assert not [line for line in hub.lines if "Traceback" in line]
        assert await hub.stop() == 0
