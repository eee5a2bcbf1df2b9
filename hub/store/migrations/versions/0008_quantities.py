"""Values of instruments that are no sound level meters, and their minutes."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("readings", "snapshots"):
        op.add_column(table, sa.Column("quantities", sa.JSON(), nullable=True))
    op.create_table(
        "quantity_minutes",
        sa.Column("unit_id", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("quantity", sa.String(), nullable=False),
        sa.Column("averaging", sa.String(), nullable=True),
        sa.Column("mean", sa.Float(), nullable=True),
        sa.Column("min", sa.Float(), nullable=True),
        sa.Column("max", sa.Float(), nullable=True),
        sa.Column("last", sa.Float(), nullable=True),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("coverage", sa.Float(), nullable=False),
        sa.Column("total", sa.Float(), nullable=False),
        sa.Column("weight_s", sa.Float(), nullable=False),
        sa.Column("covered_s", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("unit_id", "at", "quantity"),
        sqlite_with_rowid=False,
    )
