"""A faithful meter with faults, over real TCP: for tests, the demo and the benches."""

from hub.nl43.simulator.faults import Fault
from hub.nl43.simulator.fleet import Fleet, FleetOptions, open_fleet, run_fleet, simulate
from hub.nl43.simulator.options import MeterOptions
from hub.nl43.simulator.server import SimulatedMeter, open_simulator

__all__ = [
    "Fault",
    "Fleet",
    "FleetOptions",
    "MeterOptions",
    "SimulatedMeter",
    "open_fleet",
    "open_simulator",
    "run_fleet",
    "simulate",
]
