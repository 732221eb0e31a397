"""Reading two versions of a course to compare them: a fixed number of statements, however long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from lms.core.actor import Actor
from lms.core.errors import InvalidInputError, NotFoundError
from lms.courses.diffing import Changes, Magnitude, VersionDiff, diff
from lms.courses.errors import NoBaseVersionError
from lms.courses.models import CourseVersion, Lesson, MediaFile, PublishedVersion
from lms.courses.outline import unrendered_outline_of
from lms.courses.queries import load_tree, taught_version


@dataclass(frozen=True, slots=True)
class ComparedVersions:
    """Two versions and what changed from the one to the other.

    Attributes:
        base: what is compared with.
        target: what is asked about.
        modules: what happened to modules.
        lessons: what happened to lessons.
        magnitude: as in `VersionDiff`.
    """

    base: CourseVersion
    target: CourseVersion
    magnitude: Magnitude
    modules: Changes
    lessons: Changes


def compare_with_base(
    session: Session, actor: Actor, version_id: UUID, base_id: UUID | None
) -> ComparedVersions:
    """Compare a version of a course that the actor teaches with another one of the same course.

    Args:
        session: the organization's session.
        actor: who asks.
        version_id: what is asked about, in any state.
        base_id: what it is compared with, in any state; when None the version that it was copied
            from, or else the one that was published before it.

    Raises:
        NotFoundError: the actor teaches no course with this version.
        InvalidInputError: the base is not a version of this course.
        NoBaseVersionError: none is named, and none was published before.
    """
    target = taught_version(session, actor, version_id)
    base = _named_base(session, target, base_id) if base_id else _usual_base(session, target)
    found = compare_versions(session, base.id, target.id)
    return ComparedVersions(base, target, found.magnitude, found.modules, found.lessons)


def compare_versions(session: Session, base_id: UUID, target_id: UUID) -> VersionDiff:
    """Compare two versions of one course. Asks nobody's permission.

    Two statements when both are published, and four more for a draft.

    Raises:
        NotFoundError: there is no such version.
    """
    ids = (base_id, target_id)
    query = select(PublishedVersion.version_id, PublishedVersion.outline)
    rows = session.execute(query.where(PublishedVersion.version_id.in_(ids)))
    outlines: dict[UUID, dict[str, Any]] = {row.version_id: row.outline for row in rows}
    for version_id in ids:
        if version_id not in outlines:
            outlines[version_id] = _draft(session, version_id)
    files = session.execute(
        select(MediaFile.id, MediaFile.asset_id)
        .join(Lesson, Lesson.id == MediaFile.lesson_id)
        .where(Lesson.version_id.in_(ids))
    )
    assets = {str(file_id): str(asset_id) for file_id, asset_id in files}
    return diff(outlines[base_id], outlines[target_id], assets)


def _draft(session: Session, version_id: UUID) -> dict[str, Any]:
    version = session.get(CourseVersion, version_id)
    if version is None:
        raise NotFoundError("There is no such version.")
    return unrendered_outline_of(load_tree(session, version))


def _named_base(session: Session, target: CourseVersion, base_id: UUID) -> CourseVersion:
    query = select(CourseVersion).where(
        CourseVersion.id == base_id, CourseVersion.course_id == target.course_id
    )
    base = session.scalar(query)
    if base is None:
        message = "There is no version of this course with this id."
        raise InvalidInputError(message, errors=[{"pointer": "base", "message": message}])
    return base


def _usual_base(session: Session, target: CourseVersion) -> CourseVersion:
    query = (
        select(CourseVersion)
        .where(
            CourseVersion.course_id == target.course_id,
            CourseVersion.state != "draft",
            CourseVersion.number < target.number,
        )
        .order_by((CourseVersion.id == target.base_version_id).desc(), CourseVersion.number.desc())
        .limit(1)
    )
    base = session.scalar(query)
    if base is None:
        raise NoBaseVersionError(
            "No version of this course was published before this one; name another with `base`."
        )
    return base
