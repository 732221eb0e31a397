"""Duplicating a module or lesson within its draft: a new one, right behind the original.

Ids and lineages are new, because a duplicate is another lesson: nobody's progress belongs to it.
Files are copied by reference: the bytes, the video and its renditions hang on the shared asset.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from lms.core.actor import Actor
from lms.core.errors import NotFoundError
from lms.core.ids import new_id
from lms.courses import policy
from lms.courses.models import Lesson, MediaFile, Module
from lms.courses.operations.drafts import bump_draft
from lms.courses.queries import taught_lesson, taught_module

# What moves up gets a new ETag: its position is part of what clients read.
MAKE_ROOM_FOR_MODULE = text("""
    UPDATE modules m SET position = m.position + 1, version = m.version + 1
      FROM modules o
     WHERE o.id = :original_id AND m.version_id = o.version_id AND m.position > o.position
""")
MAKE_ROOM_FOR_LESSON = text("""
    UPDATE lessons l SET position = l.position + 1, version = l.version + 1
      FROM lessons o
     WHERE o.id = :original_id AND l.module_id = o.module_id AND l.position > o.position
""")
COPY_MODULE = text("""
    INSERT INTO modules (id, version_id, lineage_id, title, summary, sequential, position, version)
    SELECT CAST(:new_id AS uuid), o.version_id, CAST(:new_id AS uuid), o.title, o.summary,
           o.sequential, o.position + 1, 1
      FROM modules o
     WHERE o.id = :original_id
""")
COPY_LESSONS = text("""
    INSERT INTO lessons (id, module_id, version_id, lineage_id, kind, title, content,
                         estimated_seconds, required, preview, weight, completion, availability,
                         position, version)
    SELECT c.new, COALESCE(CAST(:module_id AS uuid), o.module_id), o.version_id, c.new, o.kind,
           o.title, o.content, o.estimated_seconds, o.required, o.preview, o.weight, o.completion,
           o.availability, o.position + :shift, 1
      FROM unnest(CAST(:old AS uuid[]), CAST(:new AS uuid[])) AS c (old, new)
      JOIN lessons o ON o.id = c.old
""")
COPY_MEDIA_FILES = text("""
    INSERT INTO media_files (id, lesson_id, asset_id, file_name)
    SELECT f.new, l.new, o.asset_id, o.file_name
      FROM unnest(CAST(:old AS uuid[]), CAST(:new AS uuid[])) AS f (old, new)
      JOIN media_files o ON o.id = f.old
      JOIN unnest(CAST(:old_lessons AS uuid[]), CAST(:new_lessons AS uuid[])) AS l (old, new)
        ON l.old = o.lesson_id
""")


def duplicate_module(session: Session, actor: Actor, module_id: UUID) -> Module:
    """Duplicate a draft's module with its lessons and their files.

    A fixed number of statements, whatever is in it.

    Args:
        session: the organization's session.
        actor: who teaches the course, or an admin.
        module_id: the original.

    Returns:
        The duplicate.

    Raises:
        NotFoundError: the actor teaches no course with this module.
        VersionPublishedError: its version is frozen.
        VersionFullError: the version would have too many modules or lessons.
    """
    version_id = taught_module(session, actor, module_id).version_id
    bump_draft(session, actor, version_id)
    # What is in it may have changed, and it may be gone, while this waited for the draft.
    lesson_ids = session.scalars(
        select(Lesson.id).where(Lesson.module_id == module_id).order_by(Lesson.id)
    ).all()
    modules, lessons, present = session.execute(
        select(
            select(func.count()).where(Module.version_id == version_id).scalar_subquery(),
            select(func.count()).where(Lesson.version_id == version_id).scalar_subquery(),
            select(func.count()).where(Module.id == module_id).scalar_subquery(),
        )
    ).one()
    if not present:
        raise NotFoundError("There is no such module for you.")
    policy.check_room_for_modules(modules + 1)
    policy.check_room_for_lessons(lessons + len(lesson_ids))
    key = new_id()
    session.execute(MAKE_ROOM_FOR_MODULE, {"original_id": module_id})
    session.execute(COPY_MODULE, {"original_id": module_id, "new_id": key})
    _copy_lessons(session, lesson_ids, [new_id() for _ in lesson_ids], into=key)
    return session.get_one(Module, key)


def duplicate_lesson(session: Session, actor: Actor, lesson_id: UUID) -> Lesson:
    """Duplicate a draft's lesson with its files.

    Args:
        session: the organization's session.
        actor: who teaches the course, or an admin.
        lesson_id: the original.

    Returns:
        The duplicate.

    Raises:
        NotFoundError: the actor teaches no course with this lesson.
        VersionPublishedError: its version is frozen.
        VersionFullError: it has `policy.MAX_LESSONS` already.
    """
    version_id = taught_lesson(session, actor, lesson_id).version_id
    bump_draft(session, actor, version_id)
    # It may have been deleted while this waited for the draft.
    lessons, present = session.execute(
        select(
            select(func.count()).where(Lesson.version_id == version_id).scalar_subquery(),
            select(func.count()).where(Lesson.id == lesson_id).scalar_subquery(),
        )
    ).one()
    if not present:
        raise NotFoundError("There is no such lesson for you.")
    policy.check_room_for_lessons(lessons + 1)
    key = new_id()
    session.execute(MAKE_ROOM_FOR_LESSON, {"original_id": lesson_id})
    _copy_lessons(session, [lesson_id], [key], into=None)
    return session.get_one(Lesson, key)


def _copy_lessons(
    session: Session, old: Sequence[UUID], new: Sequence[UUID], *, into: UUID | None
) -> None:
    """Copy lessons with their files: to their places in another module, else behind themselves."""
    files = session.scalars(
        select(MediaFile.id).where(MediaFile.lesson_id.in_(old)).order_by(MediaFile.id)
    ).all()
    session.execute(
        COPY_LESSONS,
        {"module_id": into, "old": list(old), "new": list(new), "shift": 0 if into else 1},
    )
    session.execute(
        COPY_MEDIA_FILES,
        {
            "old": list(files),
            "new": [new_id() for _ in files],
            "old_lessons": list(old),
            "new_lessons": list(new),
        },
    )
