"""Many meters and their control port."""

import resource
import signal
import socket
import sys

import anyio
import pytest

from hub.simulators.nl43.faults import Fault
from hub.simulators.nl43.fleet import FleetOptions, open_fleet, raise_file_limit, run_fleet, simulate
from tests.child_process import open_child
from tests.hub.simulators.nl43.client import connect_outcome

pytestmark = pytest.mark.anyio


async def test_two_thousand_meters_listen() -> None:
    async with open_fleet(FleetOptions(2000)) as fleet:
        assert len(set(fleet.ports)) == 2000
        assert await connect_outcome(fleet.ports[0]) == "connected"
        assert await connect_outcome(fleet.ports[1999]) == "connected"


async def test_the_files_needed_are_allowed_or_the_error_says_how_many() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        pytest.skip("no hard limit here")
    with pytest.raises(OSError, match="open files are needed"):
        raise_file_limit(hard + 1)


async def test_the_fleet_announces_its_ports() -> None:
    async with anyio.create_task_group() as group:
        fleet = await group.start(run_fleet, FleetOptions(3))
        assert len(fleet.ports) == 3
        group.cancel_scope.cancel()
    assert await connect_outcome(fleet.ports[0]) == "refused"


async def test_faults_are_dealt_out_from_the_start() -> None:
    async with open_fleet(FleetOptions(10, faults={Fault.REFUSE: 0.3})) as fleet:
        for meter in fleet.meters:
            expected = "refused" if meter.fault is Fault.REFUSE else "connected"
            assert await connect_outcome(meter.port, expected) == expected
        assert [meter.fault for meter in fleet.meters].count(Fault.REFUSE) == 3


@pytest.mark.parametrize(("units", "base_port"), [(0, 2255), (2, 65535), (1, 0)])
def test_a_fleet_that_does_not_fit_is_refused(units: int, base_port: int) -> None:
    with pytest.raises(ValueError, match=r"unit"):
        simulate(units, base_port)


def test_the_command_announces_itself_and_ends_on_interrupt() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = (  # which takes the interrupt even where the suite runs with SIGINT ignored
        "import signal\n"
        "from hub.simulators.nl43 import simulate\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"try: simulate(1, {port}, announce=lambda text: print(text, flush=True))\n"
        "except KeyboardInterrupt: print('ended', flush=True)\n"
    )
    with open_child([sys.executable, "-c", program]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"1 meter on 127.0.0.1:{port}-{port}\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "ended\n"
        assert process.wait(20) == 0
