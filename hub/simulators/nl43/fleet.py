"""Runs many simulated meters in one process, on consecutive ports."""

import math
import resource
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec

import anyio
from anyio.abc import TaskStatus

from hub.simulators.fleet import check_ports, parse_faults, spread_faults
from hub.simulators.nl43.control import open_control
from hub.simulators.nl43.faults import Fault
from hub.simulators.nl43.options import MeterOptions
from hub.simulators.nl43.server import SimulatedMeter
from hub.simulators.nl43.waveform import RandomWalk

_FILES_PER_METER = 5  # listener, session, both ends of the plug, FTP
_FILES_BESIDE = 200


def wandering_meter(unit: int) -> MeterOptions:
    """Options of a meter that measures a level of its own, which varies around 45 to 65 dB."""
    return MeterOptions(
        waveform=RandomWalk(mean=45.0 + unit * 7 % 21, seed=unit),
        running=True,
        serial_number=f"{unit:08}",
        seed=unit,
    )


@dataclass(frozen=True)
class Fleet:
    """The meters: unit n (from 0) listens on `base_port + n`. `control_port` is None without one."""

    meters: Sequence[SimulatedMeter]
    control_port: int | None = None

    @property
    def ports(self) -> list[int]:
        return [meter.port for meter in self.meters]


@dataclass(frozen=True)
class FleetOptions:
    """The options of a fleet: `meter(unit)` gives those of a unit, `faults` the share of units with each fault."""

    units: int
    base_port: int = 0
    host: str = "127.0.0.1"
    faults: dict[Fault, float] = field(default_factory=dict)
    control_port: int | None = None
    meter: Callable[[int], MeterOptions] = wandering_meter


@asynccontextmanager
async def open_fleet(options: FleetOptions) -> AsyncIterator[Fleet]:
    """Run all meters and the control port while the block runs; `base_port` 0 chooses free ports.

    Raises OSError when a port cannot be had or the system allows too few open files.
    """
    raise_file_limit(options.units * _FILES_PER_METER + _FILES_BESIDE)
    faults = spread_faults(options.faults, options.units, Fault.NONE)
    meters: list[SimulatedMeter] = []
    try:
        for unit, fault in enumerate(faults):
            port = options.base_port + unit if options.base_port else 0
            meter = SimulatedMeter(options.meter(unit), options.host, port)
            meter.set_fault(fault)
            meter.switch_on()
            meters.append(meter)
        if options.control_port is None:
            yield Fleet(meters)
        else:
            async with open_control(meters, options.host, options.control_port) as control_port:
                yield Fleet(meters, control_port)
    finally:
        for meter in meters:
            meter.switch_off()


async def run_fleet(options: FleetOptions, *, task_status: TaskStatus[Fleet] = anyio.TASK_STATUS_IGNORED) -> None:
    """Run the meters until cancelled; `task_status.started` receives the Fleet."""
    async with open_fleet(options) as fleet:
        task_status.started(fleet)
        await anyio.sleep(math.inf)


def simulate(
    units: int,
    base_port: int,
    host: str = "127.0.0.1",
    faults: str | None = None,
    control_port: int | None = None,
    announce: Callable[[str], None] | None = None,
) -> None:
    """`hub simulate`: run until interrupted, on uvloop if it is installed.

    `faults` is written as `mute=10%,refuse=5%`. `announce` gets one line when all ports listen.
    Raises ValueError for what cannot be, OSError when a port cannot be had.
    """
    check_ports(units, base_port)
    options = FleetOptions(units, base_port, host, parse_faults(faults or "", Fault), control_port)
    run_blocking(options, announce)


def run_blocking(options: FleetOptions, announce: Callable[[str], None] | None = None) -> None:
    """Run a fleet in this thread until interrupted (KeyboardInterrupt)."""

    async def run() -> None:
        async with open_fleet(options) as fleet:
            if announce is not None:
                meters = "1 meter" if options.units == 1 else f"{options.units} meters"
                where = f"{options.host}:{fleet.ports[0]}-{fleet.ports[-1]}"
                control = "" if fleet.control_port is None else f", control port {fleet.control_port}"
                announce(f"{meters} on {where}{control}")
            await anyio.sleep(math.inf)

    anyio.run(run, backend="asyncio", backend_options={"use_uvloop": find_spec("uvloop") is not None})


def raise_file_limit(wanted: int) -> None:
    """Let this process open that many files. Raises OSError when the system's hard limit is lower."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise OSError(
            f"{wanted} open files are needed and the system allows {hard}: raise `ulimit -Hn`, or use fewer meters"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
