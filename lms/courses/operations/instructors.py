"""Who teaches a course beside its owner: they may edit and run it, from that moment on."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from lms.core import audit
from lms.core.actor import Actor
from lms.courses import policy, queries
from lms.courses.errors import InstructorNotFoundError, OwnerNotRemovableError
from lms.courses.instructor_queries import CourseInstructorView, active_instructor_name
from lms.courses.models import Course, CourseInstructor


def add_instructor(
    session: Session, actor: Actor, course_id: UUID, user_id: UUID
) -> CourseInstructorView:
    """Let somebody teach a course. Repeating changes nothing.

    Args:
        session: the organization's session.
        actor: the course's owner, or an admin.
        course_id: which course.
        user_id: an active instructor or admin.

    Raises:
        NotFoundError: the actor teaches no such course.
        NotCourseOwnerError: the actor only co-teaches it.
        InstructorNotFoundError: there is no active instructor or admin with this id.
    """
    course = _held_course(session, actor, course_id)
    name = active_instructor_name(session, user_id)
    if name is None:
        raise InstructorNotFoundError("There is no active instructor with this id.")
    added = session.scalar(
        insert(CourseInstructor)
        .values(course_id=course_id, user_id=user_id)
        .on_conflict_do_nothing()
        .returning(CourseInstructor.user_id)
    )
    if added is not None:
        audit.record(
            session,
            "course.add_instructor",
            ("course", course_id),
            actor_id=actor.user_id,
            after={"instructor_id": str(user_id)},
        )
    return CourseInstructorView(user_id, name, course.instructor_id == user_id)


def remove_instructor(session: Session, actor: Actor, course_id: UUID, user_id: UUID) -> None:
    """Let a co-instructor teach a course no more; the course is gone for them at once.

    Args:
        session: the organization's session.
        actor: the course's owner, or an admin.
        course_id: which course.
        user_id: who co-teaches it.

    Raises:
        NotFoundError: the actor teaches no such course.
        NotCourseOwnerError: the actor only co-teaches it.
        OwnerNotRemovableError: it is the owner's course.
        InstructorNotFoundError: this user does not teach it.
    """
    course = _held_course(session, actor, course_id)
    if course.instructor_id == user_id:
        raise OwnerNotRemovableError("The course belongs to this instructor.")
    removed = session.scalar(
        delete(CourseInstructor)
        .where(CourseInstructor.course_id == course_id, CourseInstructor.user_id == user_id)
        .returning(CourseInstructor.user_id)
    )
    if removed is None:
        raise InstructorNotFoundError("This user does not teach the course.")
    audit.record(
        session,
        "course.remove_instructor",
        ("course", course_id),
        actor_id=actor.user_id,
        before={"instructor_id": str(user_id)},
    )


def _held_course(session: Session, actor: Actor, course_id: UUID) -> Course:
    course = queries.taught_course(session, actor, course_id, hold=True)
    policy.check_owner(actor, course.instructor_id)
    return course
