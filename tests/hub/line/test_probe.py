from typing import Any

import anyio
import anyio.abc
import pytest

from hub.instruments.kind import Finding
from hub.line.probe import probe
from hub.simulators.line import StationFault, WeatherStation, open_station
from tests.hub.line.test_instrument import station_config
from tests.hub.simulators.line_client import refuse

pytestmark = pytest.mark.anyio

SHORT = {"reply": "200ms"}
WORDS = "(?P<temperature>T)=(?P<humidity>[^H]*H)=(?P<wind>[^W]*W)=(?P<direction>.*)"


async def probed(station: WeatherStation, **keys: Any) -> tuple[bool, list[Finding]]:
    findings: list[Finding] = []
    is_good = await probe(station_config(station.port, **keys), findings.append)
    return is_good, findings


async def test_a_good_unit_shows_its_line_and_what_it_means() -> None:
    async with open_station() as station:
        is_good, findings = await probed(station)
    assert is_good
    assert [(finding.step, finding.is_good) for finding in findings] == [
        ("connection", True),
        ("sent", None),
        ("line", True),
    ]
    assert findings[1].text == r"b'?\r\n'"
    assert findings[2].text.startswith("'T=")
    assert "Wind speed" not in findings[2].text
    assert "wind " in findings[2].text
    assert " m/s" in findings[2].text


async def test_one_that_sends_by_itself_shows_five_lines() -> None:
    async with open_station(push_s=0.01) as station:
        is_good, findings = await probed(station, ask=None)
    assert is_good
    assert [finding.step for finding in findings] == ["connection", *["line"] * 5]


@pytest.mark.parametrize(
    ("fault", "keys", "step", "advice"),
    [
        (StationFault.MUTE, {"timeouts": SHORT}, "lines", "check `ask`"),
        (StationFault.MUTE, {"ask": None, "push_within": "200ms"}, "lines", "write `ask`"),
        (StationFault.GARBAGE, {"timeouts": SHORT}, "line", "mend `pattern` or `columns`"),
        (StationFault.NONE, {"timeouts": SHORT, "pattern": WORDS}, "line", "no line gives a number"),
        (StationFault.HALF_LINES, {"timeouts": SHORT}, "bytes", "check `end`"),
        (StationFault.NONE, {"timeouts": SHORT, "end": "#"}, "bytes", "check `end`"),
        (StationFault.REFUSE, {}, "connection", "check the port"),
    ],
)
async def test_what_is_wrong_is_shown_with_what_to_do(
    fault: StationFault, keys: dict[str, Any], step: str, advice: str
) -> None:
    async with open_station() as station:
        if fault is StationFault.REFUSE:
            await refuse(station)
        station.set_fault(fault)
        is_good, findings = await probed(station, **keys)
    assert not is_good
    *_, bad, last = findings
    assert (bad.step, bad.is_good) == (step, False)
    assert last.step == "advice"
    assert advice in last.text


async def test_a_connection_that_the_instrument_closes_is_shown() -> None:
    async def close(stream: anyio.abc.SocketStream) -> None:
        await stream.aclose()

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listener.serve, close)
        findings: list[Finding] = []
        config = station_config(listener.extra(anyio.abc.SocketAttribute.local_port), ask=None)
        assert not await probe(config, findings.append)
        assert [finding.step for finding in findings] == ["connection", "connection", "advice"]
        assert findings[1].text == "the instrument closed it"
        tasks.cancel_scope.cancel()
