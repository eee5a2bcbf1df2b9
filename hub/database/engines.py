"""SQLAlchemy engines for SQLite and PostgreSQL, with deadlines for locks and statements."""

import math
import sqlite3
import time
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url

Dialect = Literal["sqlite", "postgresql"]

_OLDEST_SQLITE = (3, 33, 0)  # UPDATE … FROM
_LOCK_WAIT_S = 1.0  # writers queue behind each other, so none may wait long for a lock of another process
_WRITE_DEADLINE_S = 20.0
_LOCK_DEADLINE_S = 5.0
_QUERY_CACHE = "-4000"  # kB each: people read a range once, and a larger cache would stay in memory
_DEADLINE_CHECK_STEPS = 20_000  # SQLite instructions between two checks, about a millisecond


class SqliteTooOld(Exception):
    """The SQLite library of this Python lacks statements that the hub needs."""


OWN_READERS = 3


class Engines(NamedTuple):
    """`writer` may lose the last commits at a power failure, `durable` never does; the first three cannot write.

    `queries` serve people, `readers` the hub's own work, `upkeep` health checks and checkpoints, so that none of
    them delays another. `lock` has the connection of PostgreSQL's advisory lock.
    """

    queries: Engine
    readers: Engine
    upkeep: Engine
    writer: Engine
    durable: Engine
    lock: Engine | None = None


def open_engines(url: str, queries: int, read_deadline_s: float) -> Engines:
    """Build the engines without connecting. Raises SqliteTooOld, ValueError for a URL that is not supported."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
            raise SqliteTooOld(f"this Python has SQLite {sqlite3.sqlite_version}; 3.33 or newer is needed")
        sqlite_path(parsed).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        read_only = {"query_only": "ON"}
        return Engines(
            _sqlite(parsed, queries, "BEGIN", {**read_only, "cache_size": _QUERY_CACHE}, read_deadline_s),
            _sqlite(parsed, OWN_READERS, "BEGIN", read_only, read_deadline_s),
            _sqlite(parsed, 1, "BEGIN", {"cache_size": "-1000"}, read_deadline_s),
            _sqlite(parsed, 1, "BEGIN IMMEDIATE", {"synchronous": "NORMAL"}, None),
            _sqlite(parsed, 1, "BEGIN IMMEDIATE", {"synchronous": "FULL"}, None),
        )
    if parsed.get_backend_name() == "postgresql":
        reading = "-c default_transaction_read_only=on"
        return Engines(
            _postgres(parsed, queries, read_deadline_s, reading),
            _postgres(parsed, OWN_READERS, read_deadline_s, reading),
            _postgres(parsed, 1, read_deadline_s, reading),
            _postgres(parsed, 1, _WRITE_DEADLINE_S, "-c synchronous_commit=off"),
            _postgres(parsed, 1, _WRITE_DEADLINE_S, "-c synchronous_commit=on"),
            _postgres(parsed, 1, _LOCK_DEADLINE_S, ""),
        )
    raise ValueError("database.url must start with sqlite:/// or postgresql://")


def sqlite_path(url: URL) -> Path:
    """The file of a SQLite URL. Raises ValueError for a database in memory."""
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise ValueError("database.url must name a file, such as sqlite:///data/hub.db")
    return Path(url.database).resolve()


def missing_file(url: str) -> Path | None:
    """The file of a SQLite database that does not exist yet; else None."""
    parsed = make_url(url)
    path = sqlite_path(parsed) if parsed.get_backend_name() == "sqlite" else None
    return None if path is None or path.exists() else path


def _sqlite(url: URL, size: int, begin: str, pragmas: dict[str, str], deadline_s: float | None) -> Engine:
    engine = create_engine(
        url.set(drivername="sqlite"),
        pool_size=size,
        max_overflow=0,
        connect_args={"timeout": _LOCK_WAIT_S, "cached_statements": 256},
    )
    settings = {
        "page_size": "2048",  # each reading goes to a page of its own unit, so pages are what is written
        "journal_mode": "WAL",
        "foreign_keys": "ON",
        "wal_autocheckpoint": "40000",  # pages; `Checkpoints` empties the log long before
        "journal_size_limit": str(64 * 1024 * 1024),
        "cache_size": "-32000",
        **pragmas,
    }

    @event.listens_for(engine, "do_connect")
    def name_the_file(_dialect: object, _record: object, args: list[Any], how: dict[str, Any]) -> None:
        # mode=rw: a file that was deleted meanwhile must not be created again, empty
        args[0] = f"file:{quote(str(sqlite_path(url)))}?mode=rw"
        how["uri"] = True

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # so that the driver sends no BEGIN of its own
        for name, value in settings.items():
            connection.execute(f"PRAGMA {name}={value}")
        _add_missing_functions(connection)

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        if deadline_s is not None:
            ends_s = time.monotonic() + deadline_s
            driver: Any = connection.connection.driver_connection
            driver.set_progress_handler(lambda: time.monotonic() > ends_s, _DEADLINE_CHECK_STEPS)
        connection.exec_driver_sql(begin)

    return engine


def _add_missing_functions(connection: sqlite3.Connection) -> None:
    """Define the functions that builds of SQLite without mathematics lack."""
    try:
        connection.execute("SELECT log10(10.0), power(10.0, 2.0)")
    except sqlite3.OperationalError:
        connection.create_function("log10", 1, math.log10, deterministic=True)
        connection.create_function("power", 2, lambda x, y: None if y is None else x**y, deterministic=True)


def _postgres(url: URL, size: int, deadline_s: float, options: str) -> Engine:
    given = url.query.get("options", "")
    limits = f"-c statement_timeout={deadline_s * 1000:.0f} -c lock_timeout={_LOCK_WAIT_S * 1000:.0f}"
    return create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=size,
        max_overflow=0,
        pool_pre_ping=True,
        connect_args={
            "options": f"{given} {limits} -c timezone=UTC {options}",
            "client_encoding": "UTF8",
            "connect_timeout": 3,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 10_000,
            "application_name": "hub",
        },
    )
