"""When lessons open inside a run: after some days, or once earlier ones are done."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

serves_previous = False
"""Every module and lesson that is read has these, so none is shown where there is no column."""


def upgrade() -> None:
    """Add them; everything that is there stays open from the start."""
    op.add_column(
        "modules",
        sa.Column("sequential", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )
    op.add_column("lessons", sa.Column("availability", postgresql.JSONB(), nullable=True))
