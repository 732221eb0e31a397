"""Leaving a run: the seat is given back, and the money as the refund policy says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from lms.checkout import redemptions
from lms.checkout.policy import WITHDRAWABLE_STATES, quote_refund
from lms.checkout.refund_answers import NOT_LIVE
from lms.checkout.refunds import begin_refund
from lms.core import clock
from lms.core.actor import Actor
from lms.core.errors import NotFoundError
from lms.core.queue import Doorbell
from lms.courses.models import CourseRun
from lms.enrollments.models import Enrollment, EnrollmentChange
from lms.enrollments.transitions import Change, end, move, refuse, try_move
from lms.payments import receipts
from lms.payments.models import Payment, Refund
from lms.payments.operations import ASK_AGAIN_AFTER

CANCEL_UNPAID = text("""
    UPDATE payments SET live = false, version = version + 1
     WHERE id = :id AND live AND state IN ('created', 'pending')
    RETURNING coupon_used
""")
# Wallet before payment, as every posting: what was given back of it stands until the commit.
HOLD_MONEY = text("""
    WITH wallet AS (
        SELECT w.id
          FROM payments p JOIN wallets w ON w.user_id = p.user_id AND w.currency = p.currency
         WHERE p.id = :id AND p.method = 'wallet'
           FOR NO KEY UPDATE OF w
    )
    SELECT p.id, wallet.id FROM payments p LEFT JOIN wallet ON true
     WHERE p.id = :id FOR NO KEY UPDATE OF p
""")


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """An enrollment that ended, and the money that goes back, if any."""

    enrollment: Enrollment
    refund: Refund | None


def withdraw(
    session: Session, doorbell: Doorbell, actor: Actor, enrollment_id: UUID, *, subject_id: UUID
) -> Withdrawal:
    """End an enrollment; a paid one is refunded as its policy says at this moment.

    What was given back before counts towards what the policy gives. A pending one is cancelled;
    should its payment arrive yet, it is given back in full. Of a cancelled run all is given back,
    and to who paid and still waits for a seat.

    Args:
        session: the organization's session.
        doorbell: of the queue that looks after what a request leaves unfinished.
        actor: the learner, or an admin.
        enrollment_id: which.
        subject_id: the same for every request with one Idempotency-Key; becomes the id of the
            change and of the refund.

    Raises:
        NotFoundError: there is none that the actor may withdraw.
        TransitionNotAllowedError: it has ended, or is completed.
    """
    if session.get(EnrollmentChange, subject_id) is None:
        _withdraw(session, doorbell, actor, enrollment_id, subject_id)
    return find_withdrawal(session, enrollment_id, subject_id)


def find_withdrawal(session: Session, enrollment_id: UUID, subject_id: UUID) -> Withdrawal:
    """Return how a withdrawal stands now."""
    session.expire_all()
    return Withdrawal(session.get_one(Enrollment, enrollment_id), session.get(Refund, subject_id))


def cancel_unpaid(session: Session, enrollment_id: UUID, payment_id: UUID, change: Change) -> bool:
    """Cancel a pending enrollment, with its coupon's use; money that arrives yet is late money.

    Args:
        session: the organization's session.
        enrollment_id: which.
        payment_id: its payment.
        change: who and why.

    Returns:
        Whether it was waiting for its money until now.
    """
    cancelled = session.execute(CANCEL_UNPAID, {"id": payment_id}).one_or_none()
    if cancelled is None:
        return False
    move(session, enrollment_id, "cancelled", change)
    if cancelled.coupon_used:
        redemptions.give_back(session, [payment_id])
    return True


def _withdraw(
    session: Session, doorbell: Doorbell, actor: Actor, enrollment_id: UUID, subject_id: UUID
) -> None:
    enrollment, payment, run, now = _find(session, actor, enrollment_id)
    change = Change("withdrawn", actor.user_id, subject_id)
    if payment is None:
        if _cancel_without_payment(session, enrollment_id, change):
            return
        # Paid at this moment: what is paid is held before its enrollment.
        enrollment, payment, run, now = _find(session, actor, enrollment_id)
        if payment is None:
            refuse(session, enrollment_id, "cancelled")
    if enrollment.state == "pending":
        if not cancel_unpaid(session, enrollment_id, payment.id, change):
            refuse(session, enrollment_id, "cancelled")
        return
    if enrollment.state not in (*WITHDRAWABLE_STATES, "waitlisted"):
        refuse(session, enrollment_id, "withdrawn")
    session.execute(HOLD_MONEY, {"id": payment.id})
    session.refresh(payment)
    session.refresh(run)  # it may have been cancelled while this waited
    quote = quote_refund(
        payment,
        enrollment_state=enrollment.state,
        run_state=run.state,
        now=now,
        starts_at=run.starts_at,
    )
    if quote.amount > 0:
        begin_refund(
            session,
            doorbell,
            payment,
            amount=quote.amount,
            refund_id=subject_id,
            reason=f"withdrawn, {quote.step.percent} %",
            actor_id=actor.user_id,
            ends=True,
            due_at=clock.now() + ASK_AGAIN_AFTER,
        )
    else:
        session.execute(NOT_LIVE, {"id": payment.id})
    if not end(session, enrollment_id, change):
        refuse(session, enrollment_id, "withdrawn")
    receipts.issue(session, "refund", subject_id)


def _cancel_without_payment(session: Session, enrollment_id: UUID, change: Change) -> bool:
    """Cancel what waits without a payment; holds nothing when it cannot, or has one by now."""
    with session.begin_nested() as tried:
        if try_move(session, enrollment_id, "cancelled", change, unpaid=True):
            return True
        tried.rollback()
    return False


def _find(
    session: Session, actor: Actor, enrollment_id: UUID
) -> tuple[Enrollment, Payment | None, CourseRun, datetime]:
    query = (
        select(Enrollment, Payment, CourseRun, func.now())
        .outerjoin(Payment, Payment.id == Enrollment.payment_id)
        .join(CourseRun, CourseRun.id == Enrollment.run_id)
        .where(Enrollment.id == enrollment_id)
        .execution_options(populate_existing=True)
    )
    if not actor.is_admin:
        query = query.where(Enrollment.user_id == actor.user_id)
    row = session.execute(query).one_or_none()
    if row is None:
        raise NotFoundError("There is no such enrollment.")
    return row[0], row[1], row[2], row[3]
