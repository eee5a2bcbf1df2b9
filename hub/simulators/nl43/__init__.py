"""A simulated NL-43 with faults over real TCP, for tests, the demo and the benches."""

from hub.simulators.nl43.faults import Fault
from hub.simulators.nl43.fleet import Fleet, FleetOptions, open_fleet, run_fleet, simulate
from hub.simulators.nl43.options import MeterOptions
from hub.simulators.nl43.server import SimulatedMeter, open_simulator

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
