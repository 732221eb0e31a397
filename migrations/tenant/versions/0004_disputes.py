"""Disputes, and what providers take back of payments and top-ups by themselves."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

serves_previous = False
"""Every payment is shown with its dispute, so nothing is shown where there is no column for it."""


def upgrade() -> None:
    """Add them; nothing is disputed, and what was reversed was given back by the provider."""
    op.add_column("payments", sa.Column("disputed_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "payments", sa.Column("lost_amount", sa.BigInteger(), server_default="0", nullable=False)
    )
    op.create_check_constraint(
        op.f("ck_payments_loss_within_amount"), "payments", "lost_amount BETWEEN 0 AND amount"
    )
    op.create_check_constraint(
        op.f("ck_payments_disputed_at_a_provider"),
        "payments",
        "method = 'provider' OR (lost_amount = 0 AND disputed_at IS NULL)",
    )
    op.create_unique_constraint(
        op.f("uq_refunds_payment_id_provider_refund_id"),
        "refunds",
        ["payment_id", "provider_refund_id"],
    )
    op.add_column("webhook_events", sa.Column("provider_dispute_id", sa.Text(), nullable=True))
    _split_reversals()
    _add_disputes()


def _split_reversals() -> None:
    for name in ("refunded_amount", "disputed_amount"):
        op.add_column(
            "wallet_top_ups", sa.Column(name, sa.BigInteger(), server_default="0", nullable=False)
        )
    op.execute(
        "UPDATE wallet_top_ups SET refunded_amount = reversed_amount WHERE reversed_amount > 0"
    )
    op.drop_constraint(op.f("ck_wallet_top_ups_reversal_within_amount"), "wallet_top_ups")
    op.create_check_constraint(
        op.f("ck_wallet_top_ups_refund_within_amount"),
        "wallet_top_ups",
        "refunded_amount BETWEEN 0 AND amount",
    )
    op.create_check_constraint(
        op.f("ck_wallet_top_ups_dispute_within_amount"),
        "wallet_top_ups",
        "disputed_amount BETWEEN 0 AND amount",
    )
    op.create_check_constraint(
        op.f("ck_wallet_top_ups_reversed_is_both"),
        "wallet_top_ups",
        "reversed_amount = least(amount, refunded_amount + disputed_amount)",
    )
    op.create_unique_constraint(
        op.f("uq_wallet_top_ups_id_currency"), "wallet_top_ups", ["id", "currency"]
    )


def _add_disputes() -> None:
    op.create_table(
        "disputes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("payment_id", sa.Uuid(), nullable=True),
        sa.Column("top_up_id", sa.Uuid(), nullable=True),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("provider_dispute_id", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("evidence_due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "num_nonnulls(payment_id, top_up_id) = 1", name=op.f("ck_disputes_about_one_thing")
        ),
        sa.CheckConstraint("amount > 0", name=op.f("ck_disputes_amount_positive")),
        sa.CheckConstraint(
            "kind IN ('inquiry', 'chargeback')", name=op.f("ck_disputes_kind_known")
        ),
        sa.CheckConstraint(
            "status IN ('needs_response', 'under_review', 'won', 'lost')",
            name=op.f("ck_disputes_status_known"),
        ),
        sa.CheckConstraint(
            "kind = 'chargeback' OR status <> 'lost'",
            name=op.f("ck_disputes_inquiry_loses_nothing"),
        ),
        sa.CheckConstraint(
            "(status IN ('won', 'lost')) = (closed_at IS NOT NULL)",
            name=op.f("ck_disputes_closed_has_a_date"),
        ),
        sa.CheckConstraint(
            "closed_at >= opened_at", name=op.f("ck_disputes_closed_after_it_was_opened")
        ),
        sa.ForeignKeyConstraint(
            ["payment_id", "currency"],
            ["payments.id", "payments.currency"],
            name=op.f("fk_disputes_payment_id_currency_payments"),
        ),
        sa.ForeignKeyConstraint(
            ["top_up_id", "currency"],
            ["wallet_top_ups.id", "wallet_top_ups.currency"],
            name=op.f("fk_disputes_top_up_id_currency_wallet_top_ups"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_disputes")),
        sa.UniqueConstraint(
            "provider", "provider_dispute_id", name=op.f("uq_disputes_provider_provider_dispute_id")
        ),
    )
    op.create_index(
        "ix_disputes_payment_id",
        "disputes",
        ["payment_id"],
        unique=False,
        postgresql_where=sa.text("payment_id IS NOT NULL"),
    )
    op.create_index(
        "ix_disputes_top_up_id",
        "disputes",
        ["top_up_id"],
        unique=False,
        postgresql_where=sa.text("top_up_id IS NOT NULL"),
    )
    op.execute('GRANT SELECT, INSERT, UPDATE ON "disputes" TO __organization_role__')
