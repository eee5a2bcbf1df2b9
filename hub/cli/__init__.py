"""The commands. Whatever is slow to import is imported inside them, so that `hub --help` answers at once."""

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
    """Nothing but the answer of a command goes to standard output."""
    from hub.runtime.logs import configure_logs

    configure_logs("console")


def main() -> None:
    """The entry point of the `hub` command."""
    app()
