from typing import Any

import anyio
import pytest

from hub.instruments.exchange import Priority
from hub.instruments.instrument import Identity, Instrument
from hub.line.config import LineConfig
from hub.line.instrument import LineInstrument
from hub.runtime.clock import Clock
from hub.simulators.line import PATTERN, open_station

pytestmark = pytest.mark.anyio


def station_config(port: int, /, **keys: Any) -> LineConfig:
    usual: dict[str, Any] = {
        "id": "weather",
        "kind": "line",
        "host": "127.0.0.1",
        "port": port,
        "ask": r"?\r\n",
        "pattern": PATTERN,
        "poll": {"gap": "0s"},
        "quantities": {
            "temperature": {"unit": "°C", "decimals": 1},
            "humidity": {"unit": "%"},
            "wind": {"unit": "m/s", "decimals": 1, "name": "Wind speed"},
            "direction": {"unit": "°", "decimals": 0, "mean": "none"},
        },
    }
    return LineConfig.model_validate(usual | keys)


def instrument_of(config: LineConfig) -> LineInstrument:
    return LineInstrument(config, Clock(), lambda what, old, new: None, lambda settings: None)


async def test_a_poll_is_a_reading_of_the_quantities_in_the_order_of_the_configuration() -> None:
    async with open_station() as station, anyio.create_task_group() as tasks:
        instrument = instrument_of(station_config(station.port))
        tasks.start_soon(instrument.run)
        received = await instrument.poll(Priority.MONITOR)
        reading = received.reading
        assert reading.quantities is not None
        assert list(reading.quantities) == ["temperature", "humidity", "wind", "direction"]
        assert reading.value("temperature") == pytest.approx(18.0, abs=4.0)
        assert reading.value("lp") is None
        assert reading.raw.startswith("T=")
        assert reading.qualities(None) == ()
        assert 0 <= received.took_s < 5
        assert instrument.is_connected
        tasks.cancel_scope.cancel()


async def test_a_value_that_is_no_number_is_missing() -> None:
    keys = {"pattern": r"(?P<temperature>.)=(?P<wind>.{4})", "quantities": {"temperature": {}, "wind": {}}}
    async with open_station() as station, anyio.create_task_group() as tasks:
        instrument = instrument_of(station_config(station.port, **keys))
        tasks.start_soon(instrument.run)
        reading = (await instrument.poll(Priority.MONITOR)).reading
        assert reading.value("temperature") is None
        assert reading.value("wind") is not None
        assert reading.qualities(None) == ("missing",)
        tasks.cancel_scope.cancel()


def test_quantities_are_metrics_with_their_unit_digits_and_mean() -> None:
    instrument: Instrument = instrument_of(station_config(4001))
    wind, direction = instrument.quantities["wind"], instrument.quantities["direction"]
    assert wind.shown(12.34) == "12.3 m/s"
    assert (wind.mean, direction.mean, wind.of, wind.sort) == ("arithmetic", None, "unit", "instant")
    assert instrument.symbols["wind"] == "Wind speed"
    assert instrument.symbols["direction"] == "direction"


async def test_it_has_no_settings_runs_or_questions() -> None:
    instrument = instrument_of(station_config(4001))
    assert (instrument.settings, instrument.identity, instrument.run_state(0.0)) == ({}, Identity(), None)
    assert instrument.run_started_at is None
    assert not await instrument.ask_question(Priority.MONITOR, 1.0, 1.0)


@pytest.mark.parametrize(
    "keys",
    [
        {"name": "Weather on the roof"},
        {"labels": {"site": "dockside"}},
        {"offline_after": 5},
        {"poll": {"gap": "0s", "idle": "5s"}},
        {"quantities": {name: {} for name in ("temperature", "humidity", "wind", "direction")}},
    ],
)
def test_what_is_not_about_the_connection_is_taken_up_by_it(keys: dict[str, Any]) -> None:
    instrument = instrument_of(station_config(4001))
    assert instrument.configure(station_config(4001, **keys))
    if "quantities" in keys:
        assert instrument.quantities["wind"].unit == ""


@pytest.mark.parametrize(
    "keys",
    [
        {"host": "127.0.0.2"},
        {"ask": "!"},
        {"ask": None},
        {"end": "\r"},
        {"pattern": PATTERN.replace("T=", "U=")},
        {"decimal": ","},
        {"timeouts": {"reply": "5s"}},
        {"reconnect": "7s"},
        {"poll": {"gap": "2s"}},
    ],
)
def test_what_is_about_the_connection_needs_another(keys: dict[str, Any]) -> None:
    instrument = instrument_of(station_config(4001))
    assert not instrument.configure(station_config(4001, **keys))
    assert not instrument.configure(station_config(4002))
