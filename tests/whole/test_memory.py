"""What viewers ask for at their worst, in memory: bounded while they ask, and given back afterwards."""

import os
import random
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from hub.database.database import open_database
from hub.store.batch import BatchMaker, sqlite_time
from hub.store.insert import write_batch
from hub.store.schema import upgrade
from hub.trace.sample import id_of
from tests.hub.store.events import snapshot
from tests.whole.running_hub import RunningHub
from tests.whole.site import Site, open_site

pytestmark = pytest.mark.anyio

TOKENS = [{"name": f"viewer-{n}", "token": f"viewer-{n}-0123456789abcdef", "role": "viewer"} for n in range(4)]
IS_SOAK = os.environ.get("HUB_SOAK") == "1"
READINGS, REQUESTS = (30_000, 10_000) if IS_SOAK else (12_000, 150)
AT_ONCE = 40
LOOK_EACH_SECOND = "import hub.runtime.memory_upkeep; hub.runtime.memory_upkeep._CHECK_INTERVAL_S = 1.0"
AFTER = 1.4  # of idle; Python gives back a megabyte only when nothing in it is left
PAGE = os.sysconf("SC_PAGE_SIZE")


async def fill(site: Site) -> None:
    """Hours of readings of a unit that nobody polls."""
    start = datetime.now(UTC) - timedelta(hours=12)
    site.database.parent.mkdir(exist_ok=True)
    async with open_database(f"sqlite:///{site.database}") as database:
        await database.write(upgrade)
        maker = BatchMaker(sqlite_time)
        for first in range(0, READINGS, 3000):
            events = [
                snapshot(n + 1, unit_id="gate-0")._replace(at=start + timedelta(seconds=n))
                for n in range(first, first + 3000)
            ]
            batch = maker.make(events)
            await database.write(partial(write_batch, batch=batch))


def worst() -> list[tuple[str, str, dict[str, Any]]]:
    """Method, address and options of what costs most."""
    history, since = "/api/units/gate-0/history", (datetime.now(UTC) - timedelta(days=14)).isoformat()
    whole = {"from": since, "limit": 10_000}
    ids = [id_of(lot) for lot in range(1000)]
    many = [f"{number:016x}" for number in range(200_000)]
    return [
        ("GET", history, {"params": {**whole, "metrics": ",".join(["lp"] * 1900)}}),
        ("GET", history, {"params": whole}),
        ("GET", history, {"params": {**whole, "step": "1s"}}),
        ("GET", history, {"params": {"from": since, "format": "csv"}}),
        ("GET", "/api/alerts", {"params": {"limit": 1000}}),
        ("GET", "/api/units", {}),
        ("GET", "/api/equipment", {}),
        ("GET", "/metrics", {}),
        ("POST", "/api/equipment/lookup", {"json": {"ids": many[:10_000]}}),
        ("POST", "/api/trace/seed", {"json": {"profile": "query_tool", "params": {"lot_id": many[:1000]}}}),
        ("POST", "/api/trace/events", {"json": {"container_ids": ids, "domains": ["history", "holds", "rejects"]}}),
        ("POST", "/api/trace/lineage", {"json": {"container_ids": ids, "direction": "both"}}),
        ("POST", "/api/trace/lineage", {"json": {"container_ids": many, "direction": "both"}}),
    ]


def resident_mb(hub: RunningHub) -> float:
    return int(Path(f"/proc/{hub.pid}/statm").read_text().split()[1]) * PAGE / 1e6


async def ask_each_once(hub: RunningHub) -> None:
    """What is imported and cached at the first request is there afterwards; no job runs any more."""
    headers = {"authorization": f"Bearer {TOKENS[0]['token']}"}
    for method, path, options in worst():
        answer = await hub.http.request(method, path, headers=headers, timeout=120, **options)
        location = answer.headers.get("location")
        if location is not None:
            await hub.http.delete(location, headers=headers, timeout=120)


async def ask_all(hub: RunningHub, port: int, count: int, seen: Callable[[], None]) -> Counter[int]:
    """`count` requests by four viewers, many at once; the statuses that came."""
    statuses: Counter[int] = Counter()
    kinds, chance, left = worst(), random.Random(1), iter(range(count))
    limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", limits=limits, timeout=120) as client:

        async def viewer() -> None:
            for number in left:
                method, path, options = chance.choice(kinds)
                token = TOKENS[number % len(TOKENS)]["token"]
                headers = {"authorization": f"Bearer {token}"}
                async with client.stream(method, path, headers=headers, **options) as answer:
                    statuses[answer.status_code] += 1
                    try:
                        async for _ in answer.aiter_raw():
                            pass
                    except httpx.RemoteProtocolError:
                        statuses[0] += 1
                    location = answer.headers.get("location")
                if location is not None:
                    await client.delete(location, headers=headers)
                    await client.delete(location, headers=headers)
                seen()

        async with anyio.create_task_group() as tasks:
            for _ in range(AT_ONCE):
                tasks.start_soon(viewer)
    return statuses


async def test_viewers_at_their_worst_cost_a_bounded_amount_of_memory(tmp_path: Path) -> None:
    async with open_site(tmp_path, 1) as site:
        site.config["hub"]["tokens"] = TOKENS
        site.config["feeds"] = [{"id": "fab", "kind": "sample-equipment"}]
        await fill(site)
        async with site.run(None if IS_SOAK else LOOK_EACH_SECOND) as hub:
            await ask_each_once(hub)
            await anyio.sleep(2)
            idle_mb = most_mb = resident_mb(hub)

            def seen() -> None:
                nonlocal most_mb
                most_mb = max(most_mb, resident_mb(hub))

            statuses = await ask_all(hub, site.port, REQUESTS, seen)
            with anyio.move_on_after(60):
                while (after_mb := resident_mb(hub)) > idle_mb * AFTER:
                    await anyio.sleep(0.5)
            figures = f"idle {idle_mb:.0f} MB, at most {most_mb:.0f} MB, after {after_mb:.0f} MB, {dict(statuses)}"
            print(figures)
            assert set(statuses) <= {200, 202, 503}, figures
            assert statuses[200] > REQUESTS / 10, figures
            assert most_mb < idle_mb + 300, figures
            assert after_mb <= idle_mb * AFTER, figures
            assert await hub.stop() == 0
