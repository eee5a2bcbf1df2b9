"""`hub simulate`, `hub probe`, `hub watch`."""

import json
import os
from typing import Annotated

import typer

from hub.cli.outcome import FAILED, PORT_TAKEN, fail, output_closed, run_async

DEFAULT_URL = "http://127.0.0.1:8480"


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(simulate)
    app.command()(probe)
    app.command()(watch)


def simulate(
    units: Annotated[int, typer.Option(help="How many meters.")] = 8,
    base_port: Annotated[int, typer.Option(help="The first port; unit n listens on base port + n.")] = 22550,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    faults: Annotated[str | None, typer.Option(help="Shares with a fault, as mute=10%,refuse=5%.")] = None,
    control_port: Annotated[int | None, typer.Option(help="Port of the JSON control line.")] = None,
) -> None:
    """Simulate meters over real TCP until interrupted."""
    from hub.simulators.nl43 import simulate as run_simulators

    try:
        run_simulators(units, base_port, host, faults, control_port, announce=typer.echo)
    except ValueError as error:
        raise typer.Exit(fail(str(error))) from None
    except OSError as error:
        raise typer.Exit(fail(str(error.strerror or error), PORT_TAKEN)) from None
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def probe(
    address: Annotated[str, typer.Argument(metavar="HOST[:PORT]", help="The meter; port 2255 unless given.")],
    gap: Annotated[float, typer.Option(min=0.0, help="Seconds from reply to command; a meter needs 1.")] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per finding.")] = False,
) -> None:
    """Diagnose one meter that no hub is connected to: a meter accepts only one connection."""
    has_port = address.count(":") == 1 or "]:" in address  # more colons are an IPv6 address
    host, _, port_text = address.rpartition(":") if has_port else (address, "", "2255")
    if not port_text.isdigit() or not 0 < int(port_text) < 65536 or not host:
        raise typer.BadParameter("write it as HOST or HOST:PORT, with a port from 1 to 65535")

    from hub.instruments.kind import Finding
    from hub.instruments.unit_config import Poll
    from hub.nl43.config import NL43Config
    from hub.nl43.probe import probe as probe_meter

    def show(finding: Finding) -> None:
        if as_json:
            typer.echo(json.dumps(finding._asdict()))
            return
        mark = {True: "ok  ", False: "BAD ", None: "    "}[finding.is_good]
        took = "" if finding.took_ms is None else f"  ({finding.took_ms:.0f} ms)"
        typer.echo(f"{mark}{finding.step:<28} {finding.text}{took}")

    # not validated: a host that cannot be one is a finding
    poll = Poll.model_construct(gap=gap)
    meter = NL43Config.model_construct(id="probe", host=host.strip("[]"), port=int(port_text), poll=poll)
    raise typer.Exit(0 if run_async(probe_meter, meter, show) else FAILED)


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
