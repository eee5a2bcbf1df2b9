"""`hub bench …`: measurements that print JSON; they are not tests."""

import json
from typing import Annotated, Any

import typer

from hub.cli.outcome import run_async

bench = typer.Typer(help="Measure the hub on this machine; prints JSON.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON (always done; kept for scripts).")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.add_typer(bench, name="bench")


@bench.command()
def poll(
    units: Annotated[int, typer.Option(help="Simulated meters.")] = 1000,
    seconds: Annotated[float, typer.Option(help="How long to measure, after 10 s of warming up.")] = 60.0,
    rules: Annotated[int, typer.Option(help="Rules on every unit.")] = 10,
    crossing: Annotated[int, typer.Option(help="Units that cross a limit at once, every few seconds.")] = 100,
    hanging: Annotated[float, typer.Option(help="Share of the units that do not answer.")] = 0.0,
    as_json: Json = True,
) -> None:
    """The real hub against meters in a second process: rates, latencies, loop lag, memory."""
    from hub.bench.poll import run_poll

    _print(run_async(run_poll, units, seconds, rules, crossing, hanging))


def _print(result: dict[str, Any]) -> None:
    typer.echo(json.dumps(result, indent=2))
