"""Cancelling a run: nobody enrolls any more, everybody leaves, and all their money goes back.

The run is cancelled at once. Its enrollments are ended one by one by work that may be killed
anywhere: what ends an enrollment, its money included, is one transaction, and an enrollment that
has ended is not found again.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import structlog
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from lms.checkout.refund_answers import NOT_LIVE
from lms.checkout.refunds import LATE_MONEY, begin_refund, left_of
from lms.checkout.withdrawals import HOLD_MONEY, cancel_unpaid
from lms.core import audit, queue
from lms.core.actor import Actor
from lms.core.ids import derived_id, new_id
from lms.core.queue import Doorbell
from lms.courses.learners import UNFINISHED_STATES
from lms.courses.operations import runs
from lms.courses.run_queries import RunView
from lms.enrollments.models import Enrollment
from lms.enrollments.transitions import Change, end, try_move
from lms.payments import receipts
from lms.payments.models import Payment, Refund

log = structlog.get_logger()

RUN_CANCELLED = "run_cancelled"
FIND = text("""
    SELECT e.payment_id, e.run_id, r.cancelled_at, r.cancelled_by
      FROM enrollments e JOIN course_runs r ON r.id = e.run_id AND r.state = 'cancelled'
     WHERE e.id = :id
""")

# Whose enrollment ended with the run, or who paid for a seat and never got one.
FIND_SKIPPED = text("""
    SELECT e.id AS enrollment_id, r.cancelled_at, r.cancelled_by
      FROM payments p
      JOIN enrollments e ON e.payment_id = p.id
      JOIN course_runs r ON r.id = e.run_id
     WHERE p.id = :id AND p.state = 'succeeded' AND NOT p.live AND p.disputed_at IS NULL
       AND (e.state = 'cancelled' AND e.waitlisted_at IS NOT NULL AND e.activated_at IS NULL
            OR r.state = 'cancelled' AND e.state IN ('withdrawn', 'cancelled')
               AND EXISTS (SELECT FROM enrollment_changes c
                            WHERE c.enrollment_id = e.id
                              AND c.to_state IN ('withdrawn', 'cancelled')
                              AND c.at >= r.cancelled_at))
