"""`hub rules test|replay`, `hub webhook test`."""

from pathlib import Path
from typing import Annotated

import typer

from hub.cli.outcome import CONFIGURATION, FAILED, fail, run_async
from hub.cli.service import DEFAULT_CONFIG, load

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
    from alerts.rehearse import RehearsalError, rehearse_file

    try:
        report = rehearse_file(file)
    except RehearsalError as error:
        raise typer.Exit(fail(str(error), CONFIGURATION)) from None
    typer.echo(str(report))
    raise typer.Exit(0 if report.is_as_expected else FAILED)


@webhook.command("test")
def webhook_test(
    name: Annotated[str, typer.Argument(help="The receiver's name.")], config: ConfigOption = DEFAULT_CONFIG
) -> None:
    """Send a message of type `test` to one receiver and say what it answered."""
    loaded = load(config)
    receivers = {receiver.name: receiver for receiver in loaded.config.alerts.receivers}
    if name not in receivers:
        known = ", ".join(receivers) or "none"
        raise typer.Exit(fail(f"there is no receiver {name!r}; configured: {known}", CONFIGURATION))

    async def run() -> int:
        from alerts.trial import send_test

        outcome = await send_test(receivers[name], loaded.config.hub.name)
        typer.echo(outcome.text)
        return 0 if outcome.is_delivered else FAILED

    raise typer.Exit(run_async(run))
