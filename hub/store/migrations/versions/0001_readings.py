"""Readings, snapshots, minutes, state changes, unit states, boots."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_LEVELS = ("lp", "leq", "le", "lmax", "lmin", "lpeak", "ln1", "ln2", "ln3", "ln4", "ln5")


def upgrade() -> None:
    op.create_table(
        "readings", *_measured(), sa.PrimaryKeyConstraint("unit_id", "at", "sequence"), sqlite_with_rowid=False
    )
    op.create_table("snapshots", *_measured(), sa.PrimaryKeyConstraint("unit_id"), sqlite_with_rowid=False)
    op.create_table(
        "minutes",
        sa.Column("unit_id", sa.String(), nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("leq_lp", sa.Float(), nullable=True),
        sa.Column("lp_max", sa.Float(), nullable=True),
        sa.Column("lp_min", sa.Float(), nullable=True),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("coverage", sa.Float(), nullable=False),
        sa.Column("energy", sa.Float(), nullable=False),
        sa.Column("weight_s", sa.Float(), nullable=False),
        sa.Column("covered_s", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("unit_id", "at"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "state_changes",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("unit_id", sa.String(), nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("what", sa.String(), nullable=False),
        sa.Column("old", sa.String(), nullable=True),
        sa.Column("new", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
    )
    op.create_index("ix_state_changes_unit_id_at", "state_changes", ["unit_id", "at"])
    op.create_table(
        "unit_states",
        sa.Column("unit_id", sa.String(), nullable=False),
        sa.Column("released", sa.Boolean(), nullable=False),
        sa.Column("keep_alive", sa.Boolean(), nullable=True),
        sa.Column("config_hash", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("unit_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "boots",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("started_at", _TIME, nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("batch", sa.BigInteger(), nullable=False),
    )


def _measured() -> list[sa.Column[Any]]:
    return [
        sa.Column("unit_id", sa.String(), nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.Float(), nullable=True) for name in _LEVELS),
        sa.Column("over", sa.Boolean(), nullable=True),
        sa.Column("under", sa.Boolean(), nullable=True),
        sa.Column("run_state", sa.String(), nullable=True),
        sa.Column("run_started_at", _TIME, nullable=True),
        sa.Column("quality", sa.String(), nullable=False),
        sa.Column("cadence_s", sa.Float(), nullable=False),
        sa.Column("covered_s", sa.Float(), nullable=False),
        sa.Column("raw_payload", sa.String(), nullable=True),
    ]
