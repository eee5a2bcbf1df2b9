"""`hub bench edge`: the real hub with few file descriptors, attacked by clients that only hold connections."""

import resource
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
from anyio.streams.buffered import BufferedByteReceiveStream

from alerts.model.moments import rfc3339
from hub.app.composition import Hub, open_hub
from hub.bench.poll import Peer, open_peer, polls_of, units_at
from hub.bench.timing import SECRET, milliseconds, peak_rss_mb, rss_mb, run_lag, unit_id
from hub.config.models import Config
from hub.runtime.interpreter import settle_interpreter
from hub.runtime.logs import configure_logs

_LIMIT_DB = 85.0
_CROSSING_DB = 90.0
_HISTORY_ROWS = 40_000  # a download larger than the buffers of the kernel
_POLL_S = 0.05


async def run_edge(
    units: int = 100,
    seconds: float = 60.0,
    silent: int = 1150,
    bodies: int = 300,
    downloads: int = 200,
    onsets: int = 20,
    descriptors: int = 1024,
    warm_up_s: float = 10.0,
) -> dict[str, Any]:
    """Measure `seconds` without and `seconds` under attack; in both, `onsets` units cross a limit at once."""
    configure_logs("json", "error")
    with TemporaryDirectory(prefix="hub-bench-") as folder:
        async with open_peer(units, 0.0) as meters, _open_clients() as clients, _open_clients() as prober:
            peer_info = await meters.read()
            before = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(descriptors, before[1]), before[1]))
            try:
                async with open_hub(_config(Path(folder), peer_info["ports"], peer_info["url"])) as hub:
                    settle_interpreter()
                    path = await _fill_history(hub)
                    await anyio.sleep(warm_up_s)
                    await prober.call(do="probe", port=hub.port)
                    calm = await _phase(hub, meters, prober, seconds, onsets)
                    attack = {"silent": silent, "bodies": bodies, "downloads": downloads}
                    await clients.call(do="attack", port=hub.port, path=path, **attack)
                    attacked = await _phase(hub, meters, prober, seconds, onsets)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, before)
    return {"units": units, "descriptors": descriptors, "attack": attack, "calm": calm, "attacked": attacked}


async def _phase(hub: Hub, meters: Peer, prober: Peer, seconds: float, onsets: int) -> dict[str, Any]:
    await meters.call(do="report")
    await prober.call(do="probe")
    lags_s: list[float] = []
    gaps_s: dict[str, float] = {}
    polls, failed, written = polls_of(hub), _failed(hub), hub.recorder.written
    began_s = time.monotonic()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_lag, lags_s)
        tasks.start_soon(_watch_gaps, hub, gaps_s)
        await anyio.sleep(seconds / 3)
        await meters.call(do="cross", units=list(range(onsets)), lp=_CROSSING_DB)
        await anyio.sleep(seconds / 3)
        crossed = await meters.call(do="quiet")
        await anyio.sleep(seconds / 3)
        tasks.cancel_scope.cancel()
    took_s = time.monotonic() - began_s
    report, probed = await meters.call(do="report"), await prober.call(do="probe")
    counts = hub.connections.counts
    alert = next((one.reason for one in hub.alerts.open_alerts() if one.rule == "edge-overloaded"), None)
    return {
        "seconds": round(took_s, 1),
        "readings": {
            "expected": round(took_s) * len(hub.fleet.units),
            "polled": polls_of(hub) - polls,
            "stored": hub.recorder.written - written,
            "failed_polls": _failed(hub) - failed,
            "dropped": hub.recorder.dropped,
            "longest_gap_s": round(max(gaps_s.values(), default=0.0), 2),
        },
        "onsets": crossed | {"sample_to_webhook": milliseconds(report["webhook_s"])},
        "readyz": milliseconds(probed["ready_s"]) | {"failed": probed["unready"]},
        "loop_lag": milliseconds(lags_s),
        "connections": {
            "accepted": counts.accepted,
            "most": hub.connections.limit,
            "now": len(hub.connections),
            "refused": counts.refused,
            "pushed_out": counts.evicted,
            "timed_out": counts.timed_out,
            "stalled": counts.stalled,
        },
        "alert": alert,
        "rss_mb": rss_mb(),
        "peak_rss_mb": peak_rss_mb(),
    }


def _failed(hub: Hub) -> int:
    polls: Counter[str] = Counter()
    for unit in hub.fleet.units.values():
        polls.update(unit.polls)
    return polls.total() - polls["ok"]


async def _watch_gaps(hub: Hub, gaps_s: dict[str, float]) -> None:
    """Record the longest time between two readings of each unit, in seconds."""
    last_s: dict[str, float] = {}
    while True:
        for unit in hub.fleet.units.values():
            if unit.latest is not None:
                gap_s = unit.latest.time - last_s.get(unit.id, unit.latest.time)
                gaps_s[unit.id] = max(gaps_s.get(unit.id, 0.0), gap_s)
                last_s[unit.id] = unit.latest.time
        await anyio.sleep(_POLL_S)


async def _fill_history(hub: Hub) -> str:
    """Store a long history of one unit; returns the path of its download."""
    unit = hub.fleet.units[unit_id(0)]
    while (latest := unit.latest) is None:
        await anyio.sleep(_POLL_S)
    for n in range(1, _HISTORY_ROWS):
        at = latest.at - timedelta(seconds=n)
        hub.recorder.offer_nowait(latest._replace(sequence=latest.sequence - n - 1000, at=at))
        if n % 1000 == 0:
            await anyio.sleep(_POLL_S)
    while hub.recorder.pending > len(hub.fleet.units):
        await anyio.sleep(_POLL_S)
    since = rfc3339(latest.at - timedelta(seconds=_HISTORY_ROWS))
    return f"/api/units/{unit.id}/history?format=csv&from={since}"


def _config(folder: Path, ports: list[int], url: str) -> Config:
    document = {
        "hub": {"name": "bench", "listen": "127.0.0.1:0", "data_dir": "data"},
        "units": units_at(ports),
        "alerts": {
            "rules": [{"name": "limit", "metric": "lp", "above": _LIMIT_DB, "cooldown": "0s", "notify": ["bench"]}],
            "receivers": [{"name": "bench", "url": url, "secret": SECRET}],
        },
    }
    return Config.model_validate(document, context={"folder": folder})


@asynccontextmanager
async def _open_clients() -> AsyncIterator[Peer]:
    async with await anyio.open_process([sys.executable, "-m", "hub.bench.attackers"], stderr=None) as process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            yield Peer(process.stdin, BufferedByteReceiveStream(process.stdout))
        finally:
            process.terminate()
