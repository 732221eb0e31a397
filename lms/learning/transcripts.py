"""A learner's enrollments over all runs: what of which course they did, and when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, exists, or_, select, true
from sqlalchemy.orm import Session

from lms.core.actor import Actor
from lms.core.errors import NotFoundError
from lms.core.pagination import Page, paginate_rows
from lms.courses.models import Course, CourseRun, CourseVersion
from lms.courses.queries import taught_by
from lms.enrollments.models import LIVE_STATES, Enrollment
from lms.users.models import User

WAS_TAKEN_UP: ColumnElement[bool] = or_(
    Enrollment.activated_at.is_not(None), Enrollment.state.in_(LIVE_STATES)
)
"""Not merely an attempt to enroll that came to nothing: a payment that was declined or not made."""


@dataclass(frozen=True, slots=True)
class Titled:
    """A course or a run."""

    id: UUID
    title: str


@dataclass(frozen=True, slots=True)
class TranscriptEntry:
    """One enrollment. `version_number` is that of the course version that it is in."""

    enrollment_id: UUID
    course: Titled
    run: Titled
    version_number: int
    state: str
    attempt: int
    percent: int
    activated_at: datetime | None
    completed_at: datetime | None
    ended_at: datetime | None


def own_transcript(
    session: Session, actor: Actor, *, limit: int, cursor: str | None
) -> Page[TranscriptEntry]:
    """Read a page of the actor's own transcript, newest first, in one query.

    Raises:
        InvalidCursorError: the cursor is not one of this list.
    """
    return _transcript(session, actor.user_id, true(), limit=limit, cursor=cursor)


def transcript_of(
    session: Session, actor: Actor, user_id: UUID, *, limit: int, cursor: str | None
) -> Page[TranscriptEntry]:
    """Read a page of a learner's transcript, newest first, in two queries.

    Args:
        session: the organization's session.
        actor: an admin, who sees all of it, or an instructor, who sees the runs that they teach.
        user_id: the learner.
        limit: most items to return.
        cursor: `next_cursor` of the page before.

    Raises:
        NotFoundError: there is no such user, or none in a run that the instructor teaches.
        InvalidCursorError: the cursor is not one of this list.
    """
    taught = taught_by(actor, CourseRun.course_id)
    known = select(User.id).where(User.id == user_id)
    if not actor.is_admin:
        known = known.where(
            exists().where(Enrollment.user_id == User.id, CourseRun.id == Enrollment.run_id, taught)
        )
    if session.scalar(known) is None:
        raise NotFoundError("There is no such learner for you.")
    return _transcript(session, user_id, taught, limit=limit, cursor=cursor)


def _transcript(
    session: Session,
    user_id: UUID,
    shown: ColumnElement[bool],
    *,
    limit: int,
    cursor: str | None,
) -> Page[TranscriptEntry]:
    query = (
        select(
            Enrollment.id,
            *(Course.id.label("course_id"), Course.title.label("course_title")),
            *(CourseRun.id.label("run_id"), CourseRun.title.label("run_title")),
            *(CourseVersion.number, Enrollment.state, Enrollment.attempt, Enrollment.percent),
            *(Enrollment.activated_at, Enrollment.completed_at, Enrollment.ended_at),
        )
        .join(CourseRun, CourseRun.id == Enrollment.run_id)
        .join(Course, Course.id == CourseRun.course_id)
        .join(CourseVersion, CourseVersion.id == Enrollment.version_id)
        .where(Enrollment.user_id == user_id, WAS_TAKEN_UP, shown)
    )
    page = paginate_rows(
        session, query, Enrollment.id, limit=limit, cursor=cursor, newest_first=True
    )
    entries = [
        TranscriptEntry(row[0], Titled(*row[1:3]), Titled(*row[3:5]), *row[5:])
        for row in page.items
    ]
    return Page(entries, page.next_cursor)
