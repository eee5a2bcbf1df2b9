"""`hub rules test|replay`, `hub webhook test`."""

from pathlib import Path
from typing import Annotated

import typer

from hub.cli.data import existing_database, parse_range
from hub.cli.outcome import CONFIGURATION, FAILED, fail, run_async
from hub.cli.service import DEFAULT_CONFIG, load
from hub.cli.service import start as start_service

rules = typer.Typer(help="Try alert rules out.", no_args_is_help=True)
webhook = typer.Typer(help="Try webhook receivers out.", no_args_is_help=True)

ConfigOption = Annotated[Path, typer.Option("--config", help="The configuration file.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.add_typer(rules, name="rules")
    app.add_typer(webhook, name="webhook")


@rules.command("test")
def rules_test(file: Annotated[Path, typer.Argument(help="Rules, series and expected transitions.")]) -> None:
    """Run given series through given rules and compare the transitions."""
    from alerts.testing.rehearse import RehearsalError, rehearse_file

    try:
        report = rehearse_file(file)
    except RehearsalError as error:
        raise typer.Exit(fail(str(error), CONFIGURATION)) from None
    typer.echo(str(report))
    raise typer.Exit(0 if report.is_as_expected else FAILED)


@rules.command("replay")
def rules_replay(
    rule: Annotated[str, typer.Option("--rule", help="The rule's name.")],
    start: Annotated[str, typer.Option("--from", help="RFC 3339 time, such as 2026-03-18T22:00:00Z.")],
    end: Annotated[str, typer.Option("--to", help="RFC 3339 time.")],
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Show what a rule would have done on stored history, and why."""
    from hub.cli.replay import ReplayError, replay_rule
    from hub.runtime.clock import Clock

    from_at, to_at = parse_range(start, end)
    to_at = min(to_at, Clock().now())
    loaded = load(config)
    existing_database(loaded.config)

    async def replay() -> int:
        try:
            lines = await replay_rule(loaded.config, rule, from_at, to_at)
        except ReplayError as error:
            return fail(str(error))
        for line in lines:
            typer.echo(line)
        return 0

    raise typer.Exit(start_service(replay))


@webhook.command("test")
def webhook_test(
    name: Annotated[str, typer.Argument(help="The receiver's name.")], config: ConfigOption = DEFAULT_CONFIG
) -> None:
    """Send a message of type `test` to one receiver and print its answer."""
    loaded = load(config)
    receivers = {receiver.name: receiver for receiver in loaded.config.alerts.receivers}
    if name not in receivers:
        known = ", ".join(receivers) or "none"
        raise typer.Exit(fail(f"there is no receiver {name!r}; configured: {known}", CONFIGURATION))

    from importlib.metadata import version

    from alerts.testing.trial import send_test

    trial = run_async(send_test, receivers[name], loaded.config.hub.name, version("monitor-hub"))
    typer.echo(trial.text)
    raise typer.Exit(0 if trial.is_delivered else FAILED)
