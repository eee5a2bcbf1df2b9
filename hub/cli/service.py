"""`hub run`, `hub demo`, `hub check`, `hub schema`."""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from hub.cli.outcome import CONFIGURATION, FAILED, PORT_TAKEN, fail, output_closed, run_async
from hub.fields.spelling import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from hub.app.composition import Hub
    from hub.config.file import Loaded

ConfigPath = Annotated[Path, typer.Argument(metavar="CONFIG", help="The configuration file.")]
DEFAULT_CONFIG = Path("config.yaml")


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(run)
    app.command()(demo)
    app.command()(check)
    app.command()(schema)


def run(config: ConfigPath = DEFAULT_CONFIG) -> None:
    """Run the hub until SIGTERM or Ctrl-C; SIGHUP, or a change of the file, reloads the configuration."""
    import structlog

    from hub.runtime.logs import configure_logs

    loaded = load(config)
    is_json = configure_logs(loaded.config.hub.log) == "json"
    for warning in loaded.warnings:
        if is_json:
            structlog.get_logger().warning(str(warning))
        else:
            typer.echo(f"warning: {warning}", err=True)
    raise typer.Exit(start(_serve_and_end, loaded, config, _log_start if is_json else _announce))


async def _serve_and_end(loaded: "Loaded", config: Path, announce: "Callable[[Hub], None]") -> NoReturn:
    """Run the hub; once it has stopped, end the process at once, without closing the event loop.

    Closing the loop, and the exit handlers of libraries, would wait for a resolver that does not answer.
    """
    from hub.app.service import serve

    code = await serve(loaded, config, announce)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def demo() -> None:
    """Eight simulated meters, a sample plant, rules that fire within a minute, and a receiver that prints."""
    from hub.app.demo import run_demo

    raise typer.Exit(start(run_demo))


def check(config: ConfigPath = DEFAULT_CONFIG) -> None:
    """Check a configuration: every problem with its line and column, all at once."""
    from hub.config.check import check as check_config
    from hub.config.problem import lines_of

    checked = check_config(config)
    for line in lines_of(checked.problems):
        typer.echo(line, err=True)
    for warning in checked.warnings:
        typer.echo(f"{warning} (warning)", err=True)
    if checked.summary is not None:
        typer.echo(f"{config}: {checked.summary}")
    raise typer.Exit(checked.exit_code)


def schema() -> None:
    """Print the JSON Schema of the configuration, for editors."""
    from hub.config.schema import config_schema

    typer.echo(json.dumps(config_schema(), indent=2, ensure_ascii=False))


def load(config: Path) -> "Loaded":
    """The configuration; prints every problem on standard error and exits with code 2 when there are any."""
    from hub.config.file import load_config
    from hub.config.problem import ConfigError

    try:
        return load_config(config)
    except ConfigError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(CONFIGURATION) from None


def start(service: Any, *args: Any) -> int:
    """Run a service, and turn errors at its start into a message and an exit code."""
    from sqlalchemy.exc import DBAPIError

    from hub.database.database import DatabaseNotUtf8
    from hub.database.engines import SqliteTooOld
    from hub.database.errors import describe_error
    from hub.database.lock import DatabaseInUse
    from hub.runtime.lock import AlreadyRunning
    from hub.store.schema import DatabaseTooNew
    from hub.web.server.server import PortTaken

    try:
        code: int = run_async(service, *args)
        return code
    except PortTaken as error:
        return fail(str(error), PORT_TAKEN)
    except (AlreadyRunning, DatabaseNotUtf8, DatabaseInUse, DatabaseTooNew, SqliteTooOld) as error:
        return fail(str(error), FAILED)
    except DBAPIError as error:
        return fail(f"the database cannot be used: {describe_error(error)}; see database.url", FAILED)
    except BrokenPipeError:
        return output_closed()
    except OSError as error:
        return fail(f"{error.filename or ''} {error.strerror or error}".strip(), FAILED)


def _announce(hub: "Hub") -> None:
    units = counted(len(hub.fleet.units), "unit")
    typer.echo(f"{hub.config.hub.name}: {hub.url}  ({units})  Ctrl-C stops", err=True)


def _log_start(hub: "Hub") -> None:
    import structlog

    structlog.get_logger().info("started", hub=hub.config.hub.name, url=hub.url, units=len(hub.fleet.units))
