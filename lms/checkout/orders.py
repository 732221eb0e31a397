"""What a learner asks for when enrolling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

Method = Literal["free", "wallet", "provider"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Where somebody enrolls, and how it is paid.

    Attributes:
        payment_id: the same for every request with one Idempotency-Key.
        run_id: where to enroll.
        method: how it is paid.
        coupon_code: normalised (`lms.coupons.schemas.CouponCode`); None for the list price.
        provider: the provider's name, for method `provider`.
        hold_seconds: how long an unpaid seat is kept.
        accepts_waitlist: money that comes when the seat is gone waits for another one.
        offer_id: the pending enrollment whose offered seat is accepted; None to enroll anew.
    """

    payment_id: UUID
    run_id: UUID
    method: Method
    coupon_code: str | None = None
    provider: str | None = None
    hold_seconds: int = 0
    accepts_waitlist: bool = False
    offer_id: UUID | None = None
