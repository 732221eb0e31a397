"""Disputes: payments and top-ups that their payers contest at their banks."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from tenants.base import TenantBase

KEPT = {"grants": "SELECT, INSERT, UPDATE"}
"""What is known of a dispute changes; that there was one stays."""

DISPUTE_KINDS = ("inquiry", "chargeback")
DISPUTE_STATUSES = ("needs_response", "under_review", "won", "lost")


class Dispute(TenantBase):
    """A payment or top-up that its payer contests at their bank, as the provider tells it.

    A chargeback has taken the money back: until it is won, it counts in the payment's
    `disputed_at` and `lost_amount`, or in the top-up's `disputed_amount`. An inquiry only asks, and
    may become a chargeback. Every change counts `version` up.
    """

    __tablename__ = "disputes"
    __table_args__ = (
        UniqueConstraint("provider", "provider_dispute_id"),
        ForeignKeyConstraint(["payment_id", "currency"], ["payments.id", "payments.currency"]),
        ForeignKeyConstraint(
            ["top_up_id", "currency"], ["wallet_top_ups.id", "wallet_top_ups.currency"]
        ),
        CheckConstraint("num_nonnulls(payment_id, top_up_id) = 1", name="about_one_thing"),
        CheckConstraint("amount > 0", name="amount_positive"),
        CheckConstraint("kind IN ('inquiry', 'chargeback')", name="kind_known"),
        CheckConstraint(
            "status IN ('needs_response', 'under_review', 'won', 'lost')", name="status_known"
        ),
        CheckConstraint("kind = 'chargeback' OR status <> 'lost'", name="inquiry_loses_nothing"),
        CheckConstraint(
            "(status IN ('won', 'lost')) = (closed_at IS NOT NULL)", name="closed_has_a_date"
        ),
        CheckConstraint("closed_at >= opened_at", name="closed_after_it_was_opened"),
        Index(
            "ix_disputes_payment_id", "payment_id", postgresql_where=text("payment_id IS NOT NULL")
        ),
        Index("ix_disputes_top_up_id", "top_up_id", postgresql_where=text("top_up_id IS NOT NULL")),
        {"info": KEPT},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    payment_id: Mapped[UUID | None]
    top_up_id: Mapped[UUID | None]
    provider: Mapped[str]
    provider_dispute_id: Mapped[str]
    amount: Mapped[int]
    currency: Mapped[str]
    kind: Mapped[str]
    status: Mapped[str]
    reason: Mapped[str]
    evidence_due_at: Mapped[datetime | None]
    opened_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
