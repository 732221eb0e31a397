"""Checks of receipts: their numbers, what each is about, and money that has none."""

from __future__ import annotations

from sqlalchemy import text

from lms.checkout.reconcile.checks import Check

RECEIPT_NUMBERS = text("""
    SELECT 'receipt_year' AS subject_type, COALESCE(c.year, r.year)::text AS subject_id,
           COALESCE('numbers 1 to ' || c.last_number, 'no receipts') AS expected,
           COALESCE(r.total || ' receipts up to number ' || r.last, 'no receipts') AS found
      FROM receipt_counters c
      FULL JOIN (SELECT year, count(*) AS total, max(number) AS last
                   FROM receipts GROUP BY year) r ON r.year = c.year
     WHERE (r.total, r.last) IS DISTINCT FROM (c.last_number, c.last_number)
""")
RECEIPT_SUBJECT = text("""
    SELECT 'receipt' AS subject_type, r.year || '/' || r.number AS subject_id,
           COALESCE(s.state || ' ' || s.kind || ' of ' || s.amount || ' ' || s.currency
                    || ' by ' || s.user_id, 'none: no such subject') AS expected,
           r.amount || ' ' || r.currency || ' by ' || r.user_id AS found
      FROM receipts r
      LEFT JOIN (SELECT 'payment' AS kind, id, user_id, amount, currency, state FROM payments
                 UNION ALL
                 SELECT 'top-up', id, user_id, amount, currency, state FROM wallet_top_ups
                 UNION ALL
                 SELECT 'refund', f.id, p.user_id, f.amount, f.currency, f.state
                   FROM refunds f JOIN payments p ON p.id = f.payment_id) s
           ON s.id = COALESCE(r.payment_id, r.top_up_id, r.refund_id)
     WHERE (s.user_id, s.amount, s.currency, s.state)
           IS DISTINCT FROM (r.user_id, r.amount, r.currency, 'succeeded')
""")

# Whatever succeeded before an organization's first receipt never had one.
RECEIPT_MISSING = text("""
    SELECT s.kind AS subject_type, s.id::text AS subject_id,
           'a receipt of ' || s.amount || ' ' || s.currency AS expected,
           'none, though it succeeded at '
           || to_char(s.succeeded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS found
      FROM (SELECT min(issued_at) AS issued_at FROM receipts) AS earliest
      JOIN (SELECT 'payment' AS kind, id, amount, currency, succeeded_at FROM payments
             WHERE state = 'succeeded' AND amount > 0
            UNION ALL
            SELECT 'top_up', id, amount, currency, succeeded_at FROM wallet_top_ups
             WHERE state = 'succeeded'
            UNION ALL
            SELECT 'refund', id, amount, currency, succeeded_at FROM refunds
             WHERE state = 'succeeded') s
           ON s.succeeded_at >= earliest.issued_at
      LEFT JOIN receipts r ON COALESCE(r.payment_id, r.top_up_id, r.refund_id) = s.id
     WHERE r.year IS NULL
""")

CHECKS = (
    Check("receipt_numbers", RECEIPT_NUMBERS),
    Check("receipt_subject", RECEIPT_SUBJECT),
    Check("receipt_missing", RECEIPT_MISSING),
)
"""In the order in which they run."""
