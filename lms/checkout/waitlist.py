"""The end of waiting without a seat: declined, or when the run takes nobody any more."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from lms.checkout.cancellations import give_all_back
from lms.checkout.withdrawals import HOLD_MONEY
from lms.core.ids import new_id
from lms.core.queue import Doorbell
from lms.enrollments.models import Enrollment
from lms.enrollments.transitions import Change, try_move

WAITLIST_CLOSED = "waitlist_closed"

# By the database's clock: a date that was moved meanwhile is the one that counts.
IS_CLOSED = text("""
    SELECT state <> 'scheduled' OR now() >= enrollment_closes_at
      FROM course_runs WHERE id = :run_id
""")
CLOSES_AT = text("""
    SELECT r.enrollment_closes_at FROM course_runs r JOIN run_seats s ON s.run_id = r.id
     WHERE r.id = :run_id AND r.state = 'scheduled' AND s.waitlisted > 0
       AND now() < r.enrollment_closes_at
""")


def is_closed(session: Session, run_id: UUID) -> bool:
    """Tell whether a run takes nobody any more, so that nobody waits for it in vain."""
    return bool(session.execute(IS_CLOSED, {"run_id": run_id}).scalar())


def closes_at(session: Session, run_id: UUID) -> datetime | None:
    """Return when a run's waiting list is to be closed, UTC; None when nobody waits."""
    return session.execute(CLOSES_AT, {"run_id": run_id}).scalar()


def waiting(session: Session, run_id: UUID, *, most: int) -> Sequence[UUID]:
    """Return enrollments that wait for a seat of a run, in their order.

    Args:
        session: the organization's session.
        run_id: for whose seats.
        most: how many at most.
    """
    query = select(Enrollment.id).where(
        Enrollment.run_id == run_id, Enrollment.state == "waitlisted"
    )
    query = query.order_by(Enrollment.waitlisted_at, Enrollment.id).limit(most)
    return session.scalars(query).all()


def stop_waiting(session: Session, doorbell: Doorbell, enrollment_id: UUID, change: Change) -> bool:
    """Take somebody from the waiting list, and give back what they paid for a seat.

    Args:
        session: the organization's session.
        doorbell: of the queue, rung for a refund that a provider has to make.
        enrollment_id: which.
        change: who and why.

    Returns:
        Whether it waited until now.
    """
    payment_id = session.scalar(
        select(Enrollment.payment_id).where(
            Enrollment.id == enrollment_id, Enrollment.state == "waitlisted"
        )
    )
    if payment_id is not None:
        session.execute(HOLD_MONEY, {"id": payment_id})
    if not try_move(session, enrollment_id, "cancelled", change, only_from="waitlisted"):
        return False
    if payment_id is not None:
        give_all_back(
            session, doorbell, payment_id, new_id(), actor_id=change.actor_id, reason=change.reason
        )
    return True
