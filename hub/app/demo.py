"""`hub demo`: runs the hub with simulated meters, in a temporary folder, and a receiver that prints."""

from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import dedent, indent

import anyio

from hub.app.service import serve
from hub.config.file import load_config
from hub.runtime.logs import configure_logs
from hub.simulators.line import PATTERN, open_station
from hub.simulators.nl43 import FleetOptions, MeterOptions, SimulatedMeter, open_fleet
from hub.simulators.nl43.waveform import sine, steps
from hub.simulators.receiver import LocalReceiver, Received, open_receiver

METERS = 8
MACHINES = 2600
_SILENT_FROM_S = 20.0
_SILENT_FOR_S = 25.0
_SECRET = "whsec_ZGVtby1zZWNyZXQtb2YtdGhlLW1vbml0b3ItaHVi"


async def run_demo() -> int:
    """Run until Ctrl-C; returns the exit code."""
    configure_logs("console", "warning")
    with TemporaryDirectory(prefix="hub-demo-") as folder:
        options = FleetOptions(METERS, meter=_meter)
        async with (
            open_fleet(options) as fleet,
            open_station(push_s=1.0) as station,
            open_receiver(secret=_SECRET) as receiver,
        ):
            receiver.on_received = _print_received
            path = Path(folder) / "config.yaml"
            path.write_text(demo_config(fleet.ports, station.port, receiver))
            loaded = load_config(path)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_silence_a_while, fleet.meters[-1])
                code = await serve(loaded, path, lambda hub: _announce(hub.url, path))
                tasks.cancel_scope.cancel()
            return code


def demo_config(ports: list[int], station_port: int, receiver: LocalReceiver) -> str:
    """A configuration whose rules fire within a minute."""
    units = "".join(
        f"  - {{id: gate-{letter}, name: Gate {letter.upper()}, host: 127.0.0.1, port: {port},"
        f" labels: {{site: {site}}}, poll: {{idle: 1s, gap: 0s}}, reconnect: 1s}}\n"
        for letter, port, site in zip("abcdefgh", ports, ["dockside"] * 4 + ["airport"] * 4, strict=True)
    )
    weather = f"""\
          - id: weather
            kind: line
            name: Weather station
            host: 127.0.0.1
            port: {station_port}
            labels: {{site: airport}}
            poll: {{idle: 2s}}
            pattern: '{PATTERN}'
            quantities:
              wind: {{unit: m/s, decimals: 1, name: Wind speed}}
              direction: {{unit: °, decimals: 0, name: Wind direction, mean: none}}
              temperature: {{unit: °C, decimals: 1, name: Temperature}}
              humidity: {{unit: "%", decimals: 0, name: Relative humidity}}
        """
    rules = f"""\
        alerts:
          rules:
            - {{name: loud, match: {{site: dockside}}, metric: lp, above: 75, for: 3s, clear_for: 3s, cooldown: 10s,
               severity: critical, notify: [printer]}}
            - {{name: noisy-minute, match: {{site: airport}}, metric: laeq_1m, above: 60, notify: [printer]}}
            - {{name: too-windy, match: {{site: airport}}, metric: wind, above: 5, for: 3s, clear_for: 5s,
               severity: info, notify: [printer]}}     # wind in the microphone: levels do not count
            - {{name: machine-down, match: {{feed: fab}}, equipment: {{id: ["48801680000000[01]*"]}},
               metric: status_category, equals: DOWN, for: 10s, notify: [printer]}}
          receivers:
            - {{name: printer, url: "{receiver.url}", secret: {_SECRET}}}
        """
    feeds = f"feeds:\n  - {{id: fab, kind: sample-equipment, machines: {MACHINES}, interval: 10s}}\n"
    return (
        f"hub: {{name: demo, log: console}}\n{feeds}units:\n{units}{indent(dedent(weather), '  ')}{dedent(rules)}"
    )


async def _silence_a_while(meter: SimulatedMeter) -> None:
    """The last meter stops answering once, so that the demo shows an outage and its end."""
    await anyio.sleep(_SILENT_FROM_S)
    meter.set_fault("mute")
    await anyio.sleep(_SILENT_FOR_S)
    meter.set_fault("none")


def _meter(unit: int) -> MeterOptions:
    """Loud for a while at the dock, a slow swell at the airport; the last meter is quiet."""
    if unit < 4:
        loud_s = 10.0 + 4 * unit
        table = [(0.0, 55.0 + unit), (loud_s, 82.0 + unit), (loud_s + 15, 56.0 + unit), (loud_s + 60, 57.0)]
        return MeterOptions(waveform=steps(table), running=True, serial_number=f"{unit:08}", seed=unit)
    level = 64.0 if unit < METERS - 1 else 48.0
    return MeterOptions(waveform=sine(level, 5.0, 30.0 + unit), running=True, serial_number=f"{unit:08}", seed=unit)


def _print_received(received: Received) -> None:
    document = received.document
    signature = "signed" if received.is_signed else "unsigned"
    print(f"webhook {document['type']:<14} {document['summary']}  ({signature}, id {received.id})", flush=True)


def _announce(url: str, path: Path) -> None:
    print(f"hub demo: {url}  {METERS} simulated meters, a weather station, a plant of {MACHINES:,} machines")
    print(f"Data in {path.parent}")
    print("Alerts will arrive below within a minute. `hub watch` shows the meters,")
    print(f"{url}/api/equipment/status the plant. Ctrl-C stops.")
