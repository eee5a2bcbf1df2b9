import socket

import pytest

from hub.instruments.kind import Finding
from hub.nl43.config import NL43Config
from hub.nl43.probe import probe
from hub.simulators.nl43 import MeterOptions, open_simulator

pytestmark = pytest.mark.anyio


async def findings_of(port: int, host: str = "127.0.0.1") -> tuple[bool, list[Finding]]:
    found: list[Finding] = []
    is_healthy = await probe(NL43Config(id="probe", host=host, port=port, poll={"gap": "0s"}), found.append)
    return is_healthy, found


async def test_a_healthy_meter_answers_every_question() -> None:
    async with open_simulator(MeterOptions(running=True)) as meter:
        is_healthy, found = await findings_of(meter.port)
        assert is_healthy
        texts = {finding.step: finding.text for finding in found}
        assert texts["DOD?"].startswith("Lp 45.8 dB")
        assert (texts["Type?"], texts["Measure?"], texts["Sleep Mode?"]) == ("NL-43", "Start", "Off")
        assert meter.counters.connections == 1


async def test_sleep_mode_is_called_bad() -> None:
    async with open_simulator(MeterOptions(items=(("Sleep Mode", "On"),))) as meter:
        is_healthy, found = await findings_of(meter.port)
        assert not is_healthy
        assert [finding.step for finding in found if finding.is_good is False] == ["Sleep Mode?"]


async def test_a_refused_connection_comes_with_advice() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    is_healthy, found = await findings_of(port)
    assert not is_healthy
    assert found[0].text.startswith("refused: ")
    assert found[1].step == "advice"
    assert "TCP On" in found[1].text


async def test_a_name_without_an_address_is_not_blamed_on_the_meter() -> None:
    is_healthy, found = await findings_of(2255, "no-such-meter.invalid")
    assert not is_healthy
    assert found[0].text.startswith("timeout: the name no-such-meter.invalid cannot be resolved")
    assert "spelling" in found[1].text


async def test_a_mute_meter_is_told_from_a_refusing_one() -> None:
    async with open_simulator(MeterOptions()) as meter:
        meter.set_fault("garbled")
        _, found = await findings_of(meter.port)
        assert found[0].text.startswith("protocol: ")
