"""`hub bench …`: measurements that print JSON; they are not tests."""

import json
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer

from hub.cli.outcome import FAILED, fail, run_async

bench = typer.Typer(help="Measure the hub on this machine; prints JSON.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON (always done; kept for scripts).")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.add_typer(bench, name="bench")


@bench.command()
def poll(
    units: Annotated[int, typer.Option(help="Simulated meters.")] = 1000,
    seconds: Annotated[float, typer.Option(help="How long to measure, after 20 s of warm-up.")] = 60.0,
    rules: Annotated[int, typer.Option(help="Rules on every unit.")] = 10,
    crossing: Annotated[int, typer.Option(help="Units that cross a limit at once, every few seconds.")] = 100,
    hanging: Annotated[float, typer.Option(help="Share of the units that do not answer.")] = 0.0,
    as_json: Json = True,
) -> None:
    """The real hub against meters in a second process: rates, latencies, loop lag, memory."""
    from hub.bench.poll import run_poll

    _print(run_async(run_poll, units, seconds, rules, crossing, hanging))


@bench.command()
def equipment(
    machines: Annotated[int, typer.Option(help="Machines of the sample plant.")] = 2600,
    redis: Annotated[str | None, typer.Option(help="redis://…; without it the process cache alone.")] = None,
    as_json: Json = True,
) -> None:
    """One equipment feed from the query to the reader: durations, loop blocks, reads per second, memory."""
    from hub.bench.equipment import run_equipment

    _print(run_async(run_equipment, machines, redis))


@bench.command()
def isolation(
    scale: Annotated[float, typer.Option(help="Of the times of the incident.")] = 0.1,
    ids: Annotated[int, typer.Option(help="Containers of the bulk request.")] = 114_892,
    as_json: Json = True,
) -> None:
    """A bulk history request beside the equipment sync, through one pool and through lanes; takes 90 s."""
    from hub.bench.isolation import run_isolation

    result = _run_beside_oracle(run_isolation, scale, ids)
    _print(result)
    if not result["passed"]:
        raise typer.Exit(FAILED)


@bench.command()
def outages(
    units: Annotated[int, typer.Option(help="Simulated meters.")] = 200,
    refreshes: Annotated[int, typer.Option(help="Refreshes of the feed, a fifth of them in each phase.")] = 1000,
    every: Annotated[float, typer.Option(help="Seconds between them, at least.")] = 0.25,
    as_json: Json = True,
) -> None:
    """A feed whose database works, hangs, refuses or dies during a fetch, beside meters; takes 9 minutes."""
    from hub.bench.outages import run_outages

    _print(_run_beside_oracle(run_outages, units, refreshes, every))


@bench.command()
def edge(
    units: Annotated[int, typer.Option(help="Simulated meters, read once a second.")] = 100,
    seconds: Annotated[float, typer.Option(help="How long to measure without, and again under attack.")] = 60.0,
    silent: Annotated[int, typer.Option(help="Connections that send nothing.")] = 1150,
    bodies: Annotated[int, typer.Option(help="Requests whose body is half sent.")] = 300,
    downloads: Annotated[int, typer.Option(help="Downloads that are not read.")] = 200,
    onsets: Annotated[int, typer.Option(help="Units that cross a limit at once.")] = 20,
    descriptors: Annotated[int, typer.Option(help="File descriptors that the hub may have.")] = 1024,
    warm_up: Annotated[float, typer.Option(help="Seconds before it is measured.")] = 10.0,
    as_json: Json = True,
) -> None:
    """The real hub with few file descriptors beside clients that take all connections: readings, onsets, health."""
    from hub.bench.edge import run_edge

    _print(run_async(run_edge, units, seconds, silent, bodies, downloads, onsets, descriptors, warm_up))


@bench.command()
def fanout(
    subscribers: Annotated[int, typer.Option(help="Readers.")] = 100,
    events: Annotated[int, typer.Option(help="Events published.")] = 10_000,
    as_json: Json = True,
) -> None:
    """One event to many subscribers, one of which does not read."""
    from hub.bench.fanout import run_fanout

    _print(run_async(run_fanout, subscribers, events))


@bench.command()
def rules(
    units: Annotated[int, typer.Option(help="Units.")] = 1000,
    rules: Annotated[int, typer.Option(help="Rules on every unit.")] = 10,
    rounds: Annotated[int, typer.Option(help="Readings of every unit.")] = 30,
    as_json: Json = True,
) -> None:
    """The alert engine alone: evaluations, a tick, and all onsets of a rule at once."""
    from hub.bench.rules import run_rules

    _print(run_rules(units, rules, rounds))


def _run_beside_oracle(run: Callable[..., Awaitable[dict[str, Any]]], *arguments: object) -> dict[str, Any]:
    from hub.bench.oracle_process import SimulatorUnavailable

    try:
        return run_async(run, *arguments)
    except SimulatorUnavailable as error:
        raise typer.Exit(fail(str(error))) from None


def _print(result: dict[str, Any]) -> None:
    typer.echo(json.dumps(result, indent=2))
