"""Seats that come free for those who wait: offered, and taken at once where that was agreed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from lms.checkout.holds import HOLD_RUN
from lms.checkout.orders import Order
from lms.checkout.pricing import price_of
from lms.checkout.purchase import NO_SIGN_IN, enroll
from lms.checkout.waitlist import stop_waiting
from lms.core import clock, queue
from lms.core.actor import Actor
from lms.core.ids import derived_id, new_id
from lms.core.queue import Doorbell
from lms.enrollments.models import Enrollment
from lms.enrollments.transitions import Change, Pending, try_move

OFFERED = "offered"
AWAITING_APPROVAL = "awaiting_approval"
PAID_LATE = "paid_late"
ACCOUNT_DEACTIVATED = "account_deactivated"
MONEY_TAKEN_BACK = "money_taken_back"

TAKEN_AT_ONCE_WITHIN = timedelta(seconds=30)
"""Until then whoever made an offer takes it as agreed; afterwards its work does."""

# Of those who paid and contest it nobody knows yet whether they did.
FIND_NEXT = text("""
    SELECT e.id, e.payment_id, e.version_id <> r.version_id AS is_behind,
           r.approval_required AND e.approved_at IS NULL AS needs_approval,
           u.deactivated_at IS NOT NULL AS is_gone,
           COALESCE(p.refunded_amount + p.lost_amount >= p.amount, false) AS is_taken_back
      FROM course_runs r
      JOIN run_seats s ON s.run_id = r.id AND (s.capacity IS NULL OR s.taken < s.capacity)
      JOIN enrollments e ON e.run_id = r.id AND e.state = 'waitlisted'
      JOIN users u ON u.id = e.user_id
      LEFT JOIN payments p ON p.id = e.payment_id
     WHERE r.id = :run_id AND r.state = 'scheduled' AND now() < r.enrollment_closes_at
       AND p.disputed_at IS NULL
     ORDER BY e.waitlisted_at, e.id
     LIMIT 1
""")
FOLLOW_RUN = text("""
    UPDATE enrollments e SET version_id = r.version_id
      FROM course_runs r
     WHERE e.id = :id AND r.id = e.run_id AND e.state = 'waitlisted'
""")
FIND_OFFER = text("""
    SELECT e.user_id, e.run_id, r.price_amount = 0 AS is_free, e.autopay_amount, e.autopay_coupon
      FROM enrollments e
      JOIN course_runs r ON r.id = e.run_id AND r.state = 'scheduled'
      JOIN users u ON u.id = e.user_id AND u.deactivated_at IS NULL
     WHERE e.id = :id AND e.state = 'pending' AND e.awaiting = 'offer'
       AND (r.price_amount = 0 OR e.autopay_amount IS NOT NULL)
""")
FIND_WAITING_RUN = text("""
    SELECT e.run_id FROM enrollments e WHERE e.payment_id = :payment_id AND e.state = 'waitlisted'
