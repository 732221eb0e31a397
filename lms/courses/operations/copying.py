"""Copying the content of one version into another, in a handful of statements.

Ids are made here (UUIDv7, in the order of the originals) and handed over as arrays, because
PostgreSQL makes none of that kind before version 18. Assets are shared: nothing is uploaded or
transcoded again.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from lms.core.ids import new_id
from lms.courses.models import Lesson, MediaFile, Module

COPY_MODULES = text("""
    INSERT INTO modules (id, version_id, lineage_id, title, summary, sequential, position, version)
    SELECT c.new, :target_id, m.lineage_id, m.title, m.summary, m.sequential, m.position, 1
      FROM unnest(CAST(:old AS uuid[]), CAST(:new AS uuid[])) AS c (old, new)
      JOIN modules m ON m.id = c.old
""")
COPY_LESSONS = text("""
    INSERT INTO lessons (id, module_id, version_id, lineage_id, kind, title, content,
                         estimated_seconds, required, preview, weight, completion, availability,
                         position, version)
    SELECT c.new, t.id, :target_id, l.lineage_id, l.kind, l.title, l.content,
           l.estimated_seconds, l.required, l.preview, l.weight, l.completion, l.availability,
           l.position, 1
      FROM unnest(CAST(:old AS uuid[]), CAST(:new AS uuid[])) AS c (old, new)
      JOIN lessons l ON l.id = c.old
      JOIN modules s ON s.id = l.module_id
      JOIN modules t ON t.version_id = :target_id AND t.lineage_id = s.lineage_id
""")
COPY_MEDIA_FILES = text("""
    INSERT INTO media_files (id, lesson_id, asset_id, file_name)
    SELECT c.new, t.id, f.asset_id, f.file_name
      FROM unnest(CAST(:old AS uuid[]), CAST(:new AS uuid[])) AS c (old, new)
      JOIN media_files f ON f.id = c.old
      JOIN lessons s ON s.id = f.lesson_id
      JOIN lessons t ON t.version_id = :target_id AND t.lineage_id = s.lineage_id
""")


def copy_content(session: Session, source_id: UUID, target_id: UUID) -> None:
    """Copy modules, lessons and media files of a frozen version into an empty draft.

    Three reads of ids and three inserts, whatever the size. Lineage ids stay the same.

    Args:
        session: the organization's session.
        source_id: the version to copy; published or archived, so it stands still.
        target_id: the draft.
    """
    modules = session.scalars(
        select(Module.id).where(Module.version_id == source_id).order_by(Module.id)
    ).all()
    lessons = session.scalars(
        select(Lesson.id).where(Lesson.version_id == source_id).order_by(Lesson.id)
    ).all()
    files = session.scalars(
        select(MediaFile.id)
        .join(Lesson, Lesson.id == MediaFile.lesson_id)
        .where(Lesson.version_id == source_id)
        .order_by(MediaFile.id)
    ).all()
    session.execute(COPY_MODULES, _pairs(modules, target_id))
    session.execute(COPY_LESSONS, _pairs(lessons, target_id))
    session.execute(COPY_MEDIA_FILES, _pairs(files, target_id))


def _pairs(old: Sequence[UUID], target_id: UUID) -> dict[str, object]:
    return {"old": list(old), "new": [new_id() for _ in old], "target_id": target_id}
