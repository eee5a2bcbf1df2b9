"""`hub bench outages`: a feed whose database works, hangs, refuses connections or dies during a fetch."""

import time
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio

from hub.app.composition import Hub, open_hub
from hub.bench.oracle_process import OracleProcess, open_oracle_process
from hub.bench.poll import open_peer, polls_of, units_at
from hub.bench.timing import milliseconds, run_lag
from hub.config.models import Config
from hub.equipment.feed import EquipmentFeed
from hub.equipment.listener import FeedListener
from hub.equipment.sample_view import SECOND_LOTS
from hub.equipment.source import ViewSource
from hub.equipment.view import select_sql
from hub.oracle.breaker import Breaker
from hub.oracle.connection import connector
from hub.oracle.lanes import Deadlines, SyncLane, backstop_s
from hub.runtime.interpreter import settle_interpreter
from hub.runtime.logs import configure_logs

FEED = "fab"
WELL = {"hang": None, "ignore_break": False, "connect": "accept", "drop_after_rows": None}
_QUICK = Deadlines(connect_s=2.0, query_s=1.0, close_s=1.0)
_END_S = 5.0
_POLL_S = 0.05


def phases_of(rows: int) -> dict[str, dict[str, Any]]:
    """The faults of each phase, as settings for the control port of a database with `rows` rows."""
    return {
        "healthy": {},
        "hung": {"hang": "EQUIPMENTSTATUS", "ignore_break": True},
        "refused": {"connect": "refuse"},
        "dying_in_mid_fetch": {"drop_after_rows": rows // 2},
        "healthy_again": {},
    }


async def run_outages(
    units: int = 200,
    refreshes: int = 1000,
    every_s: float = 0.25,
    machines: int = 2600,
    idle_s: float = 30.0,
    warm_up_s: float = 10.0,
) -> dict[str, Any]:
    """Make `refreshes` in all, equally many in each phase, one per `every_s` seconds at most, after `idle_s` idle.

    The feed has short deadlines and a breaker that never opens, so that each refresh reaches the database. Raises
    `SimulatorUnavailable` when the simulated Oracle cannot be started.
    """
    configure_logs("json", "error")
    rows = machines + round(machines * SECOND_LOTS)
    with TemporaryDirectory(prefix="hub-bench-") as folder:
        async with (
            open_oracle_process(rows=rows, machines=machines) as oracle,
            open_peer(units, 0.0) as meters,
        ):
            config = _config(Path(folder), (await meters.read())["ports"])
            async with open_hub(config) as hub:
                lane = _lane(oracle, refreshes)
                feed = _feed(hub, lane)
                hub.feeds.spawn(f"feed/{FEED}", feed.run)
                settle_interpreter()
                while feed.plant is None:  # from now on only the phases refresh it
                    await anyio.sleep(_POLL_S)
                await anyio.sleep(warm_up_s)
                phases = {"idle": await _phase(hub, Counter(), partial(anyio.sleep, idle_s))}
                await oracle.command({"reset": "counters"})
                faults = phases_of(rows)
                for name, wrong in faults.items():
                    await oracle.command({"set": WELL | wrong})
                    outcomes: Counter[str] = Counter()
                    work = partial(_refresh, feed, outcomes, refreshes // len(faults), every_s)
                    phases[name] = await _phase(hub, outcomes, work)
                sessions = await _sessions(oracle, lane)
    return {"units": units, "rows": rows, "machines": machines, "phases": phases, "sessions": sessions}


def _lane(oracle: OracleProcess, refreshes: int) -> SyncLane:
    never = Breaker("sync", failures=refreshes + 1)
    return SyncLane(connector(oracle.account, backstop_s(_QUICK)), _QUICK, breaker=never)


def _feed(hub: Hub, lane: SyncLane) -> EquipmentFeed:
    """A feed connected to the hub like those of its configuration."""
    listener = FeedListener(FEED, {}, hub.alerts, hub.recorder)
    source = ViewSource(lane, select_sql("DWH.DW_MES_EQUIPMENTSTATUS_WIP_V"), UTC)
    return EquipmentFeed(FEED, source, hub.clock, 3600.0, None, listener.callbacks(), {})


async def _refresh(feed: EquipmentFeed, outcomes: Counter[str], times: int, every_s: float) -> None:
    for _ in range(times):
        due_s = time.monotonic() + every_s
        outcome = await feed.refresh(force=True)
        outcomes[outcome.code or outcome.kind.value] += 1
        await anyio.sleep(max(0.0, due_s - time.monotonic()))


async def _phase(hub: Hub, outcomes: Counter[str], work: Callable[[], Awaitable[None]]) -> dict[str, Any]:
    lags_s: list[float] = []
    polls, began_s = polls_of(hub), time.monotonic()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_lag, lags_s)
        await work()
        tasks.cancel_scope.cancel()
    took_s = time.monotonic() - began_s
    return {
        "seconds": round(took_s, 1),
        "refreshes": dict(outcomes),
        "readings_per_s": round((polls_of(hub) - polls) / took_s, 1),
        "loop_lag": milliseconds(lags_s),
    }


async def _sessions(oracle: OracleProcess, lane: SyncLane) -> dict[str, int]:
    """The sessions that both sides have counted, once the server has noticed that the last client is gone."""
    counters = await oracle.counters()
    with anyio.move_on_after(_END_S):
        while counters["open_sessions"]:
            await anyio.sleep(_POLL_S)
            counters = await oracle.counters()
    return {
        "connections": counters["connections"],
        "logons": counters["logins"],
        "open_at_most": counters["peak_sessions"],
        "open_at_the_end": counters["open_sessions"],
        "held_by_the_hub_at_the_end": lane.counters.open,
    }


def _config(folder: Path, ports: list[int]) -> Config:
    document = {
        "hub": {"name": "bench", "listen": "127.0.0.1:0", "data_dir": "data"},
        "units": units_at(ports),
        "alerts": {
            "rules": [
                {"name": "loud", "metric": "lp", "above": 85},
                {"name": "gone", "match": {"feed": FEED}, "metric": "status", "equals": "GONE"},
            ]
        },
    }
    return Config.model_validate(document, context={"folder": folder})