""")

OFFERED_UNTIL = text("SELECT offered_until FROM enrollments WHERE id = :id")

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
          JOIN course_runs r ON r.id = e.run_id AND r.state = 'scheduled'
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
HOLD_SEATS = text("SELECT run_id FROM run_seats WHERE run_id = :run_id FOR NO KEY UPDATE")


@dataclass(frozen=True, slots=True)
class Given:
    """To whom a seat was given.

    Attributes:
        enrollment_id: of who is not waiting any more.
        is_offer: the seat is offered; not where it is theirs, or where somebody was let go.
    """

    enrollment_id: UUID
    is_offer: bool


def offer_next(
    session: Session, doorbell: Doorbell, run_id: UUID, *, hold_seconds: int
) -> Given | None:
    """Give a free seat to who has waited longest for it.

    Who paid already has it. Where approval is needed and not given yet, it is asked for. All others
    are offered the seat; where it is free of charge, or was agreed to be paid from the wallet,
    `take_offer` follows. Whose account was deactivated, or whose money the bank took back, does not
    wait any more.

    Args:
        session: the organization's session; must roll back when this raises.
        doorbell: of the queue.
        run_id: whose seats.
        hold_seconds: how long an offer holds.

    Returns:
        None when there is no seat, or nobody to whom it could be given.

    Raises:
        RunFullError: somebody else gave the seat away at this moment.
    """
    session.execute(HOLD_RUN, {"run_id": run_id})
    found = session.execute(FIND_NEXT, {"run_id": run_id}).one_or_none()
    if found is None:
        return None
    if found.is_gone or found.is_taken_back:
        because = ACCOUNT_DEACTIVATED if found.is_gone else MONEY_TAKEN_BACK
        stop_waiting(session, doorbell, found.id, Change(because))
        return Given(found.id, is_offer=False)
    if found.is_behind:
        session.execute(FOLLOW_RUN, {"id": found.id})
    if found.payment_id is not None:
        try_move(session, found.id, "active", Change(PAID_LATE), only_from="waitlisted")
        return Given(found.id, is_offer=False)
    if found.needs_approval:
        _move_to_pending(session, found.id, AWAITING_APPROVAL, Pending("approval"))
        return Given(found.id, is_offer=False)
    if _move_to_pending(session, found.id, OFFERED, Pending("offer", hold_seconds)):
        ask_for_taking(session, found.id)
    return Given(found.id, is_offer=True)


def ask_for_taking(session: Session, enrollment_id: UUID) -> None:
    """Ask for the work that takes an offer as agreed, should whoever made it not get to it.

    Args:
        session: the organization's session, in which the offer was just made.
        enrollment_id: which was offered its seat.
    """
    if session.execute(FIND_OFFER, {"id": enrollment_id}).one_or_none() is not None:
        due_at = clock.now() + TAKEN_AT_ONCE_WITHIN
        queue.enqueue(session, None, queue.TAKE_OFFER, enrollment_id, due_at=due_at)


def take_offer(session: Session, enrollment_id: UUID) -> bool:
    """Take an offered seat that costs nothing, or that was agreed to be paid from the wallet.

    In a transaction of its own: wallet and payment come before enrollments in the order of locks.

    Args:
        session: the organization's session; must roll back when this raises.
        enrollment_id: which.

    Returns:
        Whether it was; not when the offer is gone, or costs more than was agreed by now.

    Raises:
        lms.core.errors.DomainError: the wallet does not pay it; the offer stands.
    """
    offer = session.execute(FIND_OFFER, {"id": enrollment_id}).one_or_none()
    if offer is None:
        return False
    learner = Actor(offer.user_id, "student", NO_SIGN_IN)
    coupon_code = None if offer.is_free else offer.autopay_coupon
    price = price_of(session, learner, offer.run_id, coupon_code=coupon_code)
    if not offer.is_free and price.amount > offer.autopay_amount:
        return False
    order = Order(
        payment_id=new_id(),
        run_id=offer.run_id,
        method="free" if price.amount == 0 else "wallet",
        coupon_code=coupon_code,
        offer_id=enrollment_id,
    )
    enroll(session, learner, order)
    return True


def offered_again_as(enrollment: Enrollment) -> str | None:
    """Return the id under which a seat is offered anew when the payment for it fails.

    Args:
        enrollment: which was accepted, as it is read whole.
    """
    if enrollment.offered_until is None or enrollment.offered_until <= clock.now():
        return None
    return str(derived_id(enrollment.offered_until, enrollment.id))


def look_again(session: Session, doorbell: Doorbell, payment_id: UUID) -> None:
    """Look anew for seats once a bank has decided about the payment of somebody who waits."""
    run_id = session.execute(FIND_WAITING_RUN, {"payment_id": payment_id}).scalar()
    if run_id is not None:
        queue.enqueue(session, doorbell, queue.OFFER_SEATS, run_id)


def offer_again(session: Session, enrollment_id: UUID) -> None:
    """Offer a seat anew whose payment failed while its offer still holds.

    The enrollment that ended keeps its payment, so the offer is one of its own, with the next
    `attempt`; its seat is the one that was just given back.

    Args:
        session: the organization's session, in which the enrollment was just cancelled.
        enrollment_id: which.
    """
    offered_until = session.execute(OFFERED_UNTIL, {"id": enrollment_id}).scalar()
    if offered_until is None:
        return
    again_id = derived_id(offered_until, enrollment_id)
    values = {"id": enrollment_id, "new_id": again_id, "change_id": new_id()}
    again = session.execute(OFFER_AGAIN, values).one_or_none()
    if again is not None:
        due_at = again.hold_until
        queue.enqueue(session, None, queue.EXPIRE_ENROLLMENT, values["new_id"], due_at=due_at)


def hold_seats(session: Session, run_id: UUID) -> None:
    """Wait for whoever is changing a run's counter of seats, and keep others from it.

    Args:
        session: the organization's session; holds nothing else yet.
        run_id: whose.
    """
    session.execute(HOLD_SEATS, {"run_id": run_id})


def has_next(session: Session, run_id: UUID) -> bool:
    """Tell whether there is a free seat and somebody to whom it could be given."""
    return session.execute(FIND_NEXT, {"run_id": run_id}).one_or_none() is not None


def _move_to_pending(session: Session, enrollment_id: UUID, reason: str, pending: Pending) -> bool:
    return try_move(
        session,
        enrollment_id,
        "pending",
        Change(reason),
        only_from="waitlisted",
        pending=pending,
    )
