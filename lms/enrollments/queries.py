"""Reads of enrollments, each with who may see what in the query itself."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from lms.core.actor import Actor
from lms.core.errors import NotFoundError
from lms.core.pagination import Page, paginate
from lms.courses import run_queries
from lms.courses.models import CourseInstructor, CourseRun
from lms.enrollments.models import Enrollment, EnrollmentChange


def own_enrollments(
    session: Session,
    actor: Actor,
    *,
    run_id: UUID | None,
    state: str | None,
    limit: int,
    cursor: str | None,
) -> Page[Enrollment]:
    """Read a page of the actor's own enrollments, newest first.

    Raises:
        InvalidCursorError: the cursor is not one of this list.
    """
    query = select(Enrollment).where(Enrollment.user_id == actor.user_id)
    if run_id is not None:
        query = query.where(Enrollment.run_id == run_id)
    if state is not None:
        query = query.where(Enrollment.state == state)
    return paginate(session, query, Enrollment.id, limit=limit, cursor=cursor, newest_first=True)


def enrollment(session: Session, actor: Actor, enrollment_id: UUID) -> Enrollment:
    """Return an enrollment: the actor's own, of a run they teach, or any for an admin.

    Raises:
        NotFoundError: there is none that the actor may know of.
    """
    query = select(Enrollment).where(Enrollment.id == enrollment_id)
    if not actor.is_admin:
        taught = (
            select(CourseRun.id)
            .join(CourseInstructor, CourseInstructor.course_id == CourseRun.course_id)
            .where(CourseInstructor.user_id == actor.user_id)
        )
        query = query.where(
            or_(Enrollment.user_id == actor.user_id, Enrollment.run_id.in_(taught))
            if actor.is_staff
            else Enrollment.user_id == actor.user_id
        )
    found = session.scalars(query).one_or_none()
    if found is None:
        raise NotFoundError("There is no such enrollment.")
    return found


def own_enrollment(session: Session, actor: Actor, enrollment_id: UUID) -> Enrollment:
    """Return an enrollment of the actor's own.

    Raises:
        NotFoundError: there is none.
    """
    query = select(Enrollment).where(
        Enrollment.id == enrollment_id, Enrollment.user_id == actor.user_id
    )
    found = session.scalars(query).one_or_none()
    if found is None:
        raise NotFoundError("There is no such enrollment.")
    return found


def run_enrollments(
    session: Session,
    actor: Actor,
    run_id: UUID,
    *,
    state: str | None,
    limit: int,
    cursor: str | None,
) -> Page[Enrollment]:
    """Read a page of a run's enrollments, oldest first, for those who teach it and admins.

    Raises:
        NotFoundError: the actor teaches no course with this run.
        InvalidCursorError: the cursor is not one of this list.
    """
    run_queries.taught_run(session, actor, run_id)
    query = select(Enrollment).where(Enrollment.run_id == run_id)
    if state is not None:
        query = query.where(Enrollment.state == state)
    return paginate(session, query, Enrollment.id, limit=limit, cursor=cursor)


def changes(
    session: Session, actor: Actor, enrollment_id: UUID, *, limit: int, cursor: str | None
) -> Page[EnrollmentChange]:
    """Read a page of an enrollment's history, oldest first.

    Raises:
        NotFoundError: there is no such enrollment that the actor may know of.
        InvalidCursorError: the cursor is not one of this list.
    """
    enrollment(session, actor, enrollment_id)
    query = select(EnrollmentChange).where(EnrollmentChange.enrollment_id == enrollment_id)
    return paginate(session, query, EnrollmentChange.id, limit=limit, cursor=cursor)
