"""Holding a draft still while its content is written, so that nothing slips into a published one.

Every write of content locks the course version's row first. Edits of one module or lesson share
the lock; adding, removing and ordering count the version up (the ETag of its order) and publishing
changes its state, each alone. None of these locks conflicts with what foreign keys take.
"""

from __future__ import annotations

from typing import NoReturn
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from lms.core.actor import Actor
from lms.core.errors import NotFoundError, StaleVersionError
from lms.core.versions import check_version
from lms.courses.errors import VersionPublishedError
from lms.courses.models import CourseVersion, Lesson, Module
from lms.courses.queries import taught_by, taught_version


def hold_lesson(session: Session, actor: Actor, lesson_id: UUID) -> Lesson:
    """Return a lesson of a draft that stays a draft until this transaction ends.

    Args:
        session: the organization's session.
        actor: who teaches the course, or an admin.
        lesson_id: which.

    Raises:
        NotFoundError: the actor teaches no course with this lesson.
        VersionPublishedError: its version is frozen.
    """
    row = session.execute(
        select(Lesson, CourseVersion.state)
        .join(CourseVersion, CourseVersion.id == Lesson.version_id)
        .where(Lesson.id == lesson_id, taught_by(actor, CourseVersion.course_id))
        .with_for_update(read=True, of=CourseVersion)
    ).first()
    if row is None:
        raise NotFoundError("There is no such lesson for you.")
    lesson, state = row
    _refuse_frozen(state, lesson.version_id)
    return lesson


def hold_module(session: Session, actor: Actor, module_id: UUID) -> Module:
    """Return a module of a draft that stays a draft until this transaction ends.

    Args:
        session: the organization's session.
        actor: who teaches the course, or an admin.
        module_id: which.

    Raises:
        NotFoundError: the actor teaches no course with this module.
        VersionPublishedError: its version is frozen.
    """
    row = session.execute(
        select(Module, CourseVersion.state)
        .join(CourseVersion, CourseVersion.id == Module.version_id)
        .where(Module.id == module_id, taught_by(actor, CourseVersion.course_id))
        .with_for_update(read=True, of=CourseVersion)
    ).first()
    if row is None:
        raise NotFoundError("There is no such module for you.")
    module, state = row
    _refuse_frozen(state, module.version_id)
    return module


def bump_draft(
    session: Session, actor: Actor, version_id: UUID, *, expected: int | None = None
) -> int:
    """Count a draft's version up, alone until this transaction ends.

    Args:
        session: the organization's session.
        actor: who teaches the course, or an admin.
        version_id: the course version.
        expected: the version that the client read, or None for any.

    Returns:
        The course version's new version, for its ETag.

    Raises:
        NotFoundError: the actor teaches no course with this version.
        VersionPublishedError: it is frozen.
        StaleVersionError: its modules and lessons were added, removed or ordered since.
    """
    statement = (
        update(CourseVersion)
        .where(
            CourseVersion.id == version_id,
            CourseVersion.state == "draft",
            taught_by(actor, CourseVersion.course_id),
        )
        .values(version=CourseVersion.version + 1)
        .returning(CourseVersion.version)
        .execution_options(synchronize_session=False)
    )
    if expected is not None:
        statement = statement.where(CourseVersion.version == expected)
    bumped = session.scalar(statement)
    if bumped is None:
        _explain(session, actor, version_id, expected)
    return bumped


def _explain(session: Session, actor: Actor, version_id: UUID, expected: int | None) -> NoReturn:
    version = taught_version(session, actor, version_id)
    _refuse_frozen(version.state, version_id)
    check_version(version, expected)
    raise StaleVersionError("It was changed meanwhile; read it again and repeat.")


def _refuse_frozen(state: str, version_id: UUID) -> None:
    if state != "draft":
        raise VersionPublishedError(
            f"This version is {state}, so its content is frozen; make a new draft of it.",
            state=state,
            version_id=str(version_id),
        )
