"""Checks of payments against enrollments, refunds and seats."""

from __future__ import annotations

from sqlalchemy import text

from lms.checkout.reconcile.checks import Check

PAYMENT_ENROLLMENT = text("""
    SELECT 'payment' AS subject_type, p.id::text AS subject_id,
           'an enrollment of ' || p.user_id || ' in run ' || p.run_id AS expected,
           COALESCE('one of ' || e.user_id || ' in run ' || e.run_id, 'none') AS found
      FROM payments p LEFT JOIN enrollments e ON e.payment_id = p.id
     WHERE e.user_id IS DISTINCT FROM p.user_id
        OR (e.run_id IS DISTINCT FROM p.run_id AND p.transferred_at IS NULL)
""")
PAYMENT_LIVE = text("""
    SELECT 'payment' AS subject_type, p.id::text AS subject_id,
           CASE WHEN p.live THEN 'not live' ELSE 'live' END
           || ', its enrollment is ' || e.state AS expected,
           CASE WHEN p.live THEN 'live' ELSE 'not live' END AS found
      FROM payments p JOIN enrollments e ON e.payment_id = p.id
     WHERE p.live <> (e.state = ANY(:live_states))
""")
ENROLLMENT_PAID = text("""
    SELECT 'enrollment' AS subject_type, e.id::text AS subject_id,
           CASE WHEN e.state = 'pending' THEN 'pending: an open payment'
                ELSE e.state || ': a succeeded payment' END AS expected,
           'a ' || p.state || ' payment' AS found
      FROM enrollments e JOIN payments p ON p.id = e.payment_id
     WHERE (e.state = 'pending' AND p.state NOT IN ('created', 'pending'))
        OR (e.state IN ('active', 'suspended', 'completed') AND p.state <> 'succeeded')
""")

# A seat that was never given, and money that is not on its way back.
LATE_MONEY = text("""
    SELECT 'payment' AS subject_type, p.id::text AS subject_id,
           'given back: its enrollment ' || e.state || ' before the money came' AS expected,
           p.amount || ' ' || p.currency || ' kept' AS found
      FROM payments p JOIN enrollments e ON e.payment_id = p.id
     WHERE p.state = 'succeeded' AND p.amount > p.lost_amount
       AND e.ended_at IS NOT NULL AND e.activated_at IS NULL
       AND NOT EXISTS (SELECT FROM refunds r WHERE r.payment_id = p.id
                          AND r.state NOT IN ('failed', 'canceled'))
""")
REFUNDED_AMOUNT = text("""
    SELECT 'payment' AS subject_type, p.id::text AS subject_id,
           COALESCE(r.total, 0) || ' ' || p.currency AS expected,
           p.refunded_amount || ' ' || p.currency AS found
      FROM payments p
      LEFT JOIN (SELECT payment_id, sum(amount) AS total FROM refunds
                  WHERE state NOT IN ('failed', 'canceled') GROUP BY payment_id) r
           ON r.payment_id = p.id
     WHERE p.refunded_amount <> COALESCE(r.total, 0)
""")
SEATS_TAKEN = text("""
    SELECT 'run' AS subject_type, COALESCE(s.run_id, e.run_id)::text AS subject_id,
           COALESCE(e.seated, 0) || ' taken' AS expected,
           COALESCE(s.taken || ' taken', 'no counter') AS found
      FROM run_seats s
      FULL JOIN (SELECT run_id, count(*) AS seated FROM enrollments
                  WHERE state = ANY(:seated_states) GROUP BY run_id) e ON e.run_id = s.run_id
     WHERE s.taken IS DISTINCT FROM COALESCE(e.seated, 0)
""")
WAITLISTED = text("""
    SELECT 'run' AS subject_type, s.run_id::text AS subject_id,
           COALESCE(e.waiting, 0) || ' waitlisted' AS expected,
           s.waitlisted || ' waitlisted' AS found
      FROM run_seats s
      LEFT JOIN (SELECT run_id, count(*) AS waiting FROM enrollments
                  WHERE state = 'waitlisted' GROUP BY run_id) e ON e.run_id = s.run_id
     WHERE s.waitlisted <> COALESCE(e.waiting, 0)
""")
CHECKS = (
    Check("payment_enrollment", PAYMENT_ENROLLMENT),
    Check("payment_live", PAYMENT_LIVE),
    Check("enrollment_paid", ENROLLMENT_PAID),
    Check("late_money", LATE_MONEY),
    Check("refunded_amount", REFUNDED_AMOUNT),
    Check("seats_taken", SEATS_TAKEN),
    Check("waitlisted", WAITLISTED),
)
"""In the order in which they run."""
