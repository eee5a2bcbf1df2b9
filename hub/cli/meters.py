"""`hub simulate`, `hub probe`, `hub watch`."""

import json
import os
from collections.abc import Awaitable, Callable
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hub.cli.outcome import CONFIGURATION, FAILED, PORT_TAKEN, fail, output_closed, run_async

if TYPE_CHECKING:
    from hub.instruments.kind import Finding

    Probe = Callable[[Callable[[Finding], None]], Awaitable[bool]]

DEFAULT_URL = "http://127.0.0.1:8480"


class Simulated(StrEnum):
    """What `hub simulate` can stand in for."""

    NL43 = "nl43"
    LINE = "line"


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(simulate)
    app.command()(probe)
    app.command()(watch)


def simulate(
    units: Annotated[int, typer.Option(help="How many.")] = 8,
    base_port: Annotated[int, typer.Option(help="The first port; unit n listens on base port + n.")] = 22550,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    faults: Annotated[str | None, typer.Option(help="Shares with a fault, as mute=10%,refuse=5%.")] = None,
    control_port: Annotated[
        int | None, typer.Option(help="Port of the JSON control line; for --kind nl43.")
    ] = None,
    kind: Annotated[Simulated, typer.Option(help="Meters, or weather stations (line).")] = Simulated.NL43,
    push: Annotated[
        float | None,
        typer.Option(min=0.01, help="Seconds between lines that are sent unasked; for --kind line."),
    ] = None,
) -> None:
    """Simulate instruments over real TCP until interrupted."""
    from hub.simulators.line import simulate as simulate_stations
    from hub.simulators.nl43 import simulate as simulate_meters

    if kind is Simulated.LINE and control_port is not None:
        raise typer.BadParameter("--control-port is for --kind nl43")
    if kind is Simulated.NL43 and push is not None:
        raise typer.BadParameter("--push is for --kind line")
    try:
        if kind is Simulated.LINE:
            simulate_stations(units, base_port, host, faults, push, announce=typer.echo)
        else:
            simulate_meters(units, base_port, host, faults, control_port, announce=typer.echo)
    except ValueError as error:
        raise typer.Exit(fail(str(error))) from None
    except OSError as error:
        raise typer.Exit(fail(str(error.strerror or error), PORT_TAKEN)) from None
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def probe(
    address: Annotated[
        str, typer.Argument(metavar="HOST[:PORT]", help="The meter, port 2255 unless given; or a unit's id.")
    ],
    config: Annotated[
        Path | None, typer.Option(help="Probe the unit of this configuration that has the id, of whatever kind.")
    ] = None,
    gap: Annotated[float, typer.Option(min=0.0, help="Seconds from reply to command; a meter needs 1.")] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per finding.")] = False,
) -> None:
    """Diagnose one instrument that no hub is connected to: most accept only one connection."""

    def show(finding: "Finding") -> None:
        if as_json:
            typer.echo(json.dumps(finding._asdict()))
            return
        mark = {True: "ok  ", False: "BAD ", None: "    "}[finding.is_good]
        took = "" if finding.took_ms is None else f"  ({finding.took_ms:.0f} ms)"
        typer.echo(f"{mark}{finding.step:<28} {finding.text}{took}")

    run = _probe_of_meter(address, gap) if config is None else _probe_of_unit(address, config)
    raise typer.Exit(0 if run_async(run, show) else FAILED)


def _probe_of_meter(address: str, gap: float) -> "Probe":
    has_port = address.count(":") == 1 or "]:" in address  # more colons are an IPv6 address
    host, _, port_text = address.rpartition(":") if has_port else (address, "", "2255")
    if not port_text.isdigit() or not 0 < int(port_text) < 65536 or not host:
        raise typer.BadParameter("write it as HOST or HOST:PORT, with a port from 1 to 65535")

    from hub.instruments.unit_config import Poll
    from hub.nl43.config import NL43Config
    from hub.nl43.probe import probe

    # not validated: a host that cannot be one is a finding
    poll = Poll.model_construct(gap=gap)
    meter = NL43Config.model_construct(id="probe", host=host.strip("[]"), port=int(port_text), poll=poll)
    return partial(probe, meter)


def _probe_of_unit(unit_id: str, config: Path) -> "Probe":
    from alerts.model.spelling import did_you_mean
    from hub.cli.service import load
    from hub.kinds.registry import kind_of

    units = {unit.id: unit for unit in load(config).config.units}
    if unit_id not in units:
        hint = did_you_mean(unit_id, units)
        raise typer.Exit(fail(f"{config} has no unit {unit_id!r}{hint}", CONFIGURATION))
    return partial(kind_of(units[unit_id]).probe, units[unit_id])


def watch(
    url: Annotated[str, typer.Option(help="The hub.")] = DEFAULT_URL,
    units: Annotated[str, typer.Option(help="Glob over unit ids.")] = "*",
    token_variable: Annotated[str, typer.Option(help="Environment variable that holds the token.")] = "HUB_TOKEN",
    as_json: Annotated[bool, typer.Option("--json", help="The hub's own messages, one per line.")] = False,
    watched: Annotated[
        bool, typer.Option("--watch", help="Have the units polled at their `watched` cadence; for operators.")
    ] = False,
) -> None:
    """A live table of all units in the terminal; plain lines elsewhere.

    It shows the hub's latest readings; meters are polled more often only with --watch.
    """
    from hub.cli.watch import WatchFailed, run_watch

    try:
        run_async(run_watch, url, units, os.environ.get(token_variable), as_json, watched)
    except WatchFailed as error:
        raise typer.Exit(fail(str(error))) from None
    except BrokenPipeError:
        raise typer.Exit(output_closed()) from None
    except KeyboardInterrupt:
        raise typer.Exit(0) from None
