"""A database that goes away, a server or a file: it delays alerts by two seconds, and nothing is lost."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import psycopg
import pytest
from anyio.abc import SocketAttribute, SocketStream

from tests.hub.conftest import own_postgres
from tests.whole.running_hub import eventually
from tests.whole.site import LOUD, QUIET, open_site

pytestmark = pytest.mark.anyio

_TOLD_WITHIN_S = 3.5  # commits have to have failed for 2 s


@dataclass(slots=True)
class Way:
    """The way to a server: open, cut (connections end, new ones too) or silent (nothing passes any more)."""

    target: tuple[str, int]
    port: int = 0
    is_cut: bool = False
    flows: anyio.Event = field(default_factory=anyio.Event)
    streams: set[SocketStream] = field(default_factory=set)

    async def cut(self) -> None:
        self.is_cut = True
        for stream in list(self.streams):
            await anyio.aclose_forcefully(stream)

    def silence(self) -> None:
        self.flows = anyio.Event()

    def mend(self) -> None:
        self.is_cut = False
        self.flows.set()

    async def serve(self, near: SocketStream) -> None:
        async with near:
            if self.is_cut:
                return
            async with await anyio.connect_tcp(*self.target) as far, anyio.create_task_group() as tasks:
                self.streams |= {near, far}
                tasks.start_soon(self._pass, near, far)
                await self._pass(far, near)
                tasks.cancel_scope.cancel()
            self.streams -= {near, far}

    async def _pass(self, source: SocketStream, target: SocketStream) -> None:
        try:
            while True:
                data = await source.receive()
                await self.flows.wait()
                await target.send(data)
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            await anyio.aclose_forcefully(target)


@asynccontextmanager
async def open_way(host: str, port: int) -> AsyncIterator[Way]:
    """A TCP relay for as long as the block runs."""
    way = Way((host, port))
    way.flows.set()
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        way.port = listener.extra(SocketAttribute.local_port)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, way.serve)
            yield way
            tasks.cancel_scope.cancel()


@pytest.mark.parametrize("trouble", ["cut", "silent"])
async def test_a_server_that_is_gone_delays_alerts_little(
    tmp_path: Path, empty_postgres: str, trouble: str
) -> None:
    server = urlsplit(empty_postgres)
    async with (
        open_site(tmp_path, 2) as site,
        open_way(server.hostname or "127.0.0.1", server.port or 5432) as way,
    ):
        user = server.netloc.rpartition("@")[0]
        site.postgres = empty_postgres
        site.config["database"] = {"url": server._replace(netloc=f"{user}@127.0.0.1:{way.port}").geturl()}
        async with site.run() as hub:
            await eventually(lambda: site.rows("SELECT 1 FROM readings"))
            if trouble == "cut":
                await way.cut()
            else:
                way.silence()
            site.meters[0].set_lp(LOUD)
            onset = await site.hears("alert.onset", "loud", "gate-0", _TOLD_WITHIN_S)
            await site.hears("alert.onset", "storage-failing")
            site.meters[0].set_lp(QUIET)
            clear = await site.hears("alert.clear", "loud", "gate-0", 1.0)
            assert not onset.document["persisted"]
            assert not clear.document["persisted"]
            assert {one["reachable"] for one in (await hub.get("/api/monitors"))["items"]} == {True}
            way.mend()
            await site.hears("alert.clear", "storage-failing", within_s=30)
            await hub.ready()
            site.meters[1].set_lp(LOUD)
            assert (await site.hears("alert.onset", "loud", "gate-1")).document["persisted"]
            await eventually(lambda: not site.rows("SELECT 1 FROM deliveries WHERE state <> 'delivered'"))
            assert await hub.stop() == 0
        stored = {row["id"]: row["body"].encode() for row in site.rows("SELECT id, body FROM deliveries")}
        assert stored == {received.id: received.body for received in site.receiver.received}
        assert len(stored) == site.receiver.count
        for number, meter in enumerate(site.meters):
            [row] = site.rows("SELECT count(*) AS n FROM readings WHERE unit_id = ?", f"gate-{number}")
            assert 0 <= meter.counters.commands["DOD?"] - row["n"] <= 1


async def test_a_deleted_database_file_is_told_at_once_and_loses_nothing(tmp_path: Path) -> None:
    async with open_site(tmp_path, 1) as site:
        async with site.run() as hub:
            await eventually(lambda: site.rows("SELECT 1 FROM readings"), 20)
            for name in ("hub.db", "hub.db-wal", "hub.db-shm"):
                (site.database.parent / name).unlink()
            await site.hears("alert.onset", "storage-failing", within_s=20)
            assert not await hub.is_ready()
            site.meters[0].set_lp(LOUD)
            assert not (await site.hears("alert.onset", "loud", within_s=20)).document["persisted"]
            await site.hears("alert.clear", "storage-failing", within_s=60)
            await hub.ready()
            assert await hub.stop() == 0
        [row] = site.rows("SELECT count(*) AS n FROM readings")
        assert 0 <= site.meters[0].counters.commands["DOD?"] - row["n"] <= 1
        assert site.rows("SELECT 1 FROM alerts WHERE rule = 'loud'")


async def test_sessions_that_a_failover_left_read_only_are_replaced(tmp_path: Path, postgres_url: str) -> None:
    with own_postgres(postgres_url) as url, psycopg.connect(postgres_url, autocommit=True) as admin:
        name = url.rpartition("/")[2]
        async with open_site(tmp_path, 1) as site:
            site.postgres, site.config["database"] = url, {"url": url}
            async with site.run() as hub:
                await eventually(lambda: site.rows("SELECT 1 FROM readings"), 20)
                admin.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
                admin.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
                await site.hears("alert.onset", "storage-failing", within_s=20)
                site.meters[0].set_lp(LOUD)
                assert not (await site.hears("alert.onset", "loud", within_s=20)).document["persisted"]
                admin.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
                await site.hears("alert.clear", "storage-failing", within_s=30)
                await hub.ready()
                assert await hub.stop() == 0
            [row] = site.rows("SELECT count(*) AS n FROM readings")
            assert 0 <= site.meters[0].counters.commands["DOD?"] - row["n"] <= 1
            assert site.rows("SELECT 1 FROM alerts WHERE rule = 'loud'")
