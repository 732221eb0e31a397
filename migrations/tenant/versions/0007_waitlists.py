"""Waiting lists, approval, a learner's own end of access, and transfers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

serves_previous = False
"""Whoever enrolls says what a pending enrollment waits for, so nobody does where no column is."""


def upgrade() -> None:
    """Add them; what is pending waits for its payment, and nobody waits for a seat yet."""
    moment = sa.DateTime(timezone=True)
    op.add_column("course_runs", _switch("approval_required"))
    op.add_column(
        "run_seats", sa.Column("waitlisted", sa.BigInteger(), server_default="0", nullable=False)
    )
    op.create_check_constraint(
        op.f("ck_run_seats_waitlisted_not_negative"), "run_seats", "waitlisted >= 0"
    )
    op.add_column("enrollments", sa.Column("awaiting", sa.Text(), nullable=True))
    op.add_column("enrollments", _switch("accepts_waitlist"))
    op.add_column("enrollments", sa.Column("autopay_amount", sa.BigInteger(), nullable=True))
    op.add_column("enrollments", sa.Column("autopay_coupon", sa.Text(), nullable=True))
    for name in ("waitlisted_at", "approved_at", "offered_until", "access_ends_at"):
        op.add_column("enrollments", sa.Column(name, moment, nullable=True))
    op.add_column("enrollments", sa.Column("transferred_from_id", sa.Uuid(), nullable=True))
    op.execute("UPDATE enrollments SET awaiting = 'payment' WHERE state = 'pending'")
    for name, condition in (
        ("awaiting_known", "awaiting IN ('payment', 'offer', 'approval', 'invitation')"),
        ("pending_says_for_what", "(state = 'pending') = (awaiting IS NOT NULL)"),
        ("waiting_has_a_date", "state <> 'waitlisted' OR waitlisted_at IS NOT NULL"),
        ("autopay_not_negative", "autopay_amount >= 0"),
    ):
        op.create_check_constraint(op.f(f"ck_enrollments_{name}"), "enrollments", condition)
    op.create_foreign_key(
        op.f("fk_enrollments_transferred_from_id_enrollments"),
        *("enrollments", "enrollments", ["transferred_from_id"], ["id"]),
    )
    op.create_unique_constraint(
        op.f("uq_enrollments_transferred_from_id"), "enrollments", ["transferred_from_id"]
    )
    op.create_index(
        "ix_enrollments_waitlist",
        "enrollments",
        ["run_id", "waitlisted_at", "id"],
        unique=False,
        postgresql_where=sa.text("state = 'waitlisted'"),
    )
    op.create_index(
        "ix_enrollments_pending",
        "enrollments",
        ["run_id", "hold_until"],
        unique=False,
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.add_column("payments", sa.Column("transferred_at", moment, nullable=True))
    op.drop_index("uq_payments_live", "payments")
    op.create_index(
        "uq_payments_live",
        "payments",
        ["user_id", "run_id"],
        unique=True,
        postgresql_where=sa.text("live AND transferred_at IS NULL"),
    )


def _switch(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean(), server_default=sa.text("false"), nullable=False)