""")


def cancel_run(
    session: Session,
    doorbell: Doorbell,
    actor: Actor,
    run_id: UUID,
    *,
    reason: str,
    expected: int | None,
) -> RunView:
    """Cancel a run, and ask for the work that ends its enrollments.

    Repeating changes nothing of the run; work that was given up is asked for anew.

    Args:
        session: the organization's session.
        doorbell: of the queue.
        actor: an admin.
        run_id: which.
        reason: for its learners; no personal data.
        expected: version of the run that the client read, or None.

    Raises:
        NotFoundError: there is no such run.
        StaleVersionError: it changed since.
        RunStateNotAllowedError: it is a draft or archived.
    """
    run = runs.cancel_run(session, actor, run_id, reason=reason, expected=expected)
    if run.enrollments_left:
        queue.enqueue(session, doorbell, queue.CANCEL_RUN, run_id)
    return run


def unfinished_enrollments(session: Session, run_id: UUID, *, most: int) -> Sequence[UUID]:
    """Return enrollments of a run that have neither ended nor are completed, oldest first.

    Args:
        session: the organization's session.
        run_id: whose.
        most: how many at most.
    """
    query = select(Enrollment.id).where(
        Enrollment.run_id == run_id, Enrollment.state.in_(UNFINISHED_STATES)
    )
    return session.scalars(query.order_by(Enrollment.id).limit(most)).all()


def end_enrollment(session: Session, doorbell: Doorbell, enrollment_id: UUID) -> None:
    """End an enrollment of a cancelled run, and give back all that is left of its payment.

    Whatever the refund policy says: to the wallet at once, to a provider through its refunds. A
    pending one is cancelled; should its payment arrive yet, it is late money. A completed one stays
    as it is. While the payer contests the payment at the bank nothing is given back, which is put
    on record; `refund_after_dispute` does once the bank has decided for the academy.

    Args:
        session: the organization's session.
        doorbell: of the queue, rung for refunds that a provider has to make.
        enrollment_id: which; when it has ended already, or its run is not cancelled, nothing
            happens.
    """
    found = session.execute(FIND, {"id": enrollment_id}).one_or_none()
    if found is None:
        return
    change_id = derived_id(found.cancelled_at, enrollment_id)
    change = Change(RUN_CANCELLED, found.cancelled_by, change_id)
    if found.payment_id is None:
        if not try_move(session, enrollment_id, "cancelled", change):
            end(session, enrollment_id, change)
        return
    # Held before anything is decided: what was paid, or given back, meanwhile is seen.
    session.execute(HOLD_MONEY, {"id": found.payment_id})
    if cancel_unpaid(session, enrollment_id, found.payment_id, change):
        return
    if end(session, enrollment_id, change):
        give_all_back(
            session,
            doorbell,
            found.payment_id,
            change_id,
            actor_id=found.cancelled_by,
            reason=RUN_CANCELLED,
        )


def give_all_back(
    session: Session,
    doorbell: Doorbell,
    payment_id: UUID,
    refund_id: UUID,
    *,
    actor_id: UUID | None,
    reason: str,
) -> None:
    """Give back what is left of a payment whose enrollment has just ended.

    While its payer contests it at the bank nothing is given back, which is put on record.

    Args:
        session: the organization's session, in which the payment is held.
        doorbell: of the queue, rung for a refund that a provider has to make.
        payment_id: which.
        refund_id: identifier of the refund.
        actor_id: who ended the enrollment; None for the platform itself.
        reason: why, a stable word.
    """
    payment = session.get_one(Payment, payment_id, populate_existing=True)
    left = left_of(payment)
    if left > 0 and payment.disputed_at is None:
        begin_refund(
            session,
            doorbell,
            payment,
            amount=None,
            refund_id=refund_id,
            reason=reason,
            actor_id=actor_id,
            ends=True,
            due_at=None,
        )
        receipts.issue(session, "refund", refund_id)
        return
    session.execute(NOT_LIVE, {"id": payment_id})
    if left > 0:
        _record_disputed(session, payment, left, actor_id)


def refund_after_dispute(session: Session, doorbell: Doorbell, payment_id: UUID) -> None:
    """Give back what was contested when its enrollment ended, now that no bank holds it any more.

    Of a cancelled run, and of who paid for a seat and never got one. Whoever left a seat by
    themselves got what the refund policy gave. What the bank took for good is not given back again.
    An earlier refund that failed for the dispute's sake is made anew.

    Args:
        session: the organization's session, in which the dispute has just been written down.
        doorbell: of the queue, rung for the refund.
        payment_id: whose dispute it was; of any other payment nothing is changed.
    """
    found = session.execute(FIND_SKIPPED, {"id": payment_id}).one_or_none()
    if found is None:
        return
    session.execute(HOLD_MONEY, {"id": payment_id})
    refund_id = new_id()
    if found.cancelled_at is not None:
        of_run = derived_id(found.cancelled_at, found.enrollment_id)
        refund_id = of_run if session.get(Refund, of_run) is None else refund_id
    give_all_back(
        session,
        doorbell,
        payment_id,
        refund_id,
        actor_id=found.cancelled_by,
        reason=LATE_MONEY if found.cancelled_at is None else RUN_CANCELLED,
    )


def _record_disputed(session: Session, payment: Payment, left: int, actor_id: UUID | None) -> None:
    log.warning("refund_skipped", payment_id=str(payment.id), reason="payment_disputed")
    audit.record(
        session,
        "payment.refund_skipped",
        ("payment", payment.id),
        actor_id=actor_id,
        after={
            "reason": "payment_disputed",
            "run_id": str(payment.run_id),
            "left": left,
            "currency": payment.currency,
        },
    )
