"""The commands. They import slow modules inside their functions, so that `hub --help` answers at once."""

import typer

from hub.cli.alerting import add_to as add_alerting
from hub.cli.bench import add_to as add_bench
from hub.cli.data import add_to as add_data
from hub.cli.meters import add_to as add_meters
from hub.cli.service import add_to as add_service

app = typer.Typer(
    name="hub",
    help="A monitor hub with alerting for fleets of instruments.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for add_to in (add_service, add_meters, add_data, add_alerting, add_bench):
    add_to(app)


@app.callback()
def _log_beside_the_output() -> None:
    """Send the log to standard error, so that standard output has only the result of a command."""
    from hub.runtime.logs import configure_logs

    configure_logs("console")


def main() -> None:
    """The entry point of the `hub` command."""
    app()
