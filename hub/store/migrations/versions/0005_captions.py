"""What people called the subject of an alert, and the symbol of its level."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("alerts", "transitions"):
        op.add_column(table, sa.Column("name", sa.String(), nullable=True))
        op.add_column(table, sa.Column("metric_label", sa.String(), nullable=True))
