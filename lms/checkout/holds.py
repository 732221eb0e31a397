"""Unpaid seats whose time is up: given back by the clock, or when somebody else needs one.

With a seat goes the use of the coupon with which it was to be paid.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from lms.checkout import redemptions
from lms.core import queue
from lms.core.ids import new_id
from lms.enrollments.transitions import Change, try_move

HOLD_RAN_OUT = "hold_ran_out"
OFFER_LAPSED = "offer_lapsed"

# Payment before enrollment, and the enrollment as it is once it is held: its hold may have been
# prolonged a moment ago.
LET_GO = text("""
    WITH held AS (
        SELECT p.id, e.id AS enrollment_id
          FROM enrollments e JOIN payments p ON p.id = e.payment_id
         WHERE e.id = :id AND e.state = 'pending' AND e.hold_until <= now()
           AND p.live AND p.state IN ('created', 'pending')
           FOR NO KEY UPDATE OF p
    ), due AS (
        SELECT held.id FROM enrollments e JOIN held ON held.enrollment_id = e.id
         WHERE e.state = 'pending' AND e.hold_until <= now()
           FOR NO KEY UPDATE OF e
    )
    UPDATE payments
       SET live = false, version = payments.version + 1
      FROM due
     WHERE payments.id = due.id
    RETURNING payments.id, payments.coupon_used
""")
FIND_OVERDUE = text("""
    SELECT count(*) FROM enrollments
     WHERE run_id = :run_id AND state = 'pending' AND payment_id IS NOT NULL
       AND hold_until <= now()
""")

# All of them before any seat; whom somebody else is just ending is left to them.
HOLD_LAPSED = text("""
    SELECT id FROM enrollments
     WHERE run_id = :run_id AND state = 'pending' AND payment_id IS NULL AND hold_until <= now()
     ORDER BY id
       FOR NO KEY UPDATE SKIP LOCKED
""")
HAS_NO_PAYMENT = text("""
    SELECT EXISTS (SELECT FROM enrollments
                    WHERE id = :id AND state = 'pending' AND payment_id IS NULL)
""")
HELD_UNTIL = text("SELECT hold_until FROM enrollments WHERE id = :id AND state = 'pending'")
# As enrolling does: whoever changes the version of the run's enrollments has locked it before them.
HOLD_RUN = text("SELECT id FROM course_runs WHERE id = :run_id FOR SHARE")
HAS_ROOM = text("""
    SELECT capacity IS NULL OR taken + waitlisted < capacity FROM run_seats WHERE run_id = :run_id
""")

# All payments first, in one order, then enrollments, then the seats: the lock order of every
# purchase. No more than there are ids for: a hold may run out since they were counted.
EXPIRE_OVERDUE = text("""
    WITH overdue AS (
        SELECT p.id, e.id AS enrollment_id
          FROM enrollments e JOIN payments p ON p.id = e.payment_id
         WHERE e.run_id = :run_id AND e.state = 'pending' AND e.hold_until <= now()
           AND p.live AND p.state IN ('created', 'pending')
         ORDER BY p.id
         LIMIT cardinality(CAST(:change_ids AS uuid[]))
           FOR NO KEY UPDATE OF p
    ), due AS (
        SELECT overdue.id, overdue.enrollment_id
          FROM enrollments e JOIN overdue ON overdue.enrollment_id = e.id
         WHERE e.state = 'pending' AND e.hold_until <= now()
         ORDER BY e.id
           FOR NO KEY UPDATE OF e
    ), let_go AS (
        UPDATE payments
           SET live = false, version = payments.version + 1
          FROM due
         WHERE payments.id = due.id
        RETURNING due.id, due.enrollment_id, payments.coupon_used
    ), expired AS (
        UPDATE enrollments
           SET state = 'expired', version = enrollments.version + 1, awaiting = NULL,
               hold_until = NULL, ended_at = now()
          FROM let_go
         WHERE enrollments.id = let_go.enrollment_id AND enrollments.state = 'pending'
        RETURNING enrollments.id
    ), freed AS (
        UPDATE run_seats
           SET taken = run_seats.taken - gone.seats
          FROM (SELECT count(*) AS seats FROM expired) AS gone
         WHERE run_seats.run_id = :run_id AND gone.seats > 0
        RETURNING run_seats.waitlisted
    ), recorded AS (
        INSERT INTO enrollment_changes (id, enrollment_id, from_state, to_state, reason)
        SELECT ids.id, expired.id, 'pending', 'expired', CAST(:reason AS text)
          FROM (SELECT id, row_number() OVER () AS number FROM expired) AS expired
          JOIN unnest(CAST(:change_ids AS uuid[])) WITH ORDINALITY AS ids (id, number)
               USING (number)
        RETURNING id
    )
    SELECT (SELECT count(*) FROM let_go) AS let_go, (SELECT count(*) FROM recorded) AS expired,
           (SELECT waitlisted FROM freed) AS waitlisted,
           ARRAY(SELECT id FROM let_go WHERE coupon_used) AS with_coupon
