"""How large the database is, how far its disk is from full, and what a unit costs a day."""

import shutil
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa
from sqlmodel import Session

from hub.database.engines import sqlite_path
from hub.store.schema import current_revision, known_revisions

_COUNTED_UP_TO = 256 * 1024 * 1024  # bytes: larger tables are estimated, not read from end to end


class Space(NamedTuple):
    """Bytes in use by the rows, and free on the disk under them; None where the disk is another machine's."""

    used: int
    free: int | None


class TableInfo(NamedTuple):
    """A table: rows, counted or estimated, and bytes with indexes; None where finding out would take too long."""

    name: str
    rows: int | None
    bytes: int | None


class DatabaseInfo(NamedTuple):
    """What `hub db info` shows. `bytes_per_unit_day` is None until units have been recorded for an hour in all."""

    dialect: str
    revision: str | None
    newest_revision: str
    space: Space
    tables: list[TableInfo]
    units: int
    bytes_per_unit_day: float | None


def database_space(session: Session) -> Space:
    """Cheap enough to ask every minute."""
    connection = session.connection()
    if connection.dialect.name == "sqlite":
        pages, unused, size = (
            int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())
            for name in ("page_count", "freelist_count", "page_size")
        )
        return Space((pages - unused) * size, shutil.disk_usage(_folder(session)).free)
    used = connection.exec_driver_sql(
        "SELECT coalesce(sum(pg_total_relation_size(oid)), 0) FROM pg_class"
        " WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace"
    ).scalar_one()
    return Space(int(used), None)


def database_info(session: Session) -> DatabaseInfo:
    """Revision, sizes, rows and what a unit costs a day. Raises DBAPIError."""
    space = database_space(session)
    revision = current_revision(session)
    dialect = session.get_bind().dialect.name
    tables = _sqlite_tables(session, space) if dialect == "sqlite" else _postgres_tables(session)
    units, days = _unit_days(session) if revision else (0, 0.0)
    per_day = space.used / days if days * 24 >= 1 else None
    return DatabaseInfo(dialect, revision, known_revisions()[0], space, tables, units, per_day)


def _folder(session: Session) -> Path:
    return sqlite_path(session.connection().engine.url).parent


def _sqlite_tables(session: Session, space: Space) -> list[TableInfo]:
    names = sorted(sa.inspect(session.connection()).get_table_names())
    if space.used > _COUNTED_UP_TO:
        return [TableInfo(name, None, None) for name in names]
    options = session.connection().exec_driver_sql("PRAGMA compile_options").scalars().all()
    sizes: dict[str, int] = {}
    if "ENABLE_DBSTAT_VTAB" in options:
        owners = "SELECT m.tbl_name, sum(s.pgsize) FROM dbstat s JOIN sqlite_master m USING (name) GROUP BY 1"
        sizes = {row[0]: row[1] for row in session.connection().exec_driver_sql(owners)}
    return [
        TableInfo(name, session.execute(sa.select(sa.func.count()).select_from(sa.table(name))).scalar_one(), size)
        for name, size in ((name, sizes.get(name)) for name in names)
    ]


def _postgres_tables(session: Session) -> list[TableInfo]:
    rows = session.connection().exec_driver_sql(
        "SELECT relname, reltuples::bigint, pg_total_relation_size(oid) FROM pg_class"
        " WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace ORDER BY relname"
    )
    # -1: never analysed
    return [TableInfo(name, estimate if estimate >= 0 else None, size) for name, estimate, size in rows]


def _unit_days(session: Session) -> tuple[int, float]:
    """How many units have readings, and the sum of the days from their first to their last."""
    spans = session.execute(
        sa.text("SELECT (SELECT min(r.at) FROM readings r WHERE r.unit_id = s.unit_id), s.at FROM snapshots s")
        .columns(sa.column("first", sa.DateTime()), sa.column("last", sa.DateTime()))
    ).all()  # fmt: skip
    return len(spans), sum((last - first).total_seconds() for first, last in spans if first is not None) / 86400
