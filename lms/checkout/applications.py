"""Asking for a seat that cannot be had at once: one waits for it, or for somebody's approval.

Nothing is paid then. Whoever waits is offered the seat that comes free for them, and accepts it as
others enroll.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from lms.checkout.enroll_statement import MOMENT, TAKES_ENROLLMENTS
from lms.checkout.purchase_refusals import refusal_of_seats, refuse_application
from lms.core import queue
from lms.core.actor import Actor
from lms.core.ids import new_id
from lms.enrollments.models import Enrollment

# Run (shared), enrollment, seats: the order of every enrolling. What is agreed to be charged from
# the wallet later is the price of this moment.
STEPS = """
    WITH run AS (
        SELECT r.version_id, r.price_amount, r.enrollment_closes_at
          FROM course_runs r
         WHERE r.id = :run_id AND r.state = 'scheduled' AND {admits}
           FOR SHARE OF r
    ), enrolled AS (
        INSERT INTO enrollments
               (id, user_id, run_id, version_id, attempt, state, awaiting, waitlisted_at,
                accepts_waitlist, autopay_amount)
        SELECT CAST(:enrollment_id AS uuid), CAST(:user_id AS uuid), CAST(:run_id AS uuid),
               run.version_id,
               (SELECT COALESCE(max(e.attempt), 0) + 1 FROM enrollments e
                 WHERE e.user_id = :user_id AND e.run_id = :run_id),
               {state}, {awaiting}, {waitlisted_at}, CAST(:accepts_waitlist AS boolean),
               CASE WHEN CAST(:pay_automatically AS boolean) THEN run.price_amount END
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
    session: Session, actor: Actor, run_id: UUID, *, pay_automatically: bool
) -> Enrollment:
    """Put the actor at the end of a full run's waiting list.

    Args:
        session: the organization's session; must roll back when this raises.
        actor: who waits.
        run_id: for what.
        pay_automatically: the price of this moment may be charged from the wallet as soon as a
            seat is theirs.

    Raises:
        SeatFreeError: there is a seat by now, so nobody has to wait.
        NotFoundError: there is no such run.
        EnrollmentClosedError: the run takes nobody now, by the database's clock.
        AlreadyEnrolledError: one live enrollment per learner and run.
    """
    enrollment_id = new_id()
    values = _values(actor, run_id, enrollment_id, pay_automatically=pay_automatically)
    done = session.execute(WAIT, {**values, "accepts_waitlist": True}).one()
    if not done.enrolled:
        refuse_application(session, actor, run_id)
    if not done.seated:
        raise SeatFreeError
    queue.enqueue(session, None, queue.CLOSE_WAITLIST, run_id, due_at=done.closes_at)
    return session.get_one(Enrollment, enrollment_id)


def request_approval(
    session: Session,
    actor: Actor,
    run_id: UUID,
    *,
    accepts_waitlist: bool,
    pay_automatically: bool,
) -> Enrollment:
    """Take a seat of a run whose learners are approved, until somebody has decided.

    Args:
        session: the organization's session; must roll back when this raises.
        actor: who asks.
        run_id: for what.
        accepts_waitlist: money that comes when the seat is gone waits for another one.
        pay_automatically: the price of this moment may be charged from the wallet as soon as the
            request is approved.

    Raises:
        NotFoundError: there is no such run.
        EnrollmentClosedError: the run takes nobody now, by the database's clock.
        AlreadyEnrolledError: one live enrollment per learner and run.
        RunFullError: every seat is taken, or waited for.
    """
    enrollment_id = new_id()
    values = _values(actor, run_id, enrollment_id, pay_automatically=pay_automatically)
    done = session.execute(REQUEST, {**values, "accepts_waitlist": accepts_waitlist}).one()
    if not done.enrolled:
        refuse_application(session, actor, run_id)
    if not done.seated:
        raise refusal_of_seats(session, run_id)
    return session.get_one(Enrollment, enrollment_id)


def _values(
    actor: Actor, run_id: UUID, enrollment_id: UUID, *, pay_automatically: bool
) -> dict[str, object]:
    return {
        "run_id": run_id,
        "user_id": actor.user_id,
        "enrollment_id": enrollment_id,
        "change_id": new_id(),
        "pay_automatically": pay_automatically,
    }
