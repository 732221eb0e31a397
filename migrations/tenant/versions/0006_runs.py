"""Runs that were cancelled, and until when the content of a run may be read."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

serves_previous = False
"""Every run that is read has these columns, so none is shown where they are not there."""


def upgrade() -> None:
    """Add them; no run was cancelled before, and the content of all may be read for ever."""
    moment = sa.DateTime(timezone=True)
    op.add_column("course_runs", sa.Column("access_ends_at", moment, nullable=True))
    op.add_column("course_runs", sa.Column("cancelled_at", moment, nullable=True))
    op.add_column("course_runs", sa.Column("cancelled_by", sa.Uuid(), nullable=True))
    op.add_column("course_runs", sa.Column("cancel_reason", sa.Text(), nullable=True))
    for name, condition in (
        ("access_ends_after_it", "access_ends_at >= ends_at"),
        ("cancelled_has_a_date", "(state = 'cancelled') = (cancelled_at IS NOT NULL)"),
        (
            "cancelled_by_somebody_for_a_reason",
            "num_nonnulls(cancelled_at, cancelled_by, cancel_reason) IN (0, 3)",
        ),
    ):
        op.create_check_constraint(op.f(f"ck_course_runs_{name}"), "course_runs", condition)