""")


# The learner left, or the hold ran out, and the provider may still take the money.
ABANDONED = text("""
    SELECT p.id FROM enrollments e JOIN payments p ON p.id = e.payment_id
     WHERE e.id = :id AND NOT p.live AND p.state IN ('created', 'pending')
""")
IS_ABANDONED = text("""
    SELECT EXISTS (SELECT FROM payments
                    WHERE id = :id AND NOT live AND state IN ('created', 'pending'))
""")


def expire(session: Session, enrollment_id: UUID) -> bool:
    """Give an unpaid seat back whose hold has run out, by the database's clock.

    At the provider the payment is still open then: the job cancels it there if the learner did not
    finish it. What arrives all the same is handled when it arrives. An offer that nobody accepted
    lapses.

    Returns:
        Whether it expired now.
    """
    if session.execute(HAS_NO_PAYMENT, {"id": enrollment_id}).scalar():
        return _lapse(session, enrollment_id)
    let_go = session.execute(LET_GO, {"id": enrollment_id}).one_or_none()
    if let_go is None:
        return False
    if not try_move(session, enrollment_id, "expired", Change(HOLD_RAN_OUT), only_from="pending"):
        raise RuntimeError(f"enrollment {enrollment_id} changed without its payment")
    if let_go.coupon_used:
        redemptions.give_back(session, [let_go.id])
    return True


def held_until(session: Session, enrollment_id: UUID) -> datetime | None:
    """Return until when a pending enrollment keeps its seat, UTC; None when it does not end."""
    return session.execute(HELD_UNTIL, {"id": enrollment_id}).scalar()


def abandoned_payment(session: Session, enrollment_id: UUID) -> UUID | None:
    """Return the payment of an enrollment if it is open and nobody waits for it any more."""
    return session.execute(ABANDONED, {"id": enrollment_id}).scalar()


def is_abandoned(session: Session, subject_id: UUID) -> bool:
    """Tell whether this is an open payment for which nobody waits any more."""
    return bool(session.execute(IS_ABANDONED, {"id": subject_id}).scalar())


def make_room(session: Session, run_id: UUID) -> bool:
    """Give back all unpaid seats of a run whose hold has run out.

    Args:
        session: the organization's session.
        run_id: whose seats.

    Returns:
        Whether a seat is free now for whom does not wait for one yet, by this call or somebody
        else's.
    """
    lapsed = session.scalars(HOLD_LAPSED, {"run_id": run_id}).all()
    overdue = session.execute(FIND_OVERDUE, {"run_id": run_id}).scalar_one()
    if overdue:
        _expire_overdue(session, run_id, overdue)
    for enrollment_id in lapsed:
        _lapse(session, enrollment_id)
    return bool(session.execute(HAS_ROOM, {"run_id": run_id}).scalar())


def _lapse(session: Session, enrollment_id: UUID) -> bool:
    """Let an offer go that nobody accepted: not one that was accepted or prolonged meanwhile."""
    return try_move(
        session,
        enrollment_id,
        "expired",
        Change(OFFER_LAPSED),
        only_from="pending",
        unpaid=True,
        overdue=True,
    )


def _expire_overdue(session: Session, run_id: UUID, overdue: int) -> None:
    session.execute(HOLD_RUN, {"run_id": run_id})
    done = session.execute(
        EXPIRE_OVERDUE,
        {
            "run_id": run_id,
            "reason": HOLD_RAN_OUT,
            "change_ids": [new_id() for _ in range(overdue)],
        },
    ).one()
    if done.let_go != done.expired:
        raise RuntimeError(f"enrollments of run {run_id} changed without their payments")
    if done.waitlisted:
        queue.enqueue(session, None, queue.OFFER_SEATS, run_id)
    if done.with_coupon:
        redemptions.give_back(session, done.with_coupon)
