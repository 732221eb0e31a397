"""Enrollments that wait for an invitation: active once it is accepted, by themselves."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from lms.core.ids import new_id
from lms.enrollments.transitions import Change, try_move

INVITATION_ACCEPTED = "invitation_accepted"

FIND_WAITING = text("""
    SELECT id FROM enrollments
     WHERE user_id = :user_id AND state = 'pending' AND awaiting = 'invitation'
     ORDER BY id
""")

# What a granted seat has from the beginning. Run before enrollment, as an upgrade of the run does;
# nobody waits for the payment, because it is new. Of a cancelled run nothing becomes active: its
# own work ends it.
PAY_NOTHING = text("""
    WITH run AS (
        SELECT r.id, r.currency, r.refund_policy
          FROM enrollments e JOIN course_runs r ON r.id = e.run_id
         WHERE e.id = :enrollment_id AND r.state <> 'cancelled'
           FOR SHARE OF r
    ), held AS (
        SELECT e.id, e.user_id, e.run_id
          FROM run JOIN enrollments e ON e.id = :enrollment_id
         WHERE e.state = 'pending' AND e.awaiting = 'invitation'
           FOR NO KEY UPDATE OF e
    ), payment AS (
        INSERT INTO payments
               (id, user_id, run_id, amount, currency, method, state, succeeded_at, refund_policy)
        SELECT CAST(:payment_id AS uuid), held.user_id, held.run_id, 0, run.currency, 'free',
               'succeeded', now(), run.refund_policy
          FROM held CROSS JOIN run
        RETURNING id
    )
    UPDATE enrollments
       SET payment_id = payment.id
      FROM payment
     WHERE enrollments.id = :enrollment_id
    RETURNING enrollments.id
""")


def waiting_for(session: Session, user_id: UUID) -> list[UUID]:
    """Return the enrollments that wait until somebody accepts their invitation, oldest first."""
    return list(session.scalars(FIND_WAITING, {"user_id": user_id}))


def enroll_invited(session: Session, user_id: UUID, enrollment_id: UUID) -> None:
    """Make an enrollment active whose learner has accepted their invitation; once.

    Args:
        session: the organization's session; must roll back when this raises.
        user_id: the learner, in whose name it is.
        enrollment_id: one of `waiting_for`; when it no longer waits nothing happens.
    """
    values = {"enrollment_id": enrollment_id, "payment_id": new_id()}
    paid = session.execute(PAY_NOTHING, values).one_or_none()
    if paid is None:
        return
    change = Change(INVITATION_ACCEPTED, user_id)
    if not try_move(session, enrollment_id, "active", change, only_from="pending"):
        raise RuntimeError(f"enrollment {enrollment_id} changed while it was held")
