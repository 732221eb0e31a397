"""Asking for a seat that cannot be had at once: one waits for it, or for somebody's approval.

Nothing is paid then. Whoever waits is offered the seat that comes free for them, and accepts it as
others enroll.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from lms.checkout.enroll_statement import MOMENT, TAKES_ENROLLMENTS
from lms.checkout.orders import Order
from lms.checkout.purchase_refusals import (
    price_to_agree_on,
    refusal_of_seats,
    refuse_application,
)
from lms.core import queue
from lms.core.actor import Actor
from lms.core.ids import new_id
from lms.enrollments.models import Enrollment

# Run (shared), enrollment, seats: the order of every enrolling.
STEPS = """
    WITH run AS (
        SELECT r.version_id, r.enrollment_closes_at
          FROM course_runs r
         WHERE r.id = :run_id AND r.state = 'scheduled' AND {admits}
           FOR SHARE OF r
    ), enrolled AS (
        INSERT INTO enrollments
               (id, user_id, run_id, version_id, attempt, state, awaiting, waitlisted_at,
                accepts_waitlist, autopay_amount, autopay_coupon)
        SELECT CAST(:enrollment_id AS uuid), CAST(:user_id AS uuid), CAST(:run_id AS uuid),
               run.version_id,
               (SELECT COALESCE(max(e.attempt), 0) + 1 FROM enrollments e
                 WHERE e.user_id = :user_id AND e.run_id = :run_id),
               {state}, {awaiting}, {waitlisted_at}, CAST(:accepts_waitlist AS boolean),
               CAST(:autopay_amount AS bigint), CAST(:autopay_coupon AS text)
          FROM run
        ON CONFLICT DO NOTHING
        RETURNING id, state
    ), seated AS (
        UPDATE run_seats
           SET {counted}
          FROM enrolled
         WHERE run_seats.run_id = :run_id AND {free}
        RETURNING run_seats.run_id
    ), recorded AS (
        INSERT INTO enrollment_changes (id, enrollment_id, from_state, to_state, actor_id, reason)
        SELECT CAST(:change_id AS uuid), enrolled.id, NULL, enrolled.state,
               CAST(:user_id AS uuid), {reason}
          FROM enrolled
    )
    SELECT EXISTS (SELECT FROM enrolled) AS enrolled, EXISTS (SELECT FROM seated) AS seated,
           (SELECT enrollment_closes_at FROM run) AS closes_at
"""
HAS_FREE_SEAT = "run_seats.taken + run_seats.waitlisted < run_seats.capacity"
WAIT = text(
    STEPS.format(
        admits=TAKES_ENROLLMENTS,
        state="'waitlisted'",
        awaiting="NULL",
        waitlisted_at="clock_timestamp()",
        counted="waitlisted = run_seats.waitlisted + 1",
        free=f"NOT {HAS_FREE_SEAT}",
        reason="'run_full'",
    )
).columns(closes_at=MOMENT)
REQUEST = text(
    STEPS.format(
        admits=f"{TAKES_ENROLLMENTS} AND r.approval_required",
        state="'pending'",
        awaiting="'approval'",
        waitlisted_at="CAST(NULL AS timestamptz)",
        counted="taken = run_seats.taken + 1",
        free=f"(run_seats.capacity IS NULL OR {HAS_FREE_SEAT})",
        reason="'awaiting_approval'",
    )
).columns(closes_at=MOMENT)


class SeatFreeError(Exception):
    """Nobody has to wait: a seat came free at this moment."""


def wait_for_seat(
    session: Session, actor: Actor, order: Order, *, pay_automatically: bool
) -> Enrollment:
    """Put the actor at the end of a full run's waiting list.

    Args:
        session: the organization's session; must roll back when this raises.
        actor: who waits.
        order: for what, and how it is to be paid.
        pay_automatically: the price of this moment, with the coupon, may be charged from the wallet
            as soon as a seat is theirs.

    Raises:
        SeatFreeError: there is a seat by now, so nobody has to wait.
        NotFoundError: there is no such run.
        EnrollmentClosedError: the run takes nobody now, by the database's clock.
        PaymentMethodError: the price is not paid this way.
        CouponRefusedError: the coupon is not taken; each reason has its class.
        AlreadyEnrolledError: one live enrollment per learner and run.
    """
    values = _values(session, actor, order, pay_automatically=pay_automatically)
    done = session.execute(WAIT, {**values, "accepts_waitlist": True}).one()
    if not done.enrolled:
        refuse_application(session, actor, order.run_id)
    if not done.seated:
        raise SeatFreeError
    queue.enqueue(session, None, queue.CLOSE_WAITLIST, order.run_id, due_at=done.closes_at)
    return session.get_one(Enrollment, values["enrollment_id"])


def request_approval(
    session: Session, actor: Actor, order: Order, *, pay_automatically: bool
) -> Enrollment:
    """Take a seat of a run whose learners are approved, until somebody has decided.

    Args:
        session: the organization's session; must roll back when this raises.
        actor: who asks.
        order: for what, and how it is to be paid.
        pay_automatically: the price of this moment, with the coupon, may be charged from the wallet
            as soon as the request is approved.

    Raises:
        lms.core.errors.DomainError: as `wait_for_seat`.
        RunFullError: every seat is taken, or waited for.
    """
    values = _values(session, actor, order, pay_automatically=pay_automatically)
    done = session.execute(REQUEST, {**values, "accepts_waitlist": order.accepts_waitlist}).one()
    if not done.enrolled:
        refuse_application(session, actor, order.run_id)
    if not done.seated:
        raise refusal_of_seats(session, order.run_id)
    return session.get_one(Enrollment, values["enrollment_id"])


def _values(
    session: Session, actor: Actor, order: Order, *, pay_automatically: bool
) -> dict[str, Any]:
    price = price_to_agree_on(session, actor, order)
    return {
        "run_id": order.run_id,
        "user_id": actor.user_id,
        "enrollment_id": new_id(),
        "change_id": new_id(),
        "autopay_amount": price if pay_automatically else None,
        "autopay_coupon": order.coupon_code if pay_automatically else None,
    }
