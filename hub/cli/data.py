"""`hub export`, `hub db upgrade|info`."""

import json
import sys
from contextlib import nullcontext
from datetime import UTC, datetime
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hub.cli.outcome import CONFIGURATION, fail
from hub.cli.service import DEFAULT_CONFIG, load, start
from hub.fields.spelling import counted

if TYPE_CHECKING:
    from hub.config.models import Config
    from hub.instruments.unit_config import UnitConfig
    from hub.store.export import ExportedUnit

db = typer.Typer(help="The hub's database.", no_args_is_help=True)

ConfigOption = Annotated[Path, typer.Option("--config", help="The configuration file.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(export)
    app.add_typer(db, name="db")


def parse_time(text: str) -> datetime:
    """The UTC time of an RFC 3339 text with an offset or Z. Raises BadParameter."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a time; write it as 2026-03-18T22:00:00Z") from None
    if at.tzinfo is None:
        raise typer.BadParameter(f"{text!r} has no zone; end it in Z for UTC or an offset such as +01:00")
    return at.astimezone(UTC)


def parse_range(start: str, end: str) -> tuple[datetime, datetime]:
    """The two times of a range. Raises BadParameter when the first is after the second."""
    begin_at, end_at = parse_time(start), parse_time(end)
    if begin_at > end_at:
        raise typer.BadParameter("--from must not be after --to")
    return begin_at, end_at


def existing_database(config: "Config") -> str:
    """The URL of the database, for commands that only read; exits with code 1 when it does not exist."""
    from hub.database.engines import missing_file

    url = config.database.url.get_secret_value()
    missing = missing_file(url)
    if missing is not None:
        message = f"there is no database at {missing}; `hub run` and `hub db upgrade` create it, see database.url"
        raise typer.Exit(fail(message))
    return url


def exported(unit: "UnitConfig") -> "ExportedUnit":
    """A unit of config.yaml, as its rows are written."""
    from hub.kinds.registry import kind_of
    from hub.readings.reading import own_quantities
    from hub.store.export import ExportedUnit

    kind = kind_of(unit)
    symbols = partial(kind.symbols, unit)
    return ExportedUnit(unit.id, unit.name or unit.id, symbols, own_quantities(kind.quantities(unit)))


def export(
    start_at: Annotated[str, typer.Option("--from", help="RFC 3339 time, such as 2026-03-18T00:00:00Z.")],
    end_at: Annotated[str, typer.Option("--to", help="RFC 3339 time; this instant is not included.")],
    units: Annotated[str, typer.Option(help="Glob over unit ids.")] = "*",
    step: Annotated[str | None, typer.Option(help="One row per step, such as 15m; raw readings without.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File; standard output without.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Stored readings as CSV. May run beside a hub."""
    from alerts.model.duration import parse_duration
    from hub.database.database import open_database
    from hub.store.export import export_rows
    from hub.store.history import whole_step

    begin, end = parse_range(start_at, end_at)
    try:
        step_s = None if step is None else whole_step(parse_duration(step))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    loaded = load(config).config
    chosen = [exported(unit) for unit in loaded.units if fnmatch(unit.id, units)]
    if not chosen:
        raise typer.Exit(fail(f"no unit matches {units!r}", CONFIGURATION))
    url = existing_database(loaded)

    async def run() -> int:
        count = 0
        async with open_database(url, exclusive=False) as database:
            with nullcontext(sys.stdout) if output is None else output.open("w", encoding="utf-8") as file:
                async for text in export_rows(database, chosen, begin, end, step_s=step_s):
                    file.write(text)
                    count += text.count("\n")
                    if output is not None and sys.stderr.isatty():
                        print(f"\r{count} lines", end="", file=sys.stderr)
                file.flush()
        if output is not None:
            typer.echo(f"{counted(count, 'line')} in {output}", err=True)
        return 0

    raise typer.Exit(start(run))


@db.command()
def upgrade(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Bring the tables up to date; `hub run` does it too."""
    from hub.database.database import open_database
    from hub.store.schema import upgrade as upgrade_schema

    url = load(config).config.database.url.get_secret_value()

    async def run() -> int:
        async with open_database(url) as database:
            typer.echo(f"the database is at revision {await database.write(upgrade_schema)}")
        return 0

    raise typer.Exit(start(run))


@db.command()
def info(
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Revision, tables, sizes, bytes per unit and day, and how long the disk lasts."""
    from hub.database.database import open_database
    from hub.store.size import DatabaseInfo, database_info

    url = existing_database(load(config).config)

    async def run() -> int:
        async with open_database(url, exclusive=False) as database:
            found = await database.read(database_info)
        typer.echo(json.dumps(_document(found), indent=2) if as_json else _text(found))
        return 0

    def _document(found: DatabaseInfo) -> dict[str, object]:
        tables = [table._asdict() for table in found.tables]
        return {**found._asdict(), "space": found.space._asdict(), "tables": tables}

    def _text(found: DatabaseInfo) -> str:
        lines = [f"{found.dialect}, revision {found.revision or 'none: run `hub db upgrade`'}"]
        lines += [f"  {t.name:<20}{_number(t.rows):>14} rows{_size(t.bytes):>12}" for t in found.tables]
        lines.append(f"in use {_size(found.space.used)}, free on the disk {_size(found.space.free)}")
        if found.bytes_per_unit_day:
            per_day = found.bytes_per_unit_day
            lines.append(f"{_size(round(per_day))} per unit and day, {counted(found.units, 'unit')}")
            if found.space.free is not None and found.units:
                days = found.space.free / (per_day * found.units)
                lines.append(f"without deletion the disk would last {days:.0f} days")
        return "\n".join(lines)

    raise typer.Exit(start(run))


def _number(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"


def _size(value: int | None) -> str:
    if value is None:
        return "?"
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= size:
            return f"{value / size:.1f} {unit}"
    return f"{value} B"
