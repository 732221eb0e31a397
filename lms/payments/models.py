"""Wallets and their journal, payments, top-ups, refunds, and what providers told us.

Amounts are BIGINT minor units. Composite foreign keys carry the currency, so a cross-currency
posting cannot exist.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    PrimaryKeyConstraint,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from tenants.base import INSERT_ONLY, TenantBase

TRANSACTION_KINDS = ("deposit", "deduction", "refund", "adjustment", "reversal")
PAYMENT_STATES = ("created", "pending", "succeeded", "failed", "canceled")
STATE_CHECK = "state IN ('created', 'pending', 'succeeded', 'failed', 'canceled')"


class Wallet(TenantBase):
    """A user's money in the organization's currency. `seq` numbers its transactions.

    `owed` is what a reversed top-up took back beyond the balance: the wallet is frozen until it is
    paid, so nothing is bought with money that was taken back.
    """

    __tablename__ = "wallets"
    __table_args__ = (
        UniqueConstraint("id", "currency"),
        CheckConstraint("balance >= 0", name="never_overdrawn"),
        CheckConstraint("owed >= 0", name="owed_not_negative"),
        CheckConstraint("owed = 0 OR frozen_at IS NOT NULL", name="owing_is_frozen"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), unique=True)
    currency: Mapped[str]
    balance: Mapped[int] = mapped_column(server_default="0")
    owed: Mapped[int] = mapped_column(server_default="0")
    frozen_at: Mapped[datetime | None]
    seq: Mapped[int] = mapped_column(server_default="0")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class WalletTransaction(TenantBase):
    """One movement: the row is the double entry, naming the wallet and its counter-account.

    Insert-only by grant; mistakes are reversed by new rows. `amount` is signed, `balance_after`
    the wallet's balance once this row stands. `reference` makes a movement happen once.
    """

    __tablename__ = "wallet_transactions"
    __table_args__ = (
        PrimaryKeyConstraint("wallet_id", "seq"),
        ForeignKeyConstraint(["wallet_id", "currency"], ["wallets.id", "wallets.currency"]),
        CheckConstraint(
            "kind IN ('deposit', 'deduction', 'refund', 'adjustment', 'reversal')",
            name="kind_known",
        ),
        CheckConstraint("amount <> 0", name="amount_not_zero"),
        CheckConstraint("balance_after >= 0", name="never_overdrawn"),
        CheckConstraint(
            "(kind = 'deduction') = (amount < 0) OR kind IN ('adjustment', 'reversal')",
            name="kind_has_its_sign",
        ),
        Index(
            "ix_wallet_transactions_grant_id",
            "grant_id",
            postgresql_where=text("grant_id IS NOT NULL"),
        ),
        {"info": INSERT_ONLY},
    )

    wallet_id: Mapped[UUID]
    seq: Mapped[int]
    kind: Mapped[str]
    amount: Mapped[int]
    currency: Mapped[str]
    balance_after: Mapped[int]
    counter_account: Mapped[str]
    payment_id: Mapped[UUID | None] = mapped_column(ForeignKey("payments.id"))
    refund_id: Mapped[UUID | None] = mapped_column(ForeignKey("refunds.id"))
    top_up_id: Mapped[UUID | None] = mapped_column(ForeignKey("wallet_top_ups.id"))
    grant_id: Mapped[UUID | None] = mapped_column(ForeignKey("credit_grants.id"))
    reason: Mapped[str] = mapped_column(server_default="")
    reference: Mapped[str] = mapped_column(unique=True)
    created_by: Mapped[UUID | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Payment(TenantBase):
    """A user's payment for a run: from the wallet, by a provider, or of nothing (free).

    `live` holds until it failed, was cancelled or its enrollment ended: one live payment per user
    and run. Refunded and partially refunded are derived from `refunded_amount`. `refund_policy`
    is the run's at the time of paying. `amount` is what is paid: the run's price at that time less
    `discount_amount`. `coupon_used` tells whether it counts as a use of its coupon: from the
    beginning, until it fails or its hold runs out unpaid. `disputed_at` and `lost_amount` sum its
    chargebacks up: open since when, and how much of it was lost to them.
    """

    __tablename__ = "payments"
    __table_args__ = (
        UniqueConstraint("id", "currency"),
        UniqueConstraint("provider", "provider_payment_id"),
        CheckConstraint(STATE_CHECK, name="state_known"),
        CheckConstraint("method IN ('wallet', 'provider', 'free')", name="method_known"),
        CheckConstraint("amount >= 0", name="amount_not_negative"),
        CheckConstraint("refunded_amount BETWEEN 0 AND amount", name="refund_within_amount"),
        CheckConstraint("lost_amount BETWEEN 0 AND amount", name="loss_within_amount"),
        CheckConstraint(
            "method = 'provider' OR (lost_amount = 0 AND disputed_at IS NULL)",
            name="disputed_at_a_provider",
        ),
        CheckConstraint("(method = 'free') = (amount = 0)", name="free_is_zero"),
        CheckConstraint("(method = 'provider') = (provider IS NOT NULL)", name="provider_named"),
        CheckConstraint(
            "(state = 'succeeded') = (succeeded_at IS NOT NULL)", name="paid_has_a_date"
        ),
        CheckConstraint("discount_amount >= 0", name="discount_not_negative"),
        CheckConstraint(
            "(coupon_code IS NOT NULL) = (discount_amount > 0)", name="discount_by_coupon"
        ),
        CheckConstraint("NOT coupon_used OR coupon_code IS NOT NULL", name="use_of_a_coupon"),
        CheckConstraint(
            "NOT live OR coupon_code IS NULL OR coupon_used", name="live_uses_its_coupon"
        ),
        Index(
            "uq_payments_live",
            "user_id",
            "run_id",
            unique=True,
            postgresql_where=text("live AND transferred_at IS NULL"),
        ),
        Index("ix_payments_run_id", "run_id"),
        Index(
            "ix_payments_coupon_code",
            *("coupon_code", "id"),
            postgresql_where=text("coupon_code IS NOT NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    run_id: Mapped[UUID] = mapped_column(ForeignKey("course_runs.id"))
    amount: Mapped[int]
    currency: Mapped[str]
    method: Mapped[str]
    state: Mapped[str] = mapped_column(server_default="created")
    live: Mapped[bool] = mapped_column(server_default=text("true"))
    provider: Mapped[str | None]
    provider_payment_id: Mapped[str | None]
    failure_code: Mapped[str | None]
    refunded_amount: Mapped[int] = mapped_column(server_default="0")
    disputed_at: Mapped[datetime | None]
    lost_amount: Mapped[int] = mapped_column(server_default="0")
    refund_policy: Mapped[list[Any]] = mapped_column(server_default=text("'[]'::jsonb"))
    discount_amount: Mapped[int] = mapped_column(server_default="0")
    # Asked at the commit: a purchase writes its payment before it locks the coupon, and refuses
    # when an admin deletes the coupon in between.
    coupon_code: Mapped[str | None] = mapped_column(
        ForeignKey("coupons.code", deferrable=True, initially="DEFERRED")
    )
    coupon_used: Mapped[bool] = mapped_column(server_default=text("false"))
    succeeded_at: Mapped[datetime | None]
    transferred_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    @property
    def list_amount(self) -> int:
        """The run's price when it was bought, in minor units: what is paid and the discount."""
        return self.amount + self.discount_amount


