"""Coupons, and how often learners have used them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    PrimaryKeyConstraint,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from lms.core.money import Money
from tenants.base import TenantBase


class Coupon(TenantBase):
    """A part or an amount off the price of a run, for who knows the code.

    Code, discount, run and the limit per learner are its terms: they never change, so a purchase
    reads them without a lock. `uses` counts the payments that use it now, also while they are
    open; the check makes one use too many impossible whatever the code does. Counting leaves
    `version` alone.
    """

    __tablename__ = "coupons"
    __table_args__ = (
        UniqueConstraint("id", "max_uses_per_learner"),
        CheckConstraint("code ~ '^[A-Z0-9_-]{3,40}$'", name="code_form"),
        CheckConstraint("num_nonnulls(percent_off, amount_off) = 1", name="takes_off_one_thing"),
        CheckConstraint("percent_off BETWEEN 1 AND 100", name="percent_range"),
        CheckConstraint("amount_off > 0", name="amount_positive"),
        CheckConstraint("(amount_off IS NULL) = (currency IS NULL)", name="amount_has_a_currency"),
        CheckConstraint("valid_from < valid_until", name="valid_from_before_until"),
        CheckConstraint("max_uses_per_learner > 0", name="learners_may_use_it"),
        CheckConstraint("uses >= 0", name="uses_not_negative"),
        CheckConstraint("uses <= max_uses", name="never_overused"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(unique=True)
    percent_off: Mapped[int | None]
    amount_off: Mapped[int | None]
    currency: Mapped[str | None]
    run_id: Mapped[UUID | None] = mapped_column(ForeignKey("course_runs.id"))
    valid_from: Mapped[datetime] = mapped_column(server_default=func.now())
    valid_until: Mapped[datetime | None]
    max_uses: Mapped[int | None]
    max_uses_per_learner: Mapped[int] = mapped_column(server_default="1")
    uses: Mapped[int] = mapped_column(server_default="0")
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))
    version: Mapped[int] = mapped_column(server_default="1")
    created_by: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - SQLAlchemy's declarative form

    @property
    def money_off(self) -> Money | None:
        """The amount that it takes off; None when it takes off a part."""
        if self.amount_off is None or self.currency is None:
            return None
        return Money(self.amount_off, self.currency)


class CouponLearner(TenantBase):
    """How often a learner uses a coupon now: a counter, changed while the coupon's row is locked.

    `max_uses` is the coupon's limit per learner, which the foreign key holds to be the same.
    """

    __tablename__ = "coupon_learners"
    __table_args__ = (
        PrimaryKeyConstraint("coupon_id", "user_id"),
        ForeignKeyConstraint(
            ["coupon_id", "max_uses"], ["coupons.id", "coupons.max_uses_per_learner"]
        ),
        CheckConstraint("uses BETWEEN 0 AND max_uses", name="never_overused"),
    )

    coupon_id: Mapped[UUID]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    max_uses: Mapped[int]
    uses: Mapped[int]
