"""Coupons, how often learners use them, and what payments got off by them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

serves_previous = False
"""Every payment that is read has its discount, so none is shown where there is no column for it."""


def upgrade() -> None:
    """Add them; what was paid had no discount."""
    op.create_table(
        "coupons",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("percent_off", sa.BigInteger(), nullable=True),
        sa.Column("amount_off", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column(
            "valid_from",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("valid_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("max_uses", sa.BigInteger(), nullable=True),
        sa.Column("max_uses_per_learner", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("uses", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("code ~ '^[A-Z0-9_-]{3,40}$'", name=op.f("ck_coupons_code_form")),
        sa.CheckConstraint(
            "num_nonnulls(percent_off, amount_off) = 1",
            name=op.f("ck_coupons_takes_off_one_thing"),
        ),
        sa.CheckConstraint("percent_off BETWEEN 1 AND 100", name=op.f("ck_coupons_percent_range")),
        sa.CheckConstraint("amount_off > 0", name=op.f("ck_coupons_amount_positive")),
        sa.CheckConstraint(
            "(amount_off IS NULL) = (currency IS NULL)",
            name=op.f("ck_coupons_amount_has_a_currency"),
        ),
        sa.CheckConstraint(
            "valid_from < valid_until", name=op.f("ck_coupons_valid_from_before_until")
        ),
        sa.CheckConstraint("max_uses_per_learner > 0", name=op.f("ck_coupons_learners_may_use_it")),
        sa.CheckConstraint("uses >= 0", name=op.f("ck_coupons_uses_not_negative")),
        sa.CheckConstraint("uses <= max_uses", name=op.f("ck_coupons_never_overused")),
        sa.ForeignKeyConstraint(
            ["run_id"], ["course_runs.id"], name=op.f("fk_coupons_run_id_course_runs")
        ),
        sa.ForeignKeyConstraint(
            ["created_by"], ["users.id"], name=op.f("fk_coupons_created_by_users")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_coupons")),
        sa.UniqueConstraint("code", name=op.f("uq_coupons_code")),
        sa.UniqueConstraint(
            "id", "max_uses_per_learner", name=op.f("uq_coupons_id_max_uses_per_learner")
        ),
    )
    op.execute('GRANT SELECT, INSERT, UPDATE, DELETE ON "coupons" TO __organization_role__')
    op.create_table(
        "coupon_learners",
        sa.Column("coupon_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("max_uses", sa.BigInteger(), nullable=False),
        sa.Column("uses", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "uses BETWEEN 0 AND max_uses", name=op.f("ck_coupon_learners_never_overused")
        ),
        sa.ForeignKeyConstraint(
            ["coupon_id", "max_uses"],
            ["coupons.id", "coupons.max_uses_per_learner"],
            name=op.f("fk_coupon_learners_coupon_id_max_uses_coupons"),
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_coupon_learners_user_id_users")
        ),
        sa.PrimaryKeyConstraint("coupon_id", "user_id", name=op.f("pk_coupon_learners")),
    )
    op.execute('GRANT SELECT, INSERT, UPDATE, DELETE ON "coupon_learners" TO __organization_role__')
    op.add_column(
        "payments",
        sa.Column("discount_amount", sa.BigInteger(), server_default="0", nullable=False),
    )
    op.add_column("payments", sa.Column("coupon_code", sa.Text(), nullable=True))
    op.add_column(
        "payments",
        sa.Column("coupon_used", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )
    op.create_foreign_key(
        op.f("fk_payments_coupon_code_coupons"),
        "payments",
        "coupons",
        ["coupon_code"],
        ["code"],
        deferrable=True,
        initially="DEFERRED",
    )
    for name, condition in (
        ("discount_not_negative", "discount_amount >= 0"),
        ("discount_by_coupon", "(coupon_code IS NOT NULL) = (discount_amount > 0)"),
        ("use_of_a_coupon", "NOT coupon_used OR coupon_code IS NOT NULL"),
        ("live_uses_its_coupon", "NOT live OR coupon_code IS NULL OR coupon_used"),
    ):
        op.create_check_constraint(op.f(f"ck_payments_{name}"), "payments", condition)
    op.create_index(
        "ix_payments_coupon_code",
        "payments",
        ["coupon_code", "id"],
        unique=False,
        postgresql_where=sa.text("coupon_code IS NOT NULL"),
    )
