"""Brings the tables up to date, and says how far they are."""

from datetime import datetime
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlmodel import Session, SQLModel

import alerts.store.tables  # noqa: F401  (adds its tables to the metadata)
from hub.store.tables import keep_boot


class DatabaseTooNew(Exception):
    """The database was made by a newer hub; run that one, or give this one a database of its own."""


def metadata() -> sa.MetaData:
    """Every table of the hub and of alerting."""
    return SQLModel.metadata


def upgrade(session: Session, revision: str = "head") -> str:
    """Runs the revisions that are missing, in the session's transaction; returns the revision reached.

    Raises DatabaseTooNew when the database is ahead of this hub.
    """
    connection = session.connection()
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
    config = _config()
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, revision)
    except CommandError as error:
        if current_revision(session) in known_revisions():
            raise
        raise DatabaseTooNew("the database was made by a newer version of the hub: run that version") from error
    return current_revision(session) or ""


def adopt(session: Session, *, boot: int, started_at: datetime, version: str) -> None:
    """Makes a database that was put in place of the former one this process's own, whose boot it may not know."""
    upgrade(session)
    keep_boot(session, boot, started_at, version)


def current_revision(session: Session) -> str | None:
    """The revision of the database; None when it has no tables yet."""
    return MigrationContext.configure(session.connection()).get_current_revision()


def known_revisions() -> list[str]:
    """Every revision this hub knows, newest first."""
    return [script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()]


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    config.set_main_option("path_separator", "os")
    return config
