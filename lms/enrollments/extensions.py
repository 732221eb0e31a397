"""Giving a learner more time: to accept or pay for a seat, or with the content of a run."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from lms.core import audit
from lms.core.actor import Actor
from lms.core.clock import rfc3339
from lms.core.errors import InvalidInputError, NotFoundError
from lms.core.ids import new_id
from lms.courses.models import CourseRun
from lms.courses.queries import taught_by
from lms.enrollments.errors import NothingToExtendError
from lms.enrollments.models import Enrollment, EnrollmentChange

OPEN_STATES = ("active", "suspended", "completed")
REMEDIES = {
    "approval": "Approve or decline it; until then its seat is kept.",
    "invitation": "Its seat is kept until the learner has joined.",
    "waitlisted": "It waits until a seat comes free; make the run's capacity larger.",
    **dict.fromkeys(OPEN_STATES, "Its content is open for ever."),
}
"""By what it awaits, or else its state."""

ENROLL_ANEW = "Enroll the learner anew."

# What looks after the hold finds it prolonged when its time comes, and looks again.
EXTEND_HOLD = text("""
    UPDATE enrollments
       SET hold_until = :until, version = version + 1,
           offered_until = CASE WHEN offered_until IS NOT NULL THEN CAST(:until AS timestamptz) END
     WHERE id = :id AND state = 'pending' AND hold_until < :until
    RETURNING id
""")
EXTEND_ACCESS = text("""
    UPDATE enrollments SET access_ends_at = :until, version = version + 1
     WHERE id = :id AND state = ANY(:open_states)
    RETURNING id
""")


def extend(
    session: Session, actor: Actor, enrollment_id: UUID, *, until: datetime, reason: str
) -> Enrollment:
    """Give a learner time until a moment.

    Of a pending enrollment its seat is held until then. Of one that is open its content may be read
    until then, whatever the run says.

    Args:
        session: the organization's session; must roll back when this raises.
        actor: who teaches the run, or an admin.
        enrollment_id: which.
        until: UTC, in the future.
        reason: for the audit log; no personal data.

    Raises:
        NotFoundError: there is none in a run that the actor teaches.
        InvalidInputError: the moment is past, or not later than the present end.
        NothingToExtendError: it has ended, or has no end.
    """
    found = session.execute(
        select(Enrollment, CourseRun.access_ends_at, func.now())
        .join(CourseRun, CourseRun.id == Enrollment.run_id)
        .where(Enrollment.id == enrollment_id, taught_by(actor, CourseRun.course_id))
        .with_for_update(key_share=True, of=Enrollment)
    ).one_or_none()
    if found is None:
        raise NotFoundError("There is no such enrollment.")
    enrollment, access_ends_at, now = found
    if until <= now:
        raise _too_early("This moment is past.")
    values = {"id": enrollment_id, "until": until}
    if enrollment.state in OPEN_STATES:
        member, before = "access_ends_at", enrollment.access_ends_at or access_ends_at
        if before is None:
            raise _nothing_to_extend(enrollment)
        if until <= before:
            raise _too_early(f"The content is open until {rfc3339(before)}; name a later moment.")
        session.execute(EXTEND_ACCESS, {**values, "open_states": list(OPEN_STATES)})
    elif enrollment.hold_until is not None:
        member, before = "hold_until", enrollment.hold_until
        if session.execute(EXTEND_HOLD, values).one_or_none() is None:
            raise _too_early(f"The seat is held until {rfc3339(before)} already; name a later one.")
    else:
        raise _nothing_to_extend(enrollment)
    session.add(
        EnrollmentChange(
            id=new_id(),
            enrollment_id=enrollment_id,
            from_state=enrollment.state,
            to_state=enrollment.state,
            actor_id=actor.user_id,
            reason="extended",
        )
    )
    audit.record(
        session,
        "enrollment.extend",
        ("enrollment", enrollment_id),
        actor_id=actor.user_id,
        before={member: before and rfc3339(before)},
        after={member: rfc3339(until), "reason": reason},
    )
    return session.get_one(Enrollment, enrollment_id, populate_existing=True)


def _too_early(message: str) -> InvalidInputError:
    return InvalidInputError(message, errors=[{"pointer": "/until", "message": message}])


def _nothing_to_extend(enrollment: Enrollment) -> NothingToExtendError:
    remedy = REMEDIES.get(enrollment.awaiting or enrollment.state, ENROLL_ANEW)
    return NothingToExtendError(
        f"This enrollment has no end that could be put off. {remedy}",
        state=enrollment.state,
        awaiting=enrollment.awaiting,
        remedy=remedy,
    )
