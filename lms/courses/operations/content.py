"""Writing modules and lessons of a draft, and their order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from lms.core.actor import Actor
from lms.core.errors import NotFoundError
from lms.core.ids import new_id
from lms.core.versions import check_version
from lms.courses import policy
from lms.courses.models import Lesson, Module
from lms.courses.operations.changes import apply_changes
from lms.courses.operations.drafts import bump_draft, hold_lesson, hold_module
from lms.courses.operations.unused import assets_where, delete_unused
from lms.courses.queries import taught_lesson, taught_module


def create_module(
    session: Session,
    actor: Actor,
    version_id: UUID,
    *,
    title: str,
    summary: str,
    sequential: bool = False,
) -> Module:
    """Append a module to a draft.

    Args:
        session: the organization's session.
        actor: who teaches the course, or an admin.
        version_id: the draft.
        title: as learners see it.
        summary: what the module is about.
        sequential: each lesson opens once the required ones before it are done.

    Raises:
        NotFoundError: the actor teaches no course with this version.
        VersionPublishedError: it is frozen.
        VersionFullError: it has `policy.MAX_MODULES` already.
    """
    bump_draft(session, actor, version_id)
    count, last = session.execute(
        select(func.count(), func.max(Module.position)).where(Module.version_id == version_id)
    ).one()
    policy.check_room_for_modules(count + 1)
    key = new_id()
    module = Module(
        id=key,
        version_id=version_id,
        lineage_id=key,
        title=title,
        summary=summary,
        sequential=sequential,
        position=(last or 0) + 1,
    )
    session.add(module)
    session.flush()
    return module


def update_module(
    session: Session,
    actor: Actor,
    module_id: UUID,
    changes: Mapping[str, Any],
    *,
    expected: int | None,
) -> Module:
    """Change a draft's module.

    Args:
        session: the organization's session.
        actor: who teaches the course, or an admin.
        module_id: which.
        changes: `title`, `summary`, `sequential`; those to change.
        expected: version the client read; None means any.

    Raises:
        NotFoundError: the actor teaches no course with this module.
        VersionPublishedError: its version is frozen.
        StaleVersionError: it changed since.
    """
    module = hold_module(session, actor, module_id)
    check_version(module, expected)
    apply_changes(module, changes)
    session.flush()
    return module


def delete_module(
    session: Session, actor: Actor, module_id: UUID, *, expected: int | None
) -> list[str]:
    """Delete a draft's module with its lessons; refusals as of `update_module`.

    Returns:
        Keys of bytes that nobody refers to any more, to be removed after the commit.
    """
    module = taught_module(session, actor, module_id)
    bump_draft(session, actor, module.version_id)
    check_version(module, expected)
    asset_ids = assets_where(session, Lesson.module_id == module_id)
    session.delete(module)
    session.flush()
    return delete_unused(session, asset_ids)


def create_lesson(
    session: Session, actor: Actor, module_id: UUID, values: Mapping[str, Any]
) -> Lesson:
    """Append a lesson to a draft's module.

    Args:
        session: the organization's session.
        actor: who teaches the course, or an admin.
        module_id: where.
        values: all of a lesson's members; `completion` None means the kind's default.

    Raises:
        NotFoundError: the actor teaches no course with this module.
        VersionPublishedError: its version is frozen.
        VersionFullError: it has `policy.MAX_LESSONS` already.
        InvalidInputError: the completion rule does not fit the kind.
    """
    version_id = taught_module(session, actor, module_id).version_id
    bump_draft(session, actor, version_id)
    # The module may have been deleted while this waited for the draft.
    row = session.execute(
        select(
            select(func.count()).where(Lesson.version_id == version_id).scalar_subquery(),
            select(func.max(Lesson.position))
            .where(Lesson.module_id == module_id)
            .scalar_subquery(),
        ).where(Module.id == module_id)
    ).first()
    if row is None:
        raise NotFoundError("There is no such module for you.")
    count, last = row
    policy.check_room_for_lessons(count + 1)
    key = new_id()
    lesson = Lesson(
        id=key,
        module_id=module_id,
        version_id=version_id,
        lineage_id=key,
        position=(last or 0) + 1,
        **_lesson_values(values),
    )
    session.add(lesson)
    session.flush()
    return lesson


def replace_lesson(
    session: Session,
    actor: Actor,
    lesson_id: UUID,
    values: Mapping[str, Any],
    *,
    expected: int | None,
) -> Lesson:
    """Replace all of a draft's lesson; its place, id and lineage stay.

    Args:
        session: the organization's session.
        actor: who teaches the course, or an admin.
        lesson_id: which.
        values: all of a lesson's members; `completion` None means the kind's default.
        expected: version the client read; None means any.

    Raises:
        NotFoundError: the actor teaches no course with this lesson.
        VersionPublishedError: its version is frozen.
        StaleVersionError: it changed since.
        InvalidInputError: the completion rule does not fit the kind.
    """
    lesson = hold_lesson(session, actor, lesson_id)
    check_version(lesson, expected)
    apply_changes(lesson, _lesson_values(values))
    session.flush()
    return lesson


def update_lesson(
    session: Session,
    actor: Actor,
    lesson_id: UUID,
    changes: Mapping[str, Any],
    *,
    expected: int | None,
) -> Lesson:
    """Change some of a draft's lesson.

    Args:
        session: the organization's session.
        actor: who teaches the course, or an admin.
        lesson_id: which.
        changes: the members to change.
        expected: version the client read; None means any.

    Raises:
        NotFoundError: the actor teaches no course with this lesson.
        VersionPublishedError: its version is frozen.
        StaleVersionError: it changed since.
        InvalidInputError: the completion rule does not fit the kind.
    """
    lesson = hold_lesson(session, actor, lesson_id)
    check_version(lesson, expected)
    together = {"kind": lesson.kind, "completion": lesson.completion, **changes}
    apply_changes(lesson, _lesson_values(together))
    session.flush()
    return lesson


def delete_lesson(
    session: Session, actor: Actor, lesson_id: UUID, *, expected: int | None
) -> list[str]:
    """Delete a draft's lesson with its media files; refusals as of `update_lesson`.

    Returns:
        Keys of bytes that nobody refers to any more, to be removed after the commit.
    """
    lesson = taught_lesson(session, actor, lesson_id)
    bump_draft(session, actor, lesson.version_id)
    check_version(lesson, expected)
    asset_ids = assets_where(session, Lesson.id == lesson_id)
    session.delete(lesson)
    session.flush()
    return delete_unused(session, asset_ids)


def _lesson_values(values: Mapping[str, Any]) -> dict[str, Any]:
    completion = policy.completion_for(values["kind"], values["completion"])
    return {**values, "completion": completion}
