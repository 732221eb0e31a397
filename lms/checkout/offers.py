"""Seats that come free for those who wait: offered, and taken at once where that was agreed."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from lms.checkout.orders import Order
from lms.checkout.purchase import enroll
from lms.checkout.waitlist import stop_waiting
from lms.core import queue
from lms.core.actor import Actor
from lms.core.ids import new_id
from lms.core.queue import Doorbell
from lms.enrollments.transitions import Change, Pending, try_move

OFFERED = "offered"
AWAITING_APPROVAL = "awaiting_approval"
PAID_LATE = "paid_late"
ACCOUNT_DEACTIVATED = "account_deactivated"

NO_SIGN_IN = UUID(int=0)
"""Of a learner for whom the platform acts, as they agreed to."""

# Before seats and enrollments, as enrolling does: nobody changes the run meanwhile.
HOLD_RUN = text("SELECT id FROM course_runs WHERE id = :run_id FOR SHARE")
FIND_NEXT = text("""
    SELECT e.id, e.payment_id, e.version_id <> r.version_id AS is_behind,
           r.approval_required AND e.approved_at IS NULL AS needs_approval,
           u.deactivated_at IS NOT NULL AS is_gone
      FROM course_runs r
      JOIN run_seats s ON s.run_id = r.id
       AND s.waitlisted > 0 AND (s.capacity IS NULL OR s.taken < s.capacity)
      JOIN enrollments e ON e.run_id = r.id AND e.state = 'waitlisted'
      JOIN users u ON u.id = e.user_id
     WHERE r.id = :run_id AND r.state = 'scheduled' AND now() < r.enrollment_closes_at
     ORDER BY e.waitlisted_at, e.id
     LIMIT 1
""")
FOLLOW_RUN = text("""
    UPDATE enrollments e SET version_id = r.version_id
      FROM course_runs r
     WHERE e.id = :id AND r.id = e.run_id AND e.state = 'waitlisted'
""")
FIND_OFFER = text("""
    SELECT e.user_id, e.run_id, r.price_amount,
           r.price_amount = 0 AS is_free,
           e.autopay_amount >= r.price_amount AS is_paid_automatically
      FROM enrollments e JOIN course_runs r ON r.id = e.run_id
     WHERE e.id = :id AND e.state = 'pending' AND e.awaiting = 'offer'
""")

# Its seat is free in this transaction only: nobody else sees the counter before the commit.
OFFER_AGAIN = text("""
    WITH again AS (
        INSERT INTO enrollments
               (id, user_id, run_id, version_id, attempt, state, awaiting, hold_until,
                offered_until, waitlisted_at, approved_at, accepts_waitlist, autopay_amount)
        SELECT CAST(:new_id AS uuid), e.user_id, e.run_id, e.version_id, e.attempt + 1, 'pending',
               'offer', e.offered_until, e.offered_until, e.waitlisted_at, e.approved_at,
               e.accepts_waitlist, e.autopay_amount
          FROM enrollments e
         WHERE e.id = :id AND e.state = 'cancelled' AND e.offered_until > now()
        RETURNING id, run_id, hold_until
    ), seated AS (
        UPDATE run_seats SET taken = run_seats.taken + 1
          FROM again WHERE run_seats.run_id = again.run_id
    ), recorded AS (
        INSERT INTO enrollment_changes (id, enrollment_id, from_state, to_state, reason)
        SELECT CAST(:change_id AS uuid), again.id, NULL, 'pending', 'offered' FROM again
    )
    SELECT hold_until FROM again
""")

# Held for the transaction that ends the work: whoever frees a seat meanwhile is waited for and
# seen, and whoever comes later finds no open work and asks for it anew.
HOLD_SEATS = text("""
    SELECT s.waitlisted > 0
           AND (s.capacity IS NULL OR s.taken < s.capacity
                OR r.state <> 'scheduled' OR now() >= r.enrollment_closes_at)
      FROM run_seats s JOIN course_runs r ON r.id = s.run_id
     WHERE s.run_id = :run_id
       FOR NO KEY UPDATE OF s
