"""The uses of coupons by payments: given back when nothing is paid, taken again by late money.

A use is counted on the coupon and in `coupon_learners`, and noted on its payment. The coupon's row
is locked before the other counter is touched, so nobody ever waits there; it comes after the
payment, the enrollment and the seats, and before the receipt's number. Locked first, it would be
held by purchases that wait for a failing payment of the same learner and run, which in its turn
waits for the coupon to give the use back.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from lms.coupons.errors import CouponUsedUpError

COUNTED = """counted AS (
        INSERT INTO coupon_learners AS l (coupon_id, user_id, max_uses, uses)
        SELECT coupon.id, coupon.user_id, coupon.max_uses_per_learner, 1 FROM coupon
        ON CONFLICT (coupon_id, user_id) DO UPDATE SET uses = l.uses + 1 WHERE l.uses < l.max_uses
        RETURNING l.coupon_id
    )"""
"""Counts a use of the `coupon` that the step before has locked; no row when it is one too many."""

GIVE_BACK = text("""
    WITH gone AS (
        SELECT p.id, p.user_id, c.id AS coupon_id
          FROM payments p JOIN coupons c ON c.code = p.coupon_code
         WHERE p.id = ANY(CAST(:payment_ids AS uuid[])) AND p.coupon_used
    ), held AS (
        SELECT c.id FROM coupons c
         WHERE c.id IN (SELECT coupon_id FROM gone)
         ORDER BY c.id
           FOR NO KEY UPDATE
    ), coupon AS (
        UPDATE coupons
           SET uses = coupons.uses - back.uses
          FROM (SELECT held.id, count(*) AS uses
                  FROM held JOIN gone ON gone.coupon_id = held.id GROUP BY held.id) AS back
         WHERE coupons.id = back.id
        RETURNING coupons.id
    ), counted AS (
        UPDATE coupon_learners
           SET uses = coupon_learners.uses - back.uses
          FROM (SELECT coupon.id, gone.user_id, count(*) AS uses
                  FROM coupon JOIN gone ON gone.coupon_id = coupon.id
                 GROUP BY coupon.id, gone.user_id) AS back
         WHERE coupon_learners.coupon_id = back.id AND coupon_learners.user_id = back.user_id
    )
    UPDATE payments SET coupon_used = false FROM gone WHERE payments.id = gone.id
""")

# Dates and the switch are not asked: the price was agreed when they held.
TAKEN_AGAIN = """
    WITH coupon AS (
        UPDATE coupons
           SET uses = coupons.uses + 1
          FROM payments p
         WHERE p.id = :payment_id AND coupons.code = p.coupon_code
           AND (coupons.max_uses IS NULL OR coupons.uses < coupons.max_uses)
        RETURNING coupons.id, coupons.max_uses_per_learner, p.user_id
    ), {counted}
    SELECT count(*) FROM counted
"""
TAKE_AGAIN = text(TAKEN_AGAIN.format(counted=COUNTED))


def give_back(session: Session, payment_ids: Sequence[UUID]) -> None:
    """Give back the uses of coupons that payments have taken; those without one are left alone.

    Args:
        session: the organization's session, in which the payments were changed, so that nobody
            else changes them.
        payment_ids: which failed, were cancelled or not paid in time.
    """
    session.execute(GIVE_BACK, {"payment_ids": list(payment_ids)})


def take_again(session: Session, payment_id: UUID) -> None:
    """Count the use of a coupon anew for money that came after it was given back.

    Args:
        session: the organization's session, in which the payment was changed.
        payment_id: of a payment that names a coupon.

    Raises:
        CouponUsedUpError: others, or the learner, have used it as often as it may be. The caller
            must roll back.
    """
    if not session.execute(TAKE_AGAIN, {"payment_id": payment_id}).scalar_one():
        raise CouponUsedUpError("All uses of this coupon are taken.")
