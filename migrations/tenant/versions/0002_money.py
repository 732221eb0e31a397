"""Money: credit grants, wallets that owe, receipts, accounts at providers, reasons of movements."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

serves_previous = False
"""A purchase writes its receipt, so nothing is sold where there is no table for it."""


def upgrade() -> None:
    """Add them; what stands owes nothing and was granted by nobody."""
    op.create_table(
        "credit_grants",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("amount > 0", name=op.f("ck_credit_grants_amount_positive")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credit_grants")),
    )
    op.execute('GRANT SELECT, INSERT ON "credit_grants" TO __organization_role__')
    op.add_column("wallets", sa.Column("owed", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("wallets", sa.Column("frozen_at", sa.DateTime(timezone=True), nullable=True))
    op.create_check_constraint(op.f("ck_wallets_owed_not_negative"), "wallets", "owed >= 0")
    op.create_check_constraint(
        op.f("ck_wallets_owing_is_frozen"), "wallets", "owed = 0 OR frozen_at IS NOT NULL"
    )
    op.add_column(
        "wallet_top_ups",
        sa.Column("reversed_amount", sa.BigInteger(), server_default="0", nullable=False),
    )
    op.create_check_constraint(
        op.f("ck_wallet_top_ups_reversal_within_amount"),
        "wallet_top_ups",
        "reversed_amount BETWEEN 0 AND amount",
    )
    op.add_column("wallet_transactions", sa.Column("grant_id", sa.Uuid(), nullable=True))
    op.create_foreign_key(
        op.f("fk_wallet_transactions_grant_id_credit_grants"),
        "wallet_transactions",
        "credit_grants",
        ["grant_id"],
        ["id"],
    )
    op.create_index(
        "ix_wallet_transactions_grant_id",
        "wallet_transactions",
        ["grant_id"],
        unique=False,
        postgresql_where=sa.text("grant_id IS NOT NULL"),
    )
    op.add_column(
        "wallet_transactions",
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
    )
    op.create_table(
        "receipt_counters",
        sa.Column("year", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("last_number", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("last_number > 0", name=op.f("ck_receipt_counters_numbers_from_one")),
        sa.PrimaryKeyConstraint("year", name=op.f("pk_receipt_counters")),
    )
    op.execute(
        'GRANT SELECT, INSERT, UPDATE, DELETE ON "receipt_counters" TO __organization_role__'
    )
    op.create_table(
        "receipts",
        sa.Column("year", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("payment_id", sa.Uuid(), nullable=True),
        sa.Column("top_up_id", sa.Uuid(), nullable=True),
        sa.Column("refund_id", sa.Uuid(), nullable=True),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column(
            "issued_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("number > 0", name=op.f("ck_receipts_numbers_from_one")),
        sa.CheckConstraint("amount > 0", name=op.f("ck_receipts_amount_positive")),
        sa.CheckConstraint(
            "num_nonnulls(payment_id, top_up_id, refund_id) = 1",
            name=op.f("ck_receipts_about_one_thing"),
        ),
        sa.ForeignKeyConstraint(
            ["payment_id"], ["payments.id"], name=op.f("fk_receipts_payment_id_payments")
        ),
        sa.ForeignKeyConstraint(
            ["top_up_id"], ["wallet_top_ups.id"], name=op.f("fk_receipts_top_up_id_wallet_top_ups")
        ),
        sa.ForeignKeyConstraint(
            ["refund_id"], ["refunds.id"], name=op.f("fk_receipts_refund_id_refunds")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_receipts_user_id_users")),
        sa.PrimaryKeyConstraint("year", "number", name=op.f("pk_receipts")),
        sa.UniqueConstraint("payment_id", name=op.f("uq_receipts_payment_id")),
        sa.UniqueConstraint("top_up_id", name=op.f("uq_receipts_top_up_id")),
        sa.UniqueConstraint("refund_id", name=op.f("uq_receipts_refund_id")),
    )
    op.execute('GRANT SELECT, INSERT ON "receipts" TO __organization_role__')
    op.create_table(
        "payment_accounts",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("publishable_key", sa.Text(), nullable=False),
        sa.Column("secret_key", sa.Text(), nullable=False),
        sa.Column("webhook_secret", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("provider", name=op.f("pk_payment_accounts")),
    )
    op.execute(
        'GRANT SELECT, INSERT, UPDATE, DELETE ON "payment_accounts" TO __organization_role__'
    )
