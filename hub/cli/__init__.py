"""The commands. Whatever is slow to import is imported inside them, so that `hub --help` answers at once."""

import typer

from hub.cli import alerting, bench, data, meters, service

app = typer.Typer(
    name="hub",
    help="A monitor hub with alerting for fleets of instruments.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for part in (service, meters, data, alerting, bench):
    part.add_to(app)


def main() -> None:
    """The entry point of the `hub` command."""
    app()