""")


def offer_next(session: Session, doorbell: Doorbell, run_id: UUID, *, hold_seconds: int) -> bool:
    """Give a free seat to who has waited longest for it.

    Who paid already has it. Where approval is needed and not given yet, it is asked for. All others
    are offered the seat: until the offer lapses, or at once where it is free of charge; who agreed
    to be charged is, by work of its own. Whose account was deactivated does not wait any more.

    Args:
        session: the organization's session; must roll back when this raises.
        doorbell: of the queue.
        run_id: whose seats.
        hold_seconds: how long an offer holds.

    Returns:
        Whether there was a seat, somebody who waits, and a run that still takes enrollments.

    Raises:
        RunFullError: somebody else gave the seat away at this moment.
    """
    session.execute(HOLD_RUN, {"run_id": run_id})
    found = session.execute(FIND_NEXT, {"run_id": run_id}).one_or_none()
    if found is None:
        return False
    if found.is_gone:
        return stop_waiting(session, doorbell, found.id, Change(ACCOUNT_DEACTIVATED))
    if found.is_behind:
        session.execute(FOLLOW_RUN, {"id": found.id})
    if found.payment_id is not None:
        try_move(session, found.id, "active", Change(PAID_LATE), only_from="waitlisted")
    elif found.needs_approval:
        pending = Pending("approval")
        _move_to_pending(session, found.id, AWAITING_APPROVAL, pending)
    elif _move_to_pending(session, found.id, OFFERED, Pending("offer", hold_seconds)):
        follow_agreement(session, doorbell, found.id)
    return True


def follow_agreement(session: Session, doorbell: Doorbell, enrollment_id: UUID) -> None:
    """Take an offer at once where nothing has to be paid, or ask for the agreed payment.

    Args:
        session: the organization's session, in which the offer was just made.
        doorbell: of the queue.
        enrollment_id: which was offered its seat.
    """
    offer = session.execute(FIND_OFFER, {"id": enrollment_id}).one_or_none()
    if offer is None:
        return
    if offer.is_free:
        order = Order(
            payment_id=new_id(), run_id=offer.run_id, method="free", offer_id=enrollment_id
        )
        enroll(session, Actor(offer.user_id, "student", NO_SIGN_IN), order)
    elif offer.is_paid_automatically:
        queue.enqueue(session, doorbell, queue.TAKE_OFFER, enrollment_id)


def take_offer(session: Session, enrollment_id: UUID) -> bool:
    """Charge the agreed price of an offered seat from its learner's wallet.

    Args:
        session: the organization's session; must roll back when this raises.
        enrollment_id: which.

    Returns:
        Whether it was; not when the offer is gone, or costs more than was agreed by now.

    Raises:
        lms.core.errors.DomainError: the wallet does not pay it; the offer stands.
    """
    offer = session.execute(FIND_OFFER, {"id": enrollment_id}).one_or_none()
    if offer is None or not offer.is_paid_automatically:
        return False
    order = Order(payment_id=new_id(), run_id=offer.run_id, method="wallet", offer_id=enrollment_id)
    enroll(session, Actor(offer.user_id, "student", NO_SIGN_IN), order)
    return True


def offer_again(session: Session, enrollment_id: UUID) -> None:
    """Offer a seat anew whose payment failed while its offer still holds.

    The enrollment that ended keeps its payment, so the offer is one of its own, with the next
    `attempt`; its seat is the one that was just given back.

    Args:
        session: the organization's session, in which the enrollment was just cancelled.
        enrollment_id: which.
    """
    values = {"id": enrollment_id, "new_id": new_id(), "change_id": new_id()}
    again = session.execute(OFFER_AGAIN, values).one_or_none()
    if again is not None:
        due_at = again.hold_until
        queue.enqueue(session, None, queue.EXPIRE_ENROLLMENT, values["new_id"], due_at=due_at)


def hold_seats(session: Session, run_id: UUID) -> bool:
    """Hold a run's counter of seats, and tell whether something is left to do for who waits.

    Args:
        session: the organization's session; holds nothing else yet.
        run_id: whose.
    """
    return bool(session.execute(HOLD_SEATS, {"run_id": run_id}).scalar())


def _move_to_pending(session: Session, enrollment_id: UUID, reason: str, pending: Pending) -> bool:
    return try_move(
        session,
        enrollment_id,
        "pending",
        Change(reason),
        only_from="waitlisted",
        pending=pending,
    )
