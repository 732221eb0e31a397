"""Reads of who teaches a course."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from lms.core.actor import Actor
from lms.core.pagination import Page, paginate_rows
from lms.courses.models import Course, CourseInstructor
from lms.courses.queries import taught_course
from lms.users.models import User


@dataclass(frozen=True, slots=True)
class CourseInstructorView:
    """One who teaches a course."""

    id: UUID
    name: str
    is_owner: bool


def active_instructor_name(session: Session, user_id: UUID) -> str | None:
    """Return the name of an instructor or admin who may sign in; None when there is none."""
    return session.scalar(
        select(User.name).where(
            User.id == user_id,
            User.account_type.in_(("instructor", "admin")),
            User.deactivated_at.is_(None),
        )
    )


def list_instructors(
    session: Session, actor: Actor, course_id: UUID, *, limit: int, cursor: str | None
) -> Page[CourseInstructorView]:
    """Return one page of those who own or co-teach a course, longest accounts first.

    Raises:
        NotFoundError: the actor teaches no such course.
    """
    taught_course(session, actor, course_id)
    query = (
        select(CourseInstructor.user_id, User.name, Course.instructor_id == User.id)
        .join(User, User.id == CourseInstructor.user_id)
        .join(Course, Course.id == CourseInstructor.course_id)
        .where(CourseInstructor.course_id == course_id)
    )
    page = paginate_rows(session, query, CourseInstructor.user_id, limit=limit, cursor=cursor)
    return Page([CourseInstructorView(*row) for row in page.items], page.next_cursor)
