"""`hub bench poll`: the real hub with rules and webhooks, against meters and a receiver in a second process."""

import json
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
from anyio.abc import ByteSendStream
from anyio.streams.buffered import BufferedByteReceiveStream

from hub.app.composition import Hub, open_hub
from hub.bench.timing import SECRET, milliseconds, peak_rss_mb, rss_mb, run_lag, unit_id
from hub.config.models import Config
from hub.runtime.interpreter import settle_interpreter
from hub.runtime.logs import configure_logs

_WARM_UP_S = 20.0
_CROSS_EVERY_S = 5.0
_LIMIT_DB = 85.0
_CROSSING_DB = 90.0
_VIEWERS = 20
_METRICS = ("laeq_1m", "laeq_5m", "laeq_15m", "la10_15m", "la90_15m", "lmax", "lp", "lp", "lp")


class Peer:
    """A second process that answers one JSON line per command."""

    def __init__(self, stdin: ByteSendStream, stdout: BufferedByteReceiveStream) -> None:
        self._stdin = stdin
        self._stdout = stdout

    async def read(self) -> Any:
        """Read one line from the process."""
        return json.loads(await self._stdout.receive_until(b"\n", 1 << 26))

    async def call(self, **command: Any) -> Any:
        """Send a command; returns the reply."""
        await self._stdin.send(json.dumps(command).encode() + b"\n")
        return await self.read()


async def run_poll(units: int, seconds: float, rules: int, crossing: int, hanging: float) -> dict[str, Any]:
    """Measure for `seconds` after 20 s of warm-up; every 5 s `crossing` units cross a limit at once."""
    configure_logs("json", "error")
    with TemporaryDirectory(prefix="hub-bench-") as folder:
        async with open_peer(units, hanging) as other:
            peer_info = await other.read()
            config = _config(Path(folder), peer_info["ports"], peer_info["url"], rules)
            async with open_hub(config) as hub:
                return await _measure(hub, other, units, seconds, crossing, hanging)


async def _measure(
    hub: Hub, other: Peer, units: int, seconds: float, crossing: int, hanging: float
) -> dict[str, Any]:
    first_live = round(units * hanging)
    address = f"ws://127.0.0.1:{hub.port}/api/units"
    watched = [unit_id(first_live + n * (units - first_live) // _VIEWERS) for n in range(_VIEWERS)]
    await other.call(do="watch", urls=[f"{address}/{name}/live" for name in watched])
    settle_interpreter()
    await anyio.sleep(_WARM_UP_S)
    await other.call(do="report")
    commits_s: list[float] = []
    hub.recorder.on_commit = lambda rows, latency_s: commits_s.append(latency_s)
    lags_s: list[float] = []
    stages: dict[str, list[float]] = {}
    hub.alerts.on_latency = lambda stage, seconds: stages.setdefault(stage, []).append(seconds)
    crossed = {"sent": 0, "without_webhook": 0}
    polls, written, cpu_s, began_s = polls_of(hub), hub.recorder.written, time.process_time(), time.monotonic()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_lag, lags_s)
        next_unit = first_live
        while time.monotonic() - began_s < seconds:
            live = units - first_live
            block = [first_live + (next_unit - first_live + n) % live for n in range(min(crossing, live))]
            await other.call(do="cross", units=block, lp=_CROSSING_DB)
            await anyio.sleep(_CROSS_EVERY_S / 2)
            counted = await other.call(do="quiet")
            crossed = {name: crossed[name] + counted[name] for name in crossed}
            await anyio.sleep(_CROSS_EVERY_S / 2)
            next_unit += crossing
        tasks.cancel_scope.cancel()
    took_s, cpu_s = time.monotonic() - began_s, time.process_time() - cpu_s
    polled, rss = polls_of(hub) - polls, rss_mb()
    stored = hub.recorder.written - written
    report = await other.call(do="report")
    return {
        "units": units,
        "seconds": round(took_s, 1),
        "rules_per_unit": len(hub.config.alerts.rules),
        "hanging_units": first_live,
        "polls_per_s": round(polled / took_s, 1),
        "stored_per_s": round(stored / took_s, 1),
        "readings_dropped": hub.recorder.dropped,
        "samples_dropped": hub.alerts.counts.dropped_samples,
        "evaluations_per_s": round(hub.alerts.evaluations / (time.monotonic() - began_s + _WARM_UP_S), 1),
        "cpu_ms_per_1000_polls": round(cpu_s * 1e6 / max(polled, 1), 1),
        "cpu_share_of_a_core": round(cpu_s / took_s, 3),
        "sample_to_webhook": milliseconds(report["webhook_s"]),
        "crossings": crossed,
        "sample_to_websocket": milliseconds(report["websocket_s"]),
        "sample_to_commit": milliseconds(commits_s),
        "alert_stages": {stage: milliseconds(latencies_s) for stage, latencies_s in stages.items()},
        "loop_lag": milliseconds(lags_s),
        "rss_mb": rss,
        "peak_rss_mb": peak_rss_mb(),
        "bad_signatures": report["bad_signatures"],
    }


def polls_of(hub: Hub) -> int:
    """The number of successful polls of all units since the start."""
    return sum(unit.polls["ok"] for unit in hub.fleet.units.values())


def _config(folder: Path, ports: list[int], url: str, rules: int) -> Config:
    quiet = [
        {"name": f"rule-{n}", "metric": _METRICS[n % len(_METRICS)], "above": 120 + n, "notify": ["bench"]}
        for n in range(rules - 1)
    ]
    crossing = {"name": "limit", "metric": "lp", "above": _LIMIT_DB, "cooldown": "0s", "notify": ["bench"]}
    document = {
        "hub": {"name": "bench", "listen": "127.0.0.1:0", "data_dir": "data"},
        "units": units_at(ports),
        "alerts": {
            "rules": [crossing, *quiet],
            "receivers": [{"name": "bench", "url": url, "secret": SECRET}],
        },
    }
    return Config.model_validate(document, context={"folder": folder})


def units_at(ports: list[int]) -> list[dict[str, Any]]:
    """The configuration of meters on these local ports, polled once a second."""
    poll = {"watched": "1s", "idle": "1s", "gap": "900ms"}
    return [
        {"id": unit_id(index), "host": "127.0.0.1", "port": port, "poll": poll} for index, port in enumerate(ports)
    ]


@asynccontextmanager
async def open_peer(units: int, hanging: float) -> AsyncIterator[Peer]:
    """Run meters, a receiver and viewers in a second process; the share `hanging` of the meters does not answer."""
    command = [sys.executable, "-m", "hub.bench.peer_process", str(units), str(hanging)]
    async with await anyio.open_process(command, stderr=None) as process:
        if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
            # so that the meters use none of the hub's cores
            os.sched_setaffinity(process.pid, {max(os.sched_getaffinity(0))})
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            yield Peer(process.stdin, BufferedByteReceiveStream(process.stdout))
        finally:
            process.terminate()
