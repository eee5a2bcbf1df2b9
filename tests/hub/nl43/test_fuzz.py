"""Whatever happens on the line: a reading is one the meter measured after it was asked, or there is none."""

import os
from random import Random

import anyio
import pytest

from hub.instruments.exchange import LinkDown, Priority
from hub.nl43.commands import DOD, MEASURE
from hub.nl43.fields import parse_dod, parse_run_state
from hub.nl43.link import Link
from tests.hub.nl43.fuzz_meter import REPLY_BYTES, FuzzMeter, number_of
from tests.virtual_time import VirtualClock, virtual

CONNECTIONS = 1_000 if os.environ.get("HUB_SOAK") == "1" else 25


@pytest.mark.parametrize("faults", [0.05, 0.3, 0.7])
@pytest.mark.parametrize("keeps_replies", [False, True], ids=["direct", "serial device server"])
@pytest.mark.parametrize("seed", range(2))
@virtual
async def test_no_reading_is_answered_that_was_not_measured_for_this_very_poll(
    seed: int, keeps_replies: bool, faults: float
) -> None:
    clock = VirtualClock()
    meter = FuzzMeter(clock, Random(seed), faults, keeps_replies)
    link = Link("meter", 2255, clock, gap_s=1.0, open_socket=meter.open_socket)
    link.limit_pauses(10.0)
    used = readings = 0
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(link.run)
        for poll in range(CONNECTIONS * 20):
            try:
                answer = await link.request(DOD, parse_dod, Priority.MONITOR, patience_s=3600)
                assert answer.value is not None
                assert meter.measured.get(number_of(answer.value)) == meter.commands
                used += REPLY_BYTES
                readings += 1
                if poll % 10 == 9:
                    state = await link.request(MEASURE, parse_run_state, Priority.MONITOR)
                    assert state.value is not None
                    used += len(f"R+0000\r\n{state.value}\r\n")
            except LinkDown:
                pass
            await anyio.sleep(meter.random.choice([0.0, 0.0, 0.5, 3.0]))
            if meter.connections >= CONNECTIONS:
                break
        tasks.cancel_scope.cancel()
    dropped = link.bytes_received - used
    assert dropped - meter.noise_bytes <= link.stale_bytes <= dropped
    assert readings > 0
