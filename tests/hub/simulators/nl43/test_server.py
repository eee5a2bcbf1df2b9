"""The ports of a meter: its one slot, and what closes them."""

import anyio
import pytest

from hub.nl43 import commands as c
from hub.simulators.nl43 import Fault, MeterOptions, open_simulator
from tests.hub.simulators.nl43.client import connect_outcome, connected

pytestmark = pytest.mark.anyio


async def test_a_second_connect_hangs_until_the_first_has_gone() -> None:
    async with open_simulator() as meter:
        async with connected(meter.port) as client:
            await client.ask(c.MEASURE)
            assert await connect_outcome(meter.port, "hangs") == "hangs"
            assert (await client.ask(c.MEASURE)).line == "Stop"
        await meter.until(lambda: not meter.has_session)
        assert await connect_outcome(meter.port) == "connected"


async def test_a_second_connect_may_be_accepted_and_left_without_answer() -> None:
    async with (
        open_simulator(MeterOptions(second_connection="accept_mute")) as meter,
        connected(meter.port) as client,
    ):
        await client.ask(c.MEASURE)
        async with connected(meter.port) as second:
            await second.stream.send(b"Measure?\r\n")
            with anyio.move_on_after(0.05) as silence:
                await second.stream.receive()
            assert silence.cancelled_caught
        assert (meter.counters.connections, meter.counters.second_connections) == (1, 1)
        assert meter.counters.commands["Measure?"] == 1


async def test_a_second_connect_may_be_refused() -> None:
    async with open_simulator(MeterOptions(second_connection="refuse")) as meter:
        async with connected(meter.port) as client:
            await client.ask(c.MEASURE)
            assert await connect_outcome(meter.port) == "refused"
        await meter.until(lambda: not meter.has_session)
        assert await connect_outcome(meter.port) == "connected"


async def test_the_slot_is_held_for_a_while_after_a_close() -> None:
    async with open_simulator(MeterOptions(slot_release_s=0.2, second_connection="refuse")) as meter:
        async with connected(meter.port) as client:
            await client.ask(c.MEASURE)
        await meter.until(lambda: not meter.has_session)
        assert await connect_outcome(meter.port) == "refused"
        with anyio.fail_after(60):
            await meter.until(lambda: not meter.is_slot_taken)
        assert await connect_outcome(meter.port) == "connected"


@pytest.mark.parametrize(
    ("fault", "control", "ftp"),
    [
        (Fault.NONE, "connected", "connected"),
        (Fault.REFUSE, "refused", "refused"),
        (Fault.WEDGE, "refused", "connected"),
        (Fault.HANG_CONNECT, "hangs", "connected"),
        (Fault.HALF_OPEN, "hangs", "connected"),
        (Fault.MUTE, "connected", "connected"),
    ],
)
async def test_each_fault_has_its_signature_on_both_ports(fault: Fault, control: str, ftp: str) -> None:
    async with open_simulator(MeterOptions(ftp_port=0)) as meter:
        ports = (meter.port, meter.ftp_port)
        meter.set_fault(fault)
        assert await connect_outcome(meter.port, control) == control
        assert await connect_outcome(meter.ftp_port, ftp) == ftp
        meter.set_fault(Fault.NONE)
        await meter.until(lambda: not meter.has_session)
        assert (meter.port, meter.ftp_port) == ports
        assert await connect_outcome(meter.ftp_port) == "connected"


async def test_a_wedge_breaks_the_running_connection() -> None:
    async with open_simulator() as meter, connected(meter.port) as client:
        await client.ask(c.MEASURE)
        meter.set_fault("wedge")
        assert await client.has_ended()
        assert await connect_outcome(meter.port) == "refused"
        meter.set_fault("none")
        assert await connect_outcome(meter.port) == "connected"


async def test_hanging_connects_leave_the_running_connection_alone() -> None:
    async with open_simulator() as meter, connected(meter.port) as client:
        meter.set_fault("hang_connect")
        assert (await client.ask(c.MEASURE)).line == "Stop"


async def test_ftp_greets_and_knows_no_passive_mode() -> None:
    async with open_simulator(MeterOptions(ftp_port=0)) as meter, connected(meter.ftp_port) as client:
        assert await client.raw(b"PASV\r\n", 44) == b"220 Connection Ready\r\n502  Not Implemented\r\n"


async def test_ftp_can_be_switched_off_and_on() -> None:
    async with open_simulator(MeterOptions(ftp_port=0)) as meter, connected(meter.port) as client:
        await client.ask(c.setting("FTP", "Off"))
        assert await connect_outcome(meter.ftp_port) == "refused"
        await client.ask(c.setting("FTP", "On"))
        assert await connect_outcome(meter.ftp_port) == "connected"


async def test_tcp_switched_off_locks_everybody_out() -> None:
    async with open_simulator(MeterOptions(prompt="none")) as meter, connected(meter.port) as client:
        assert await client.raw(b"TCP,Off\r\n", 8) == b"R+0000\r\n"
        await meter.until(lambda: not meter.has_session)
        assert await connect_outcome(meter.port) == "refused"
        assert meter.press("TCP,On") == 0
        assert await connect_outcome(meter.port) == "connected"


async def test_a_level_set_by_hand_is_sent_next_and_its_crossing_noted() -> None:
    async with open_simulator() as meter, connected(meter.port) as client:
        meter.cross(91.5)
        assert meter.crossing is not None
        assert (meter.crossing.lp, meter.crossing.sent_at) == (91.5, None)
        await client.ask(c.MEASURE)
        assert meter.crossing.sent_at is None
        assert ((await client.ask(c.DOD)).line or "").startswith(" 91.5,")
        sent_at = meter.crossing.sent_at
        assert sent_at is not None
        assert meter.crossing.asked_at <= sent_at
        await client.ask(c.DOD)
        assert meter.crossing.sent_at == sent_at


async def test_a_dropped_connection_frees_the_slot() -> None:
    async with open_simulator() as meter, connected(meter.port) as client:
        await client.ask(c.MEASURE)
        meter.drop_session()
        assert not meter.has_session
        assert await connect_outcome(meter.port) == "connected"


async def test_a_port_in_use_is_an_error_that_names_it() -> None:
    async with open_simulator() as meter:
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{meter.port}"):
            async with open_simulator(port=meter.port):
                pass


async def test_nothing_listens_after_the_end() -> None:
    async with open_simulator(MeterOptions(ftp_port=0)) as meter, connected(meter.port):
        await meter.until(lambda: meter.has_session)
    assert await connect_outcome(meter.port) == "refused"
    assert await connect_outcome(meter.ftp_port) == "refused"
