"""Making, editing and deleting courses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from lms.core import audit
from lms.core.actor import Actor
from lms.core.errors import InvalidInputError
from lms.core.ids import new_id
from lms.core.versions import check_version
from lms.courses import policy, queries
from lms.courses.errors import CourseInUseError
from lms.courses.instructor_queries import active_instructor_name
from lms.courses.models import Course, CourseInstructor, CourseRun, CourseVersion, PublishedVersion
from lms.courses.operations.changes import apply_changes
from lms.courses.operations.unused import assets_where, delete_unused
from lms.courses.queries import CourseView


def create_course(
    session: Session,
    actor: Actor,
    *,
    title: str,
    summary: str,
    language: str,
    instructor_id: UUID | None,
) -> CourseView:
    """Make a course; its instructor teaches it from the start.

    Args:
        session: the organization's session.
        actor: instructor or admin.
        title: as learners see it.
        summary: a few sentences for the catalog.
        language: BCP 47 tag.
        instructor_id: whose course it becomes; the actor's when None. Only admins name others.

    Raises:
        ForbiddenError: an instructor names someone else.
        InvalidInputError: whom an admin names is not an active instructor or admin.
    """
    owner_id = policy.choose_instructor(actor, instructor_id)
    name = active_instructor_name(session, owner_id)
    if name is None:
        message = "There is no active instructor with this id."
        raise InvalidInputError(message, errors=[{"pointer": "/instructor_id", "message": message}])
    course = Course(
        id=new_id(), instructor_id=owner_id, title=title, summary=summary, language=language
    )
    session.add(course)
    session.flush()
    session.add(CourseInstructor(course_id=course.id, user_id=owner_id))
    audit.record(
        session,
        "course.create",
        ("course", course.id),
        actor_id=actor.user_id,
        after={"title": title, "instructor_id": str(owner_id)},
    )
    return CourseView.of(course, name)


def update_course(
    session: Session,
    actor: Actor,
    course_id: UUID,
    changes: Mapping[str, Any],
    *,
    expected: int | None,
) -> CourseView:
    """Change a course's title, summary or language.

    Args:
        session: the organization's session.
        actor: who teaches it, or an admin.
        course_id: which.
        changes: the members to change.
        expected: version the client read, or None.

    Raises:
        NotFoundError: the actor teaches no such course.
        StaleVersionError: it changed since.
    """
    course = queries.taught_course(session, actor, course_id)
    check_version(course, expected)
    before, after = apply_changes(course, changes)
    if after:
        session.flush()
        audit.record(
            session,
            "course.update",
            ("course", course.id),
            actor_id=actor.user_id,
            before=before,
            after=after,
        )
    return queries.course_view(session, course)


def delete_course(
    session: Session, actor: Actor, course_id: UUID, *, expected: int | None
) -> list[str]:
    """Delete a course that was never published, with its draft.

    Args:
        session: the organization's session.
        actor: who teaches it, or an admin.
        course_id: which.
        expected: version the client read, or None.

    Returns:
        Keys of bytes that nobody refers to any more, to be removed after the commit.

    Raises:
        NotFoundError: the actor teaches no such course.
        StaleVersionError: it changed since.
        CourseInUseError: runs or published versions hold it.
    """
    course = queries.taught_course(session, actor, course_id)
    check_version(course, expected)
    # Alone with the draft, so that no file is added that would be left behind.
    session.execute(
        select(CourseVersion.id)
        .where(CourseVersion.course_id == course_id)
        .order_by(CourseVersion.id)
        .with_for_update(key_share=True)
    )
    _refuse_when_held(session, course_id)
    asset_ids = assets_where(session, CourseVersion.course_id == course_id)
    before = {"title": course.title}
    try:
        session.delete(course)
        session.flush()
    except IntegrityError as error:
        raise CourseInUseError(
            "A version was published or a run scheduled just now; it holds the course."
        ) from error
    audit.record(
        session,
        "course.delete",
        ("course", course_id),
        actor_id=actor.user_id,
        before=before,
    )
    return delete_unused(session, asset_ids)


def _refuse_when_held(session: Session, course_id: UUID) -> None:
    runs, published = session.execute(
        select(
            select(func.count()).where(CourseRun.course_id == course_id).scalar_subquery(),
            select(func.count()).where(PublishedVersion.course_id == course_id).scalar_subquery(),
        )
    ).one()
    if runs or published:
        raise CourseInUseError(
            f"Runs ({runs}) and published versions ({published}) hold this course.",
            runs=runs,
            published_versions=published,
        )
