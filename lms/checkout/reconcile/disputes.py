"""Checks of disputes against the payments and top-ups that they are about."""

from __future__ import annotations

from sqlalchemy import text

from lms.checkout.reconcile.checks import Check

DISPUTE_PAYMENT = text("""
    SELECT 'payment' AS subject_type, p.id::text AS subject_id,
           CASE WHEN d.since IS NULL THEN 'not disputed' ELSE 'disputed' END || ', '
           || least(p.amount, COALESCE(d.lost, 0)) || ' ' || p.currency || ' lost' AS expected,
           CASE WHEN p.disputed_at IS NULL THEN 'not disputed'
                WHEN d.since IS NULL OR p.disputed_at = d.since THEN 'disputed'
                ELSE 'disputed since another time' END || ', '
           || p.lost_amount || ' ' || p.currency || ' lost' AS found
      FROM payments p
      LEFT JOIN (SELECT payment_id,
                        min(opened_at) FILTER (WHERE status NOT IN ('won', 'lost')) AS since,
                        sum(amount) FILTER (WHERE status = 'lost') AS lost
                   FROM disputes WHERE kind = 'chargeback' GROUP BY payment_id) d
           ON d.payment_id = p.id
     WHERE (p.disputed_at, p.lost_amount)
           IS DISTINCT FROM (d.since, least(p.amount, COALESCE(d.lost, 0)))
""")
DISPUTE_TOP_UP = text("""
    SELECT 'top_up' AS subject_type, t.id::text AS subject_id,
           least(t.amount, COALESCE(d.held, 0)) || ' ' || t.currency || ' disputed' AS expected,
           t.disputed_amount || ' ' || t.currency || ' disputed' AS found
      FROM wallet_top_ups t
      LEFT JOIN (SELECT top_up_id, sum(amount) AS held FROM disputes
                  WHERE kind = 'chargeback' AND status <> 'won' GROUP BY top_up_id) d
           ON d.top_up_id = t.id
     WHERE t.disputed_amount <> least(t.amount, COALESCE(d.held, 0))
""")

# Only money that came can be contested, and only where it came from.
DISPUTE_SUBJECT = text("""
    SELECT 'dispute' AS subject_type, d.id::text AS subject_id,
           'about succeeded money at ' || d.provider AS expected,
           COALESCE(s.state || ' ' || s.kind || ' at ' || COALESCE(s.provider, 'no provider'),
                    'about nothing') AS found
      FROM disputes d
      LEFT JOIN (SELECT 'payment' AS kind, id, state, provider FROM payments
                 UNION ALL
                 SELECT 'top-up', id, state, provider FROM wallet_top_ups) s
           ON s.id = COALESCE(d.payment_id, d.top_up_id)
     WHERE (s.state, s.provider) IS DISTINCT FROM ('succeeded', d.provider)
""")

CHECKS = (
    Check("dispute_payment", DISPUTE_PAYMENT),
    Check("dispute_top_up", DISPUTE_TOP_UP),
    Check("dispute_subject", DISPUTE_SUBJECT),
)
"""In the order in which they run."""
