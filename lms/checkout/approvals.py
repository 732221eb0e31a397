"""Deciding who may learn in a run that asks for approval."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from lms.checkout.offers import ask_for_taking
from lms.checkout.waitlist import stop_waiting
from lms.core import audit, queue
from lms.core.actor import Actor
from lms.core.errors import NotFoundError
from lms.core.ids import new_id
from lms.core.queue import Doorbell
from lms.courses.errors import RunStateNotAllowedError
from lms.courses.models import CourseRun
from lms.courses.queries import taught_by
from lms.enrollments.errors import NothingToApproveError
from lms.enrollments.models import Enrollment
from lms.enrollments.transitions import Change, try_move

# The state stays: what waits for approval is an offer from then on, and who waits for a seat will
# not have to be approved when there is one.
APPROVE = text("""
    WITH approved AS (
        UPDATE enrollments
           SET approved_at = now(), version = version + 1,
               awaiting = CASE WHEN state = 'pending' THEN 'offer' END,
               hold_until = CASE WHEN state = 'pending'
                                 THEN now() + make_interval(secs => :hold_seconds) END,
               offered_until = CASE WHEN state = 'pending'
                                    THEN now() + make_interval(secs => :hold_seconds) END
         WHERE id = :id AND approved_at IS NULL
           AND (awaiting = 'approval'
                OR state = 'waitlisted' AND EXISTS (SELECT FROM course_runs r
                                                     WHERE r.id = run_id AND r.approval_required))
        RETURNING id, state, hold_until
    ), recorded AS (
        INSERT INTO enrollment_changes (id, enrollment_id, from_state, to_state, actor_id, reason)
        SELECT CAST(:change_id AS uuid), approved.id, approved.state, approved.state,
               CAST(:actor_id AS uuid), 'approved'
          FROM approved
    )
    SELECT state, hold_until FROM approved
""")


def approve(
    session: Session, actor: Actor, enrollment_id: UUID, *, hold_seconds: int
) -> Enrollment:
    """Let somebody have the seat that they asked for.

    It is offered to them; where it is free of charge, or was agreed to be paid from the wallet,
    `lms.checkout.offers.take_offer` follows. Who still waits for a seat gets it without being
    approved again. Repeating changes nothing.

    Args:
        session: the organization's session; must roll back when this raises.
        actor: who teaches the run, or an admin.
        enrollment_id: which.
        hold_seconds: how long the offer holds.

    Raises:
        NotFoundError: there is none in a run that the actor teaches.
        RunStateNotAllowedError: the run takes nobody any more.
        NothingToApproveError: it does not wait for approval.
    """
    run_state = _hold_run(session, actor, enrollment_id)
    if run_state != "scheduled":
        raise RunStateNotAllowedError(
            "The run takes nobody any more; decline who still waits for it.",
            state=run_state,
            allowed=[],
        )
    values = {
        "id": enrollment_id,
        "change_id": new_id(),
        "actor_id": actor.user_id,
        "hold_seconds": hold_seconds,
    }
    approved = session.execute(APPROVE, values).one_or_none()
    if approved is None:
        _refuse_unless_approved(session, enrollment_id)
    else:
        audit.record(
            session, "enrollment.approve", ("enrollment", enrollment_id), actor_id=actor.user_id
        )
        if approved.hold_until is not None:
            queue.enqueue(
                session, None, queue.EXPIRE_ENROLLMENT, enrollment_id, due_at=approved.hold_until
            )
            ask_for_taking(session, enrollment_id)
    return session.get_one(Enrollment, enrollment_id, populate_existing=True)


def decline(
    session: Session, doorbell: Doorbell, actor: Actor, enrollment_id: UUID, *, reason: str
) -> Enrollment:
    """Do not let somebody have a seat that they wait for, or have not accepted or paid yet.

    What was paid while they waited is given back.

    Args:
        session: the organization's session; must roll back when this raises.
        doorbell: of the queue.
        actor: who teaches the run, or an admin.
        enrollment_id: which.
        reason: for the audit log; no personal data.

    Raises:
        NotFoundError: there is none in a run that the actor teaches.
        NothingToApproveError: it has ended, is paid, or is just being paid.
    """
    _hold_run(session, actor, enrollment_id)
    change = Change("declined", actor.user_id)
    waited = stop_waiting(session, doorbell, enrollment_id, change)
    if not waited and not try_move(
        session, enrollment_id, "cancelled", change, only_from="pending", unpaid=True
    ):
        raise _nothing_to_approve(session.get_one(Enrollment, enrollment_id))
    audit.record(
        session,
        "enrollment.decline",
        ("enrollment", enrollment_id),
        actor_id=actor.user_id,
        after={"state": "cancelled", "reason": reason},
    )
    return session.get_one(Enrollment, enrollment_id, populate_existing=True)


def _hold_run(session: Session, actor: Actor, enrollment_id: UUID) -> str:
    """Return the state of an enrollment's run, which the actor teaches; held as in enrolling."""
    state = session.scalar(
        select(CourseRun.state)
        .join(Enrollment, Enrollment.run_id == CourseRun.id)
        .where(Enrollment.id == enrollment_id, taught_by(actor, CourseRun.course_id))
        .with_for_update(read=True, of=CourseRun)
    )
    if state is None:
        raise NotFoundError("There is no such enrollment.")
    return state


def _refuse_unless_approved(session: Session, enrollment_id: UUID) -> None:
    enrollment = session.get_one(Enrollment, enrollment_id, populate_existing=True)
    if enrollment.approved_at is None:
        raise _nothing_to_approve(enrollment)


def _nothing_to_approve(enrollment: Enrollment) -> NothingToApproveError:
    return NothingToApproveError(
        "This enrollment does not wait for approval.",
        state=enrollment.state,
        awaiting=enrollment.awaiting,
    )
