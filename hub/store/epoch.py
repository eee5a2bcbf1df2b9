"""Times of rows as whole seconds since 1970, in SQL."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session


def epoch(session: Session, at: sa.Column[datetime]) -> sa.ColumnElement[Any]:
    """Whole seconds since 1970 UTC of a column."""
    if session.get_bind().dialect.name == "sqlite":
        return sa.cast(sa.func.strftime("%s", at), sa.Integer)
    return sa.cast(sa.func.floor(sa.extract("epoch", at)), sa.BigInteger)
