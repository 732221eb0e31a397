"""Ways in which payments, enrollments, work and receipts can be wrong, and what finds each."""

from __future__ import annotations

from tests.lms.checkout.planted_wallets import Found

RECEIPTS = (
    "DELETE FROM receipts",
    "DELETE FROM receipt_counters",
    "INSERT INTO receipt_counters VALUES (1999, 2)",
    (
        "INSERT INTO receipts (year, number, payment_id, user_id, amount, currency)"
        " SELECT 1999, 1, id, user_id, amount, currency FROM payments WHERE id = :payment"
    ),
    (
        "INSERT INTO receipts (year, number, refund_id, user_id, amount, currency)"
        " SELECT 1999, 2, r.id, p.user_id, r.amount, r.currency"
        " FROM refunds r JOIN payments p ON p.id = r.payment_id WHERE r.id = :refund"
    ),
)
"""Good ones, alone in their year, and the first of all."""

PLANTED: dict[str, tuple[tuple[str, ...], Found]] = {
    "a payment without its enrollment": (
        ("UPDATE enrollments SET payment_id = NULL WHERE id = :enrollment",),
        {("payment_enrollment", "payment", "{payment}")},
    ),
    "somebody else's enrollment": (
        ("UPDATE enrollments SET user_id = :admin WHERE id = :enrollment",),
        {("payment_enrollment", "payment", "{payment}")},
    ),
    "a live enrollment whose payment is not": (
        ("UPDATE payments SET live = false WHERE id = :payment",),
        {("payment_live", "payment", "{payment}")},
    ),
    "a live payment whose enrollment ended": (
        ("UPDATE payments SET live = true WHERE id = :refunded_payment",),
        {("payment_live", "payment", "{refunded_payment}")},
    ),
    "an active enrollment that was not paid": (
        (
            (
                "UPDATE enrollments SET state = 'active', awaiting = NULL"
                " WHERE id = :pending_enrollment"
            ),
        ),
        {("enrollment_paid", "enrollment", "{pending_enrollment}")},
    ),
    "a pending enrollment that was paid": (
        (
            (
                "UPDATE enrollments SET state = 'pending', awaiting = 'payment'"
                " WHERE id = :enrollment"
            ),
        ),
        {("enrollment_paid", "enrollment", "{enrollment}")},
    ),
    "late money that was kept": (
        (
            "DELETE FROM refunds WHERE payment_id = :late_payment",
            "UPDATE payments SET refunded_amount = 0 WHERE id = :late_payment",
        ),
        {("late_money", "payment", "{late_payment}")},
    ),
    "a refunded amount without refunds": (
        ("UPDATE payments SET refunded_amount = 1 WHERE id = :payment",),
        {("refunded_amount", "payment", "{payment}")},
    ),
    "a seat that nobody has": (
        ("UPDATE run_seats SET taken = taken + 1 WHERE run_id = :run",),
        {("seats_taken", "run", "{run}")},
    ),
    "somebody who waits and is not counted": (
        ("UPDATE run_seats SET waitlisted = waitlisted + 1, capacity = taken WHERE run_id = :run",),
        {("waitlisted", "run", "{run}"), ("work_lost", "run", "{run}")},
    ),
    "a run that counts no seats": (
        ("DELETE FROM run_seats WHERE run_id = :run",),
        {("seats_taken", "run", "{run}")},
    ),
    "a hold that was not ended": (
        (
            (
                "UPDATE enrollments SET hold_until = now() - interval '16 minutes'"
                " WHERE id = :pending_enrollment"
            ),
        ),
        {("hold_overdue", "enrollment", "{pending_enrollment}")},
    ),
    "a hold that will be ended any moment": (
        (
            (
                "UPDATE enrollments SET hold_until = now() - interval '14 minutes'"
                " WHERE id = :pending_enrollment"
            ),
        ),
        set(),
    ),
    "an open payment that nobody looks after": (
        ("DELETE FROM platform.work WHERE subject_id = :pending_payment",),
        {("work_lost", "payment", "{pending_payment}")},
    ),
    "an open payment whose work was given up": (
        (
            (
                "UPDATE platform.work SET state = 'failed', lease_until = NULL"
                " WHERE subject_id = :pending_payment AND state IN ('waiting', 'running')"
            ),
        ),
        {("work_lost", "payment", "{pending_payment}")},
    ),
    "an open try of a payment that is settled": (
        (
            "UPDATE provider_attempts SET outcome = 'unknown' WHERE subject_id = :card_payment",
            "DELETE FROM platform.work WHERE subject_id = :card_payment",
        ),
        {("work_lost", "payment", "{card_payment}")},
    ),
    "an open top-up that nobody looks after": (
        ("DELETE FROM platform.work WHERE subject_id = :open_top_up",),
        {("work_lost", "top_up", "{open_top_up}")},
    ),
    "an open refund that nobody looks after": (
        ("DELETE FROM platform.work WHERE subject_id = :open_refund",),
        {("work_lost", "refund", "{open_refund}")},
    ),
    "a hold that nobody will end": (
        ("DELETE FROM platform.work WHERE subject_id = :pending_enrollment",),
        {("work_lost", "enrollment", "{pending_enrollment}")},
    ),
    "an event that was kept for long": (
        (
            (
                "INSERT INTO webhook_events (provider, account, event_id, type, received_at)"
                " VALUES ('sandbox', 'a', 'e', 'payment.succeeded', now() - interval '25 hours')"
            ),
        ),
        {("event_unapplied", "webhook_event", "sandbox/a/e")},
    ),
    "an event that was kept today": (
        (
            (
                "INSERT INTO webhook_events (provider, account, event_id, type, received_at)"
                " VALUES ('sandbox', 'a', 'e', 'payment.succeeded', now() - interval '23 hours')"
            ),
        ),
        set(),
    ),
    "receipts as they should be": (RECEIPTS, set()),
    "a gap between receipts": (
        (*RECEIPTS, "UPDATE receipts SET number = 3 WHERE number = 2"),
        {("receipt_numbers", "receipt_year", "1999")},
    ),
    "a receipt's number that was lost": (
        (*RECEIPTS, "UPDATE receipt_counters SET last_number = 3"),
        {("receipt_numbers", "receipt_year", "1999")},
    ),
    "receipts that nobody counts": (
        (*RECEIPTS, "DELETE FROM receipt_counters"),
        {("receipt_numbers", "receipt_year", "1999")},
    ),
    "a receipt of another amount": (
        (*RECEIPTS, "UPDATE receipts SET amount = amount + 1 WHERE number = 1"),
        {("receipt_subject", "receipt", "1999/1")},
    ),
    "a receipt for somebody else": (
        (*RECEIPTS, "UPDATE receipts SET user_id = :admin WHERE number = 2"),
        {("receipt_subject", "receipt", "1999/2")},
    ),
    "a receipt for money that did not come": (
        (
            *RECEIPTS,
            (
                "UPDATE receipts SET payment_id = p.id, user_id = p.user_id FROM payments p"
                " WHERE p.id = :pending_payment AND number = 1"
            ),
        ),
        {("receipt_subject", "receipt", "1999/1")},
    ),
    "a payment without its receipt": (
        (*RECEIPTS, "UPDATE payments SET succeeded_at = now() WHERE id = :card_payment"),
        {("receipt_missing", "payment", "{card_payment}")},
    ),
    "a top-up without its receipt": (
        (*RECEIPTS, "UPDATE wallet_top_ups SET succeeded_at = now() WHERE id = :top_up"),
        {("receipt_missing", "top_up", "{top_up}")},
    ),
    "a refund without its receipt": (
        (*RECEIPTS, "UPDATE refunds SET succeeded_at = now() WHERE id = :card_refund"),
        {("receipt_missing", "refund", "{card_refund}")},
    ),
    "a free payment, which has no receipt": (
        (*RECEIPTS, "UPDATE payments SET succeeded_at = now() WHERE method = 'free'"),
        set(),
    ),
    "money that moved before the first receipt was issued": (
        ("DELETE FROM receipts", "DELETE FROM receipt_counters"),
        set(),
    ),
}
