"""What a run costs a learner, with a coupon or without, and why a coupon is not taken."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from lms.checkout.orders import Method
from lms.core.actor import Actor
from lms.core.clock import rfc3339
from lms.core.errors import NotFoundError
from lms.coupons.errors import (
    CouponAlreadyUsedError,
    CouponCurrencyMismatchError,
    CouponExpiredError,
    CouponNotForRunError,
    CouponNotYetValidError,
    CouponRefusedError,
    CouponUnknownError,
    CouponUsedUpError,
    CouponWithoutEffectError,
)
from lms.coupons.policy import DISCOUNT
from lms.courses import run_queries

FOUND = """
    SELECT r.state, r.currency, r.price_amount, r.enrollment_opens_at, r.enrollment_closes_at,
           r.approval_required,
           now() >= r.enrollment_opens_at AND now() < r.enrollment_closes_at AS is_open,
           {discount} AS discount_amount, now() AS quoted_at,
           c.is_active AS coupon_is_active,
           c.run_id IS NULL OR c.run_id = r.id AS coupon_is_for_run,
           c.currency IS NULL OR c.currency = r.currency AS coupon_is_in_currency,
           c.currency AS coupon_currency, c.valid_from, c.valid_until,
           now() >= c.valid_from AS coupon_has_begun,
           COALESCE(now() >= c.valid_until, false) AS coupon_is_over,
           COALESCE(c.uses >= c.max_uses, false) AS coupon_is_used_up,
           COALESCE(l.uses >= l.max_uses, false) AS coupon_is_used_by_learner,
           c.max_uses_per_learner
      FROM course_runs r
      LEFT JOIN coupons c ON c.code = CAST(:coupon_code AS text)
      LEFT JOIN coupon_learners l ON l.coupon_id = c.id AND l.user_id = :user_id
     WHERE r.id = :run_id
"""
FIND_PRICE = text(FOUND.format(discount=DISCOUNT.format(price="r.price_amount")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What a run costs a learner at a moment.

    Attributes:
        run_id: which.
        currency: of the amounts, ISO 4217.
        list_amount: the run's price in minor units.
        discount_amount: minor units that the coupon takes off; 0 without one, or when it is
            refused.
        coupon: the code that was asked for; None for none.
        coupon_refused_because: code of the refusal that buying with it would get; None when it is
            taken, or none was asked for.
        quoted_at: the moment for which this holds, UTC.
    """

    run_id: UUID
    currency: str
    list_amount: int
    discount_amount: int
    coupon: str | None
    coupon_refused_because: str | None
    quoted_at: datetime

    @property
    def amount(self) -> int:
        """What is to be paid, in minor units."""
        return self.list_amount - self.discount_amount

    @property
    def methods(self) -> tuple[Method, ...]:
        """How it can be paid."""
        return methods_for(self.amount)


def methods_for(amount: int) -> tuple[Method, ...]:
    """Return how a price in minor units is paid: nothing is free, also by a coupon."""
    return ("free",) if amount == 0 else ("wallet", "provider")


def price_of(session: Session, actor: Actor, run_id: UUID, *, coupon_code: str | None) -> Price:
    """Return what a run costs the actor now.

    Args:
        session: the organization's session.
        actor: whose uses of the coupon count.
        run_id: which.
        coupon_code: normalised; None for the list price.

    Raises:
        NotFoundError: there is no run that the actor may know of.
    """
    run_queries.run_of(session, actor, run_id)
    found = find_price(session, actor, run_id, coupon_code)
    if found is None:
        raise NotFoundError("There is no such run for you.")
    refusal = None if coupon_code is None else refusal_of_coupon(found)
    is_taken = coupon_code is not None and refusal is None
    return Price(
        run_id=run_id,
        currency=found.currency,
        list_amount=found.price_amount,
        discount_amount=found.discount_amount if is_taken else 0,
        coupon=coupon_code,
        coupon_refused_because=None if refusal is None else refusal.code,
        quoted_at=found.quoted_at,
    )


def find_price(
    session: Session, actor: Actor, run_id: UUID, coupon_code: str | None
) -> Row[Any] | None:
    """Return a run's price with how a coupon stands to it and to the actor; None without a run."""
    values = {"run_id": run_id, "user_id": actor.user_id, "coupon_code": coupon_code}
    return session.execute(FIND_PRICE, values).one_or_none()


def refusal_of_coupon(found: Row[Any]) -> CouponRefusedError | None:
    """Return why a coupon is not taken, or None when nothing speaks against it.

    Args:
        found: by `find_price`.
    """
    return _refusal_by_terms(found) or _refusal_now(found)


def _refusal_by_terms(found: Row[Any]) -> CouponRefusedError | None:
    if not found.coupon_is_active:
        return CouponUnknownError("No coupon has this code.")
    if not found.coupon_is_for_run:
        return CouponNotForRunError("This coupon is for another run.")
    if not found.coupon_is_in_currency:
        return CouponCurrencyMismatchError(
            f"This coupon takes off {found.coupon_currency}, and the price is in {found.currency}.",
            expected=found.currency,
        )
    return None


def _refusal_now(found: Row[Any]) -> CouponRefusedError | None:
    if not found.coupon_has_begun:
        valid_from = rfc3339(found.valid_from)
        return CouponNotYetValidError("This coupon is not valid yet.", valid_from=valid_from)
    if found.coupon_is_over:
        valid_until = rfc3339(found.valid_until)
        return CouponExpiredError("This coupon is not valid any more.", valid_until=valid_until)
    if found.coupon_is_used_by_learner:
        return CouponAlreadyUsedError(
            "You have used this coupon already.", max_uses_per_learner=found.max_uses_per_learner
        )
    if found.coupon_is_used_up:
        return CouponUsedUpError("All uses of this coupon are taken.")
    if not found.discount_amount:
        return CouponWithoutEffectError("This coupon takes nothing off this price.")
    return None
