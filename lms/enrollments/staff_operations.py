"""What staff do with a learner's enrollment: suspend, reinstate, reopen; all on record."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from lms.core import audit
from lms.core.actor import Actor
from lms.core.errors import NotFoundError
from lms.courses.errors import RunStateNotAllowedError
from lms.courses.models import CourseRun, PublishedVersion
from lms.courses.queries import taught_by
from lms.enrollments.models import Enrollment
from lms.enrollments.operations import complete
from lms.enrollments.transitions import Change, State, refuse, try_move


@dataclass(frozen=True, slots=True)
class Step:
    """What staff do: its verb in the audit log, its word in the history, and the states."""

    verb: str
    word: str
    from_state: State
    to_state: State


SUSPEND = Step("suspend", "suspended", "active", "suspended")
REINSTATE = Step("reinstate", "reinstated", "suspended", "active")
REOPEN = Step("reopen", "reopened", "completed", "active")


def suspend(session: Session, actor: Actor, enrollment_id: UUID, *, reason: str) -> Enrollment:
    """Close an active enrollment's content for a while; the seat stays the learner's.

    Args:
        session: the organization's session; must roll back when this raises.
        actor: who teaches the run, or an admin.
        enrollment_id: which.
        reason: for the audit log; no personal data.

    Raises:
        NotFoundError: there is none in a run that the actor teaches.
        RunStateNotAllowedError: the run is cancelled.
        TransitionNotAllowedError: it is not active.
    """
    return _change(session, actor, enrollment_id, SUSPEND, reason)


def reinstate(session: Session, actor: Actor, enrollment_id: UUID, *, reason: str) -> Enrollment:
    """Open a suspended enrollment's content again, with its progress and first dates.

    One that an upgrade of its run brought to 100 percent meanwhile is completed by it; one that had
    been completed and reopened before stays open. Arguments and refusals as of `suspend`, from
    `suspended`.
    """
    enrollment = _change(session, actor, enrollment_id, REINSTATE, reason)
    if enrollment.percent < 100 or enrollment.completed_at is not None:
        return enrollment
    version = session.get_one(PublishedVersion, enrollment.version_id)
    return complete(session, enrollment_id, rules_hash=version.content_hash, actor_id=actor.user_id)


def reopen(session: Session, actor: Actor, enrollment_id: UUID, *, reason: str) -> Enrollment:
    """Make a completed enrollment active again, so that its progress may change.

    It stays so until something in its progress does; with everything done already, that is another
    lesson's completion. It keeps its first `completed_at`, also when it is completed anew.
    Arguments and refusals as of `suspend`, from `completed`.
    """
    return _change(session, actor, enrollment_id, REOPEN, reason)


def _change(
    session: Session, actor: Actor, enrollment_id: UUID, step: Step, reason: str
) -> Enrollment:
    # Held, so that it is not cancelled meanwhile.
    run_state = session.scalar(
        select(CourseRun.state)
        .join(Enrollment, Enrollment.run_id == CourseRun.id)
        .where(Enrollment.id == enrollment_id, taught_by(actor, CourseRun.course_id))
        .with_for_update(read=True, of=CourseRun)
    )
    if run_state is None:
        raise NotFoundError("There is no such enrollment.")
    if run_state == "cancelled":
        raise RunStateNotAllowedError(
            "The run is cancelled; its enrollments stay as they are.", state=run_state, allowed=[]
        )
    change = Change(step.word, actor.user_id)
    if not try_move(session, enrollment_id, step.to_state, change, only_from=step.from_state):
        refuse(session, enrollment_id, step.to_state)
    audit.record(
        session,
        f"enrollment.{step.verb}",
        ("enrollment", enrollment_id),
        actor_id=actor.user_id,
        before={"state": step.from_state},
        after={"state": step.to_state, "reason": reason},
    )
    return session.get_one(Enrollment, enrollment_id, populate_existing=True)
