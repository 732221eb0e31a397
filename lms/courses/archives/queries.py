"""What an archive is made of: one statement for all of a version, read as it is written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select, text
from sqlalchemy.orm import Session

from lms.core.actor import Actor
from lms.core.errors import NotFoundError
from lms.courses.models import Course, CourseVersion
from lms.courses.queries import taught_by

ROWS_AT_ONCE = 50
"""Lessons in memory: each may have `MAX_TEXT` characters."""

# One snapshot, so that a draft that is edited meanwhile is not half of each.
READ_CONTENT = text("""
    SELECT m.id AS module_id, m.lineage_id AS module_lineage_id, m.title AS module_title,
           m.summary, m.sequential,
           l.lineage_id, l.kind, l.title, l.content, l.estimated_seconds, l.required, l.preview,
           l.weight, l.completion, l.availability,
           ARRAY(SELECT json_build_object('asset_id', a.id, 'file_name', f.file_name,
                                          'kind', a.kind, 'content_type', a.content_type,
                                          'size', a.size, 'sha256', a.sha256)
                   FROM media_files f JOIN media_assets a ON a.id = f.asset_id
                  WHERE f.lesson_id = l.id
                  ORDER BY f.id) AS media
      FROM modules m
      LEFT JOIN lessons l ON l.module_id = m.id
     WHERE m.version_id = :version_id
     ORDER BY m.position, m.id, l.position, l.id
""")


@dataclass(frozen=True, slots=True)
class ExportedVersion:
    """A version to be written.

    Attributes:
        course: to which it belongs.
        version: which.
        rows: of `READ_CONTENT`; read from the database as they are asked for, and only once.
    """

    course: Course
    version: CourseVersion
    rows: Iterator[Row[Any]]


@contextmanager
def exported_version(session: Session, actor: Actor, version_id: UUID) -> Iterator[ExportedVersion]:
    """Open a version of a course that the actor teaches, in any state.

    Args:
        session: the organization's.
        actor: who asks.
        version_id: which.

    Raises:
        NotFoundError: the actor teaches no course with this version.
    """
    found = session.execute(
        select(Course, CourseVersion)
        .join(CourseVersion, CourseVersion.course_id == Course.id)
        .where(CourseVersion.id == version_id, taught_by(actor, Course.id))
    ).first()
    if found is None:
        raise NotFoundError("There is no such version for you.")
    course, version = found
    options = {"yield_per": ROWS_AT_ONCE}
    with session.execute(
        READ_CONTENT, {"version_id": version_id}, execution_options=options
    ) as rows:
        yield ExportedVersion(course, version, iter(rows))
