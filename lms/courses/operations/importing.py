"""Making a course's draft of an archive, in a fixed number of statements."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from lms.core import audit
from lms.core.actor import Actor
from lms.core.ids import new_id
from lms.courses import queries
from lms.courses.archives.format import (
    ArchivedLesson,
    ArchivedMedia,
    ArchivedModule,
    VersionArchive,
)
from lms.courses.models import CourseVersion
from lms.courses.operations.versions import insert_draft

INSERT_MODULES = text("""
    INSERT INTO modules (id, version_id, lineage_id, title, summary, sequential, position, version)
    SELECT r.id, :draft_id, r.lineage_id, r.title, r.summary, r.sequential, r.position, 1
      FROM json_to_recordset(CAST(:rows AS json))
           AS r (id uuid, lineage_id uuid, title text, summary text, sequential boolean,
                 position integer)
""")
INSERT_LESSONS = text("""
    INSERT INTO lessons (id, module_id, version_id, lineage_id, kind, title, content,
                         estimated_seconds, required, preview, weight, completion, availability,
                         position, version)
    SELECT r.id, r.module_id, :draft_id, r.lineage_id, r.kind, r.title, r.content,
           r.estimated_seconds, r.required, r.preview, r.weight, r.completion, r.availability,
           r.position, 1
      FROM json_to_recordset(CAST(:rows AS json))
           AS r (id uuid, module_id uuid, lineage_id uuid, kind text, title text, content text,
                 estimated_seconds integer, required boolean, preview boolean, weight integer,
                 completion jsonb, availability jsonb, position integer)
""")
INSERT_MEDIA_FILES = text("""
    INSERT INTO media_files (id, lesson_id, asset_id, file_name)
    SELECT r.id, r.lesson_id, r.asset_id, r.file_name
      FROM json_to_recordset(CAST(:rows AS json))
           AS r (id uuid, lesson_id uuid, asset_id uuid, file_name text)
""")
FIND_LINEAGES = text("""
    SELECT 'module' AS kind, m.lineage_id
      FROM modules m JOIN course_versions v ON v.id = m.version_id
     WHERE v.course_id = :course_id AND m.lineage_id = ANY (CAST(:modules AS uuid[]))
    UNION
    SELECT 'lesson', l.lineage_id
      FROM lessons l JOIN course_versions v ON v.id = l.version_id
     WHERE v.course_id = :course_id AND l.lineage_id = ANY (CAST(:lessons AS uuid[]))
""")
# Locked as a foreign key would, and in the order of those who delete them: an asset that is being
# deleted is waited for, and then it is not here. One whose checksum nobody told is known by its id,
# which proves nothing: whoever names it must have made it, or teach a course with it.
FIND_ASSETS = text("""
    SELECT a.id, a.sha256, a.size
      FROM media_assets a
     WHERE a.state = 'ready'
       AND (a.sha256 = ANY (CAST(:checksums AS text[]))
            OR a.sha256 IS NULL AND a.id = ANY (CAST(:ids AS uuid[]))
               AND (CAST(:is_admin AS boolean) OR a.created_by = CAST(:user_id AS uuid)
                    OR EXISTS (SELECT FROM media_files f
                                 JOIN lessons l ON l.id = f.lesson_id
                                 JOIN course_versions v ON v.id = l.version_id
                                 JOIN course_instructors i ON i.course_id = v.course_id
                                WHERE f.asset_id = a.id AND i.user_id = CAST(:user_id AS uuid))))
     ORDER BY a.id
       FOR KEY SHARE
""")


@dataclass(frozen=True, slots=True)
class MissingMedia:
    """A file of the archive whose bytes the organization does not have.

    Attributes:
        lesson_id: the draft's lesson that lacks it.
        lesson_title: that lesson's title.
        file_name: the name under which learners download it.
        kind: of content.
        content_type: media type.
        size: bytes.
        sha256: of the bytes, in hex; None when it was never told.
    """

    lesson_id: UUID
    lesson_title: str
    file_name: str
    kind: str
    content_type: str
    size: int
    sha256: str | None


@dataclass(frozen=True, slots=True)
class ImportedVersion:
    """A draft that was made of an archive, and the files that it still lacks."""

    draft: CourseVersion
    missing_media: Sequence[MissingMedia]

    @property
    def version(self) -> int:
        """The draft's, for its ETag."""
        return self.draft.version


@dataclass(frozen=True, slots=True)
class _Placed:
    """A lesson of the archive with its row in the draft."""

    row: dict[str, Any]
    lesson: ArchivedLesson


def import_version(
    session: Session, actor: Actor, course_id: UUID, archive: VersionArchive
) -> ImportedVersion:
    """Make the course's draft with the content of an archive.

    A module or lesson keeps its lineage when the course has it, so that the draft can be compared
    and learners can be upgraded to it; else it begins a new one. Files whose bytes the organization
    has are shared; the others are left out and told.

    Args:
        session: the organization's session.
        actor: who teaches the course, or an admin.
        course_id: which course.
        archive: what; read by `lms.courses.archives.reading`.

    Raises:
        NotFoundError: the actor teaches no such course.
        DraftExistsError: the course has a draft; publish it or edit it.
    """
    queries.taught_course(session, actor, course_id, hold=True)
    draft = insert_draft(
        session, course_id, label=archive.label, base_id=_base_of(session, course_id, archive)
    )
    modules, lessons = _rows(archive, _Lineages(session, course_id, archive))
    files, missing = _media(lessons, _Assets(session, actor, lessons))
    for statement, rows in (
        (INSERT_MODULES, modules),
        (INSERT_LESSONS, [one.row for one in lessons]),
        (INSERT_MEDIA_FILES, files),
    ):
        session.execute(statement, {"draft_id": draft.id, "rows": orjson.dumps(rows).decode()})
    audit.record(
        session,
        "course_version.import",
        ("course_version", draft.id),
        actor_id=actor.user_id,
        after={
            "number": draft.number,
            "archived_version_id": str(archive.version_id),
            "base_version_id": draft.base_version_id and str(draft.base_version_id),
            "missing_media": len(missing),
        },
    )
    return ImportedVersion(draft, missing)


