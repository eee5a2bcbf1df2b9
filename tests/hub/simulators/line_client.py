"""What a simulated station looks like from outside."""

import anyio

from hub.simulators.line import StationFault, WeatherStation


async def is_refused(station: WeatherStation) -> bool:
    """Whether a connect is refused."""
    try:
        async with await anyio.connect_tcp(station.host, station.port):
            return False
    except OSError:
        return True


async def refuse(station: WeatherStation) -> None:
    """Have a station refuse connections, and wait until it does."""
    station.set_fault(StationFault.REFUSE)
    with anyio.fail_after(5):
        while not await is_refused(station):
            await anyio.sleep(0.01)