class WalletTopUp(TenantBase):
    """A deposit into a wallet through a provider.

    `refunded_amount` is what the provider gave back of it, `disputed_amount` what chargebacks took
    that are open or lost, and `reversed_amount` what the wallet gave, or owes, for both.
    """

    __tablename__ = "wallet_top_ups"
    __table_args__ = (
        ForeignKeyConstraint(["wallet_id", "currency"], ["wallets.id", "wallets.currency"]),
        UniqueConstraint("id", "currency"),
        UniqueConstraint("provider", "provider_payment_id"),
        CheckConstraint(STATE_CHECK, name="state_known"),
        CheckConstraint("amount > 0", name="amount_positive"),
        CheckConstraint("refunded_amount BETWEEN 0 AND amount", name="refund_within_amount"),
        CheckConstraint("disputed_amount BETWEEN 0 AND amount", name="dispute_within_amount"),
        CheckConstraint(
            "reversed_amount = least(amount, refunded_amount + disputed_amount)",
            name="reversed_is_both",
        ),
        Index("ix_wallet_top_ups_wallet_id", "wallet_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    wallet_id: Mapped[UUID]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    amount: Mapped[int]
    currency: Mapped[str]
    refunded_amount: Mapped[int] = mapped_column(server_default="0")
    disputed_amount: Mapped[int] = mapped_column(server_default="0")
    reversed_amount: Mapped[int] = mapped_column(server_default="0")
    state: Mapped[str] = mapped_column(server_default="created")
    provider: Mapped[str]
    provider_payment_id: Mapped[str | None]
    failure_code: Mapped[str | None]
    succeeded_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Refund(TenantBase):
    """Money going back, to the wallet or to the provider it came from.

    What somebody gave back at the provider, past us, is here too, once it is known.
    """

    __tablename__ = "refunds"
    __table_args__ = (
        ForeignKeyConstraint(["payment_id", "currency"], ["payments.id", "payments.currency"]),
        UniqueConstraint("payment_id", "provider_refund_id"),
        CheckConstraint(STATE_CHECK, name="state_known"),
        CheckConstraint("destination IN ('wallet', 'provider')", name="destination_known"),
        CheckConstraint("amount > 0", name="amount_positive"),
        Index("ix_refunds_payment_id", "payment_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    payment_id: Mapped[UUID]
    amount: Mapped[int]
    currency: Mapped[str]
    destination: Mapped[str]
    state: Mapped[str] = mapped_column(server_default="created")
    provider_refund_id: Mapped[str | None]
    failure_code: Mapped[str | None]
    reason: Mapped[str] = mapped_column(server_default="")
    created_by: Mapped[UUID | None]
    succeeded_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class ProviderAttempt(TenantBase):
    """One try at a provider operation. `key` is the idempotency key sent; it never changes.

    A new attempt number only after a definite decline; an unknown outcome is asked again with the
    same key.
    """

    __tablename__ = "provider_attempts"
    __table_args__ = (
        UniqueConstraint("subject_id", "operation", "attempt"),
        CheckConstraint(
            "outcome IN ('unknown', 'pending', 'succeeded', 'failed')", name="outcome_known"
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    subject_id: Mapped[UUID]
    operation: Mapped[str]
    attempt: Mapped[int]
    key: Mapped[str] = mapped_column(unique=True)
    token: Mapped[str | None]
    provider: Mapped[str]
    provider_id: Mapped[str | None]
    outcome: Mapped[str] = mapped_column(server_default="unknown")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    answered_at: Mapped[datetime | None]


class WebhookEvent(TenantBase):
    """A provider's event, stored in the transaction of its effect; a replay finds it there."""

    __tablename__ = "webhook_events"
    __table_args__ = (
        PrimaryKeyConstraint("provider", "account", "event_id"),
        Index(
            "ix_webhook_events_unapplied",
            *("provider", "provider_payment_id"),
            postgresql_where=text("applied_at IS NULL"),
        ),
    )

    provider: Mapped[str]
    account: Mapped[str]
    event_id: Mapped[str]
    type: Mapped[str]
    provider_payment_id: Mapped[str | None]
    provider_dispute_id: Mapped[str | None]
    applied_at: Mapped[datetime | None]
    received_at: Mapped[datetime] = mapped_column(server_default=func.now())


class CreditGrant(TenantBase):
    """Wallet credit that the organization gives to many learners at once.

    Insert-only: what was granted by mistake is taken back by adjustments.
    """

    __tablename__ = "credit_grants"
    __table_args__ = (
        CheckConstraint("amount > 0", name="amount_positive"),
        {"info": INSERT_ONLY},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    amount: Mapped[int]
    currency: Mapped[str]
    reason: Mapped[str]
    created_by: Mapped[UUID]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class ReceiptCounter(TenantBase):
    """The last receipt's number of a year, of the organization's time zone.

    Counted up in the paying transaction, so numbers have no gaps: a rolled back one is given again.
    """

    __tablename__ = "receipt_counters"
    __table_args__ = (CheckConstraint("last_number > 0", name="numbers_from_one"),)

    year: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    last_number: Mapped[int]


class Receipt(TenantBase):
    """What an accountant files for money that came or went: numbered by year without gaps.

    About exactly one of a payment, a top-up or a refund; each has one at most. Insert-only.
    """

    __tablename__ = "receipts"
    __table_args__ = (
        PrimaryKeyConstraint("year", "number"),
        CheckConstraint("number > 0", name="numbers_from_one"),
        CheckConstraint("amount > 0", name="amount_positive"),
        CheckConstraint(
            "num_nonnulls(payment_id, top_up_id, refund_id) = 1", name="about_one_thing"
        ),
        {"info": INSERT_ONLY},
    )

    year: Mapped[int]
    number: Mapped[int]
    payment_id: Mapped[UUID | None] = mapped_column(ForeignKey("payments.id"), unique=True)
    top_up_id: Mapped[UUID | None] = mapped_column(ForeignKey("wallet_top_ups.id"), unique=True)
    refund_id: Mapped[UUID | None] = mapped_column(ForeignKey("refunds.id"), unique=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    amount: Mapped[int]
    currency: Mapped[str]
    issued_at: Mapped[datetime] = mapped_column(server_default=func.now())


class PaymentAccount(TenantBase):
    """The organization's own account at a payment provider.

    Secrets are encrypted with a key of the settings and never shown again.
    """

    __tablename__ = "payment_accounts"

    provider: Mapped[str] = mapped_column(primary_key=True)
    publishable_key: Mapped[str]
    secret_key: Mapped[str]
    webhook_secret: Mapped[str]
    version: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