def _base_of(session: Session, course_id: UUID, archive: VersionArchive) -> UUID | None:
    """Return the version that the archive was made of, when it is a frozen one of this course."""
    return session.scalar(
        select(CourseVersion.id).where(
            CourseVersion.id == archive.version_id,
            CourseVersion.course_id == course_id,
            CourseVersion.state != "draft",
        )
    )


class _Lineages:
    """Which of an archive's lineages are the course's own."""

    def __init__(self, session: Session, course_id: UUID, archive: VersionArchive) -> None:
        lessons = [lesson for module in archive.modules for lesson in module.lessons]
        found = session.execute(
            FIND_LINEAGES,
            {
                "course_id": course_id,
                "modules": [one.lineage_id for one in archive.modules if one.lineage_id],
                "lessons": [one.lineage_id for one in lessons if one.lineage_id],
            },
        )
        self._known: set[tuple[str, UUID]] = {(kind, lineage_id) for kind, lineage_id in found}

    def of_module(self, module: ArchivedModule, key: UUID) -> UUID:
        """Return the lineage of a module that gets this id in the draft."""
        lineage_id = module.lineage_id
        return lineage_id if lineage_id and ("module", lineage_id) in self._known else key

    def of_lesson(self, lesson: ArchivedLesson, key: UUID) -> UUID:
        """Return the lineage of a lesson that gets this id in the draft."""
        lineage_id = lesson.lineage_id
        return lineage_id if lineage_id and ("lesson", lineage_id) in self._known else key


class _Assets:
    """The organization's bytes that are those of an archive's files, and that the actor may have.

    Who tells the checksum of bytes has them, and may share them wherever they are used.
    """

    def __init__(self, session: Session, actor: Actor, lessons: Sequence[_Placed]) -> None:
        files = [file for one in lessons for file in one.lesson.media]
        found = session.execute(
            FIND_ASSETS,
            {
                "checksums": list({file.sha256 for file in files if file.sha256}),
                "ids": list({file.asset_id for file in files if file.asset_id}),
                "is_admin": actor.is_admin,
                "user_id": actor.user_id,
            },
        )
        self._by_bytes: dict[tuple[str | None, int], list[UUID]] = {}
        for asset_id, sha256, size in found:
            self._by_bytes.setdefault((sha256, size), []).append(asset_id)

    def of(self, file: ArchivedMedia) -> UUID | None:
        """Return the asset to share: the very one, else the oldest with these bytes, else None."""
        candidates = self._by_bytes.get((file.sha256, file.size), [])
        if file.asset_id in candidates:
            return file.asset_id
        return candidates[0] if candidates and file.sha256 is not None else None


def _rows(
    archive: VersionArchive, lineages: _Lineages
) -> tuple[list[dict[str, Any]], list[_Placed]]:
    modules: list[dict[str, Any]] = []
    lessons: list[_Placed] = []
    for position, module in enumerate(archive.modules, start=1):
        module_id = new_id()
        modules.append(
            {
                "id": module_id,
                "lineage_id": lineages.of_module(module, module_id),
                "title": module.title,
                "summary": module.summary,
                "sequential": module.sequential,
                "position": position,
            }
        )
        lessons += _lessons(module, module_id, lineages)
    return modules, lessons


def _lessons(module: ArchivedModule, module_id: UUID, lineages: _Lineages) -> Iterator[_Placed]:
    for position, lesson in enumerate(module.lessons, start=1):
        lesson_id = new_id()
        row = {
            **lesson.values,
            "id": lesson_id,
            "module_id": module_id,
            "lineage_id": lineages.of_lesson(lesson, lesson_id),
            "position": position,
        }
        yield _Placed(row, lesson)


def _media(
    lessons: Sequence[_Placed], assets: _Assets
) -> tuple[list[dict[str, Any]], list[MissingMedia]]:
    files: list[dict[str, Any]] = []
    missing: list[MissingMedia] = []
    for one in lessons:
        lesson_id = one.row["id"]
        for file in one.lesson.media:
            asset_id = assets.of(file)
            if asset_id is not None:
                files.append(
                    {
                        "id": new_id(),
                        "lesson_id": lesson_id,
                        "asset_id": asset_id,
                        "file_name": file.file_name,
                    }
                )
                continue
            missing.append(
                MissingMedia(
                    lesson_id=lesson_id,
                    lesson_title=one.row["title"],
                    file_name=file.file_name,
                    kind=file.kind,
                    content_type=file.content_type,
                    size=file.size,
                    sha256=file.sha256,
                )
            )
    return files, missing
