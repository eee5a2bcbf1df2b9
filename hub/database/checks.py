"""Whether the database still keeps what the hub promises, asked of every table."""

from collections.abc import Mapping
from types import MappingProxyType

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from hub.database.errors import describe_trouble

TABLES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "readings": ("readings", "snapshots", "minutes", "state_changes", "machine_status_changes", "boots"),
        "transitions": ("alerts", "alert_states", "transitions"),
        "deliveries": ("deliveries", "attempts", "receiver_holds"),
        "units": ("unit_states", "meter_settings"),
    }
)
"""The tables without which a promise cannot be kept."""

PROMISES = (*TABLES, "commits", "file", "log", "retention")
"""All that can be broken."""

VITAL = frozenset({"readings", "transitions", "deliveries", "commits", "file"})
"""Promises without which the hub cannot do its work; the others leave it degraded."""


def broken_promises(session: Session) -> dict[str, str]:
    """Reason by promise, for those whose tables cannot be read. Raises DBAPIError when nothing can."""
    broken: dict[str, str] = {}
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    some = (
        1 if is_sqlite else 0
    )  # PostgreSQL may have to pass a million deleted rows before the first that is there
    session.execute(sa.text("SELECT 1"))
    for promise, tables in TABLES.items():
        try:
            with session.begin_nested():
                for table in tables:
                    session.execute(sa.text(f"SELECT * FROM {table} LIMIT {some}")).first()
        except DBAPIError as error:
            broken[promise] = describe_trouble(error)
            if not session.is_active or error.connection_invalidated:
                raise
    return broken


def touch(session: Session) -> None:
    """Writes without changing anything, to find out whether a commit would be possible."""
    session.execute(sa.text("UPDATE boots SET batch = batch WHERE id = (SELECT max(id) FROM boots)"))
