"""Runs the simulated Oracle as a process: prints one JSON line with its ports, and serves until SIGINT or SIGTERM.

python -m hub.simulators.oracle --port 0 --rows 2784 --machines 2600 --session-limit 6 --service-time 2-6
"""

import argparse
import asyncio
import json
import signal

from hub.simulators.oracle.control import ControlPort
from hub.simulators.oracle.faults import Faults
from hub.simulators.oracle.history import History
from hub.simulators.oracle.plant import VIEW, Plant
from hub.simulators.oracle.server import open_oracle
from hub.simulators.oracle.split_tree import SplitTree


def span(text: str) -> tuple[float, float]:
    """Seconds, "1.5" or from-to "2-6"."""
    low, _, high = text.partition("-")
    return float(low), float(high or low)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m hub.simulators.oracle", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--control", type=int, default=0, help="port of the JSON-lines control, 0 for any")
    parser.add_argument("--service", default="XEPDB1")
    parser.add_argument("--user", default="reader")
    parser.add_argument("--password", default="secret")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rows", type=int, default=2784, help="rows of the equipment view")
    parser.add_argument("--machines", type=int, default=2600)
    parser.add_argument("--rows-per-id", type=int, default=3, help="history rows for each id asked for")
    parser.add_argument("--lots", type=int, default=200_000)
    parser.add_argument("--roots", type=int, default=70_000, help="lots that are not split from another")
    parser.add_argument("--seed-lots", type=int, default=70_000, help="lots a query without ids finds")
    parser.add_argument("--session-limit", type=int)
    parser.add_argument("--session-policy", choices=("queue", "refuse", "ora18"), default="queue")
    parser.add_argument("--executing-limit", type=int)
    parser.add_argument("--service-time", type=span, default=(0.0, 0.0), help="seconds a history query takes")
    parser.add_argument("--sync-time", type=span, default=(0.0, 0.0), help="seconds a select from the view takes")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies both times")
    parser.add_argument("--sdu", type=int, default=8192)
    return parser.parse_args()


async def main(options: argparse.Namespace) -> None:
    tree = SplitTree(options.lots, options.roots)
    plant = Plant(
        options.rows, options.machines, options.seed, History(options.rows_per_id, tree, options.seed_lots)
    )
    faults = Faults(
        session_limit=options.session_limit,
        session_policy=options.session_policy,
        executing_limit=options.executing_limit,
        service_s={VIEW: options.sync_time, r"\bDUAL\b": (0.0, 0.0), "": options.service_time},
        scale=options.scale,
        seed=options.seed,
    )
    stop = asyncio.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    users = {options.user: options.password}
    async with (
        open_oracle(
            plant=plant, users=users, service=options.service, faults=faults, port=options.port, sdu=options.sdu
        ) as server,
        ControlPort(server, options.control) as control,
    ):
        print(json.dumps({"port": server.port, "dsn": server.dsn, "control": control.port}), flush=True)
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(main(arguments()))
