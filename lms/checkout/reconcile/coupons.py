"""Checks of coupons' counters and of the discounts that payments got by them."""

from __future__ import annotations

from sqlalchemy import text

from lms.checkout.reconcile.checks import Check
from lms.coupons.policy import DISCOUNT

COUPON_USES = text("""
    SELECT 'coupon' AS subject_type, c.id::text AS subject_id,
           COALESCE(p.total, 0) || ' uses' AS expected, c.uses || ' uses' AS found
      FROM coupons c
      LEFT JOIN (SELECT coupon_code, count(*) AS total FROM payments
                  WHERE coupon_code IS NOT NULL AND coupon_used GROUP BY coupon_code) p
           ON p.coupon_code = c.code
     WHERE c.uses <> COALESCE(p.total, 0)
""")
COUPON_LEARNER_USES = text("""
    SELECT 'coupon_learner' AS subject_type,
           COALESCE(l.coupon_id, p.coupon_id) || '/' || COALESCE(l.user_id, p.user_id)
           AS subject_id,
           COALESCE(p.total, 0) || ' uses' AS expected,
           COALESCE(l.uses || ' uses', 'no counter') AS found
      FROM coupon_learners l
      FULL JOIN (SELECT c.id AS coupon_id, payments.user_id, count(*) AS total
                   FROM payments JOIN coupons c ON c.code = payments.coupon_code
                  WHERE payments.coupon_code IS NOT NULL AND payments.coupon_used
                  GROUP BY c.id, payments.user_id) p
           ON p.coupon_id = l.coupon_id AND p.user_id = l.user_id
     WHERE l.uses IS DISTINCT FROM COALESCE(p.total, 0)
""")

# A coupon's terms never change, so what it takes off a price is known for ever.
DISCOUNTS = """
    SELECT 'payment' AS subject_type, p.id::text AS subject_id,
           COALESCE({discount} || ' ' || p.currency, 'no coupon for it') AS expected,
           p.discount_amount || ' ' || p.currency AS found
      FROM payments p
      LEFT JOIN coupons c ON c.code = p.coupon_code
                         AND (c.run_id IS NULL OR c.run_id = p.run_id)
                         AND (c.currency IS NULL OR c.currency = p.currency)
     WHERE p.coupon_code IS NOT NULL AND p.discount_amount IS DISTINCT FROM {discount}
"""
COUPON_DISCOUNT = text(
    DISCOUNTS.format(discount=DISCOUNT.format(price="(p.amount + p.discount_amount)"))
)
COUPON_USED = text("""
    SELECT 'payment' AS subject_type, p.id::text AS subject_id,
           CASE WHEN p.coupon_used THEN 'use given back' ELSE 'use counted' END
           || ', its enrollment is ' || e.state
           || CASE WHEN e.activated_at IS NULL THEN ' and never was active' ELSE '' END
           AS expected,
           CASE WHEN p.coupon_used THEN 'use counted' ELSE 'use given back' END AS found
      FROM payments p JOIN enrollments e ON e.payment_id = p.id
     WHERE p.coupon_code IS NOT NULL AND p.coupon_used <> (p.live OR e.activated_at IS NOT NULL)
""")

CHECKS = (
    Check("coupon_uses", COUPON_USES),
    Check("coupon_learner_uses", COUPON_LEARNER_USES),
    Check("coupon_discount", COUPON_DISCOUNT),
    Check("coupon_used", COUPON_USED),
)
"""In the order in which they run."""
