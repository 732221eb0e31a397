"""Checks of what should have gone on by itself: holds that ran out, lost work, kept events."""

from __future__ import annotations

from sqlalchemy import text

from lms.checkout.reconcile.checks import Check

# The sweeper gives a seat back within seconds; a quarter of an hour is more than any restart takes.
HOLD_OVERDUE = text("""
    SELECT 'enrollment' AS subject_type, id::text AS subject_id,
           'given back at '
           || to_char(hold_until AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS expected,
           'pending' AS found
      FROM enrollments
     WHERE state = 'pending' AND hold_until < now() - interval '15 minutes'
""")

# Whatever is open has an open row of work, written in the same transaction as itself, and anew in
# the transaction that ends a try. Of the shared table the role sees its organization's rows only.
WORK_LOST = text("""
    SELECT o.subject_type, o.id::text AS subject_id,
           'open work ' || o.kind AS expected,
           'none' || COALESCE((SELECT ', the last one failed' FROM platform.work w
                                WHERE w.organization_id = :organization_id AND w.kind = o.kind
                                  AND w.subject_id = o.id AND w.state = 'failed' LIMIT 1),
                              '') AS found
      FROM (SELECT 'payment' AS subject_type, id, CAST(:settle_payment AS text) AS kind
              FROM payments WHERE method = 'provider' AND state IN ('created', 'pending')
            UNION
            SELECT 'top_up', id, CAST(:settle_payment AS text)
              FROM wallet_top_ups WHERE state IN ('created', 'pending')
            UNION
            SELECT 'refund', id, CAST(:settle_payment AS text)
              FROM refunds WHERE destination = 'provider' AND state IN ('created', 'pending')
            UNION
            SELECT operation, subject_id, CAST(:settle_payment AS text)
              FROM provider_attempts WHERE outcome IN ('unknown', 'pending')
            UNION
            SELECT 'enrollment', id, CAST(:expire_enrollment AS text)
              FROM enrollments WHERE state = 'pending' AND hold_until IS NOT NULL
            UNION
            SELECT 'run', s.run_id, CAST(:offer_seats AS text)
              FROM run_seats s JOIN course_runs r ON r.id = s.run_id
             WHERE (s.taken < s.capacity OR s.capacity IS NULL)
               AND r.state = 'scheduled' AND now() < r.enrollment_closes_at
               AND EXISTS (SELECT FROM enrollments e LEFT JOIN payments p ON p.id = e.payment_id
                            WHERE e.run_id = s.run_id AND e.state = 'waitlisted'
                              AND p.disputed_at IS NULL)
            UNION
            SELECT 'run', s.run_id, CAST(:close_waitlist AS text)
              FROM run_seats s WHERE s.waitlisted > 0
            UNION
            SELECT 'run', r.id, CAST(:cancel_run AS text)
              FROM course_runs r
             WHERE r.state = 'cancelled'
               AND EXISTS (SELECT FROM enrollments e
                            WHERE e.run_id = r.id
                              AND e.state IN ('pending', 'waitlisted', 'active', 'suspended'))
            UNION
            SELECT 'learner_import', id, CAST(:import_learners AS text)
              FROM learner_imports WHERE state IN ('queued', 'running')
            UNION
            SELECT 'user', u.id, CAST(:enroll_invited AS text)
              FROM enrollments e
              JOIN users u ON u.id = e.user_id AND u.password_hash IS NOT NULL
              JOIN course_runs r ON r.id = e.run_id AND r.state <> 'cancelled'
             WHERE e.state = 'pending' AND e.awaiting = 'invitation') o
     WHERE NOT EXISTS (SELECT FROM platform.work w
                        WHERE w.organization_id = :organization_id AND w.kind = o.kind
                          AND w.subject_id = o.id AND w.state IN ('waiting', 'running'))
""")
EVENT_UNAPPLIED = text("""
    SELECT 'webhook_event' AS subject_type,
           provider || '/' || account || '/' || event_id AS subject_id,
           'applied within a day' AS expected,
           type || COALESCE(' of ' || provider_payment_id, '') || ', kept since '
           || to_char(received_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS found
      FROM webhook_events
     WHERE applied_at IS NULL AND received_at < now() - interval '1 day'
""")

CHECKS = (
    Check("hold_overdue", HOLD_OVERDUE),
    Check("work_lost", WORK_LOST),
    Check("event_unapplied", EVENT_UNAPPLIED),
)
"""In the order in which they run."""
