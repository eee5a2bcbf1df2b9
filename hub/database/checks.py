"""Checks of the storage: which parts of it the database can read, and whether a commit would be possible."""

from collections.abc import Mapping
from types import MappingProxyType

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from hub.database.errors import describe_error

TABLES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "readings": (
            "readings", "snapshots", "minutes", "quantity_minutes", "state_changes", "machine_status_changes",
            "boots",
        ),
        "transitions": ("alerts", "alert_states", "transitions"),
        "deliveries": ("deliveries", "attempts", "receiver_holds"),
        "units": ("unit_states", "meter_settings"),
    }
)  # fmt: skip
"""The tables of each part of the storage."""

STORAGE_PARTS = (*TABLES, "commits", "file", "log", "retention")
"""Every part of the storage that can fail on its own."""

VITAL_PARTS = frozenset({"readings", "transitions", "deliveries", "commits", "file"})
"""Parts without which the hub cannot do its work; a failure of any other part leaves it degraded."""


def unreadable_parts(session: Session) -> dict[str, str]:
    """The reason by part, for the parts whose tables cannot be read. Raises DBAPIError when nothing can be read."""
    broken: dict[str, str] = {}
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    some = 1 if is_sqlite else 0  # PostgreSQL may skip a million deleted rows before it finds the first row
    session.execute(sa.text("SELECT 1"))
    for part, tables in TABLES.items():
        try:
            with session.begin_nested():
                for table in tables:
                    session.execute(sa.text(f"SELECT * FROM {table} LIMIT {some}")).first()
        except DBAPIError as error:
            broken[part] = describe_error(error)
            if not session.is_active or error.connection_invalidated:
                raise
    return broken


def touch(session: Session) -> None:
    """Write a value that is there already, to find out whether a commit is possible."""
    session.execute(sa.text("UPDATE boots SET batch = batch WHERE id = (SELECT max(id) FROM boots)"))
