"""Who may see which content: what an enrollment opens, what staff teach, what is a preview.

Learners' access is asked of the frozen outlines, never of the tables that drafts are edited in.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Row,
    Text,
    Uuid,
    bindparam,
    case,
    column,
    func,
    literal_column,
    select,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session, aliased

from lms.core.actor import Actor
from lms.core.errors import NotFoundError
from lms.courses.models import CourseRun, CourseVersion, MediaFile, PublishedVersion
from lms.courses.queries import taught_by
from lms.enrollments.models import Enrollment
from lms.learning.errors import AccessEndedError, EnrollmentHasNoAccessError
from lms.learning.locks import LOCK, LOCK_COLUMNS, require_open
from lms.media.models import MediaAsset

OPENING_STATES = ("active", "completed")
"""States of an enrollment that open its content, until access to its run ends."""

ACCESS_ENDS_AT = func.coalesce(Enrollment.access_ends_at, CourseRun.access_ends_at)
"""Until when an enrollment opens the content of its run; NULL is for ever."""

ACCESS_ENDED_AT: ColumnElement[datetime | None] = case(
    (func.now() >= ACCESS_ENDS_AT, ACCESS_ENDS_AT)
)
"""When access ended, by PostgreSQL's clock; NULL while it has not."""

LESSON_WITH = """
    SELECT n.lineage_id::uuid AS lineage_id, p.rules -> 'lessons' -> n.lineage_id AS rule
      FROM jsonb_path_query(
               p.outline, '$.modules[*].lessons[*] ? (@.media[*].{member} == ${member})',
               jsonb_build_object('{member}', CAST(:{member} AS uuid))) AS q (lesson)
     CROSS JOIN LATERAL (SELECT q.lesson ->> 'lineage_id' AS lineage_id OFFSET 0) n
    OFFSET 0
"""
"""Body of a LATERAL beside `p`, a published version: its lessons with a medium."""

FIND_VIDEO = text(
    f"""
    SELECT v.id, v.state, v.duration_seconds, v.width, v.height, v.poster_key,
           e.state AS enrollment_state, e.access_ended_at,
           e.lock_reason, e.available_at, e.open_lessons,
           u.account_type = 'admin'
           OR (u.account_type = 'instructor' AND EXISTS (
                 SELECT FROM media_files f
                   JOIN lessons l ON l.id = f.lesson_id
                   JOIN course_versions cv ON cv.id = l.version_id
                   JOIN course_instructors ci ON ci.course_id = cv.course_id
                  WHERE f.asset_id = v.asset_id AND ci.user_id = u.id))
           OR EXISTS (
                 SELECT FROM media_files f
                   JOIN lessons l ON l.id = f.lesson_id
                   JOIN published_versions p ON p.version_id = l.version_id
                  WHERE f.asset_id = v.asset_id AND p.outline @> :preview)
           AS open_without_enrollment
      FROM videos v
      JOIN users u ON u.id = :user_id AND u.deactivated_at IS NULL
      LEFT JOIN LATERAL (
           SELECT e.state,
                  CASE WHEN COALESCE(e.access_ends_at, r.access_ends_at) <= now()
                       THEN COALESCE(e.access_ends_at, r.access_ends_at) END AS access_ended_at,
                  k.*
             FROM enrollments e
             JOIN course_runs r ON r.id = e.run_id
             JOIN published_versions p ON p.version_id = e.version_id
            CROSS JOIN LATERAL ({LESSON_WITH.format(member="video_id")}) l
            CROSS JOIN LATERAL ({LOCK}) k
            WHERE e.user_id = u.id AND p.outline @> :contained
            ORDER BY e.state IN ('active', 'completed') DESC,
                     COALESCE(COALESCE(e.access_ends_at, r.access_ends_at) > now(), true) DESC,
                     k.lock_reason IS NULL DESC, e.id DESC
            LIMIT 1) e ON true
     WHERE v.id = :video_id
"""  # noqa: S608 - our own words
).bindparams(bindparam("preview", type_=JSONB), bindparam("contained", type_=JSONB))

LESSON_WITH_FILE = (
    text(LESSON_WITH.format(member="media_file_id"))
    .columns(column("lineage_id", Uuid), column("rule", JSONB))
    .lateral("l")
)
LOCK_OF_FILE = text(LOCK).columns(*LOCK_COLUMNS).lateral("k")

FROZEN_OUTLINE = literal_column(
    """jsonb_build_object(
           'version_id', published_versions.version_id,
           'course_id', published_versions.course_id,
           'number', published_versions.outline #> '{version,number}',
           'published', true,
           'modules', published_versions.outline -> 'modules')::text""",
    Text,
)
"""What `OutlineOut` describes, of a published version."""


def find_video(session: Session, user_id: UUID, video_id: UUID) -> Row[Any]:
    """Return a video that a user may watch now, with one query.

    Open to learners whose active or completed enrollment contains it, to everyone who is signed in
    when it belongs to a preview lesson of a published version, to the course's staff and to admins.
    Of several lessons or enrollments with it, one that is open will do.

    Args:
        session: the organization's session.
        user_id: who wants to watch; deactivated users may watch nothing.
        video_id: the video.

    Returns:
        A row with id, state, duration_seconds, width, height and poster_key.

    Raises:
        NotFoundError: no such video, or nothing to do with this user.
        EnrollmentHasNoAccessError: they have an enrollment with it that does not open it now.
        AccessEndedError: they have one that would, but access to its run has ended.
        LessonLockedError: its lesson does not open yet.
    """
    row = session.execute(
        FIND_VIDEO,
        {
            "user_id": user_id,
            "video_id": video_id,
            "preview": _outline_with({"video_id": str(video_id)}, preview=True),
            "contained": _outline_with({"video_id": str(video_id)}),
        },
    ).one_or_none()
    if row is None or not (row.open_without_enrollment or row.enrollment_state):
        raise NotFoundError("There is no such video for you.")
    if not row.open_without_enrollment:
        require_opening(row.enrollment_state, row.access_ended_at)
        require_open(row)
    return row


def find_download(
    session: Session, user_id: UUID, enrollment_id: UUID, media_file_id: UUID
) -> tuple[MediaAsset, str]:
    """Return the bytes and the name of a file of an enrolled learner's version, with one query.

    Raises:
        NotFoundError: not their enrollment, or its version does not contain the file.
        EnrollmentHasNoAccessError: the enrollment does not open its content now.
        AccessEndedError: access to its run has ended.
        LessonLockedError: its lesson does not open yet.
    """
    e, p = aliased(Enrollment, name="e"), aliased(PublishedVersion, name="p")
    query = (
        select(
            e.state,
            ACCESS_ENDED_AT.label("access_ended_at"),
            MediaFile.file_name,
            MediaAsset,
            *LOCK_OF_FILE.c,
        )
        .select_from(e)
        .join(CourseRun, CourseRun.id == e.run_id)
        .join(p, p.version_id == e.version_id)
        .join(LESSON_WITH_FILE, true())
        .join(LOCK_OF_FILE, true())
        .join(MediaFile, MediaFile.id == media_file_id)
        .join(MediaAsset, MediaAsset.id == MediaFile.asset_id)
        .where(e.id == enrollment_id, e.user_id == user_id)
    )
    row = session.execute(query, {"media_file_id": media_file_id}).one_or_none()
    if row is None:
        raise NotFoundError("There is no such file in an enrollment of yours.")
    require_opening(row.state, row.access_ended_at)
    require_open(row)
    return row.MediaAsset, row.file_name


@dataclass(frozen=True, slots=True)
class FrozenOutline:
    """A published version's content.

    Attributes:
        version: hash of the content, for the ETag.
        document: JSON text of the API's answer. PostgreSQL writes it: what never changes is not
            taken apart and put together again for every learner.
    """

    version: str
    document: str


def find_outline(session: Session, actor: Actor, version_id: UUID) -> FrozenOutline | None:
    """Return a version's frozen content, with one query, or None while it is a draft.

    Open to staff who teach the course, to admins, and to learners whose active or completed
    enrollment is in this version. Drafts are staff's alone.

    Raises:
        NotFoundError: no such version, or nothing to do with the actor.
        EnrollmentHasNoAccessError: they have an enrollment in it that does not open it now.
        AccessEndedError: they have one that would, but access to its run has ended.
    """
    enrolled = (
        select(Enrollment.state, ACCESS_ENDED_AT.label("access_ended_at"))
        .join(CourseRun, CourseRun.id == Enrollment.run_id)
        .where(Enrollment.user_id == actor.user_id, Enrollment.version_id == version_id)
        .order_by(
            Enrollment.state.in_(OPENING_STATES).desc(),
            ACCESS_ENDED_AT.is_(None).desc(),
            Enrollment.id.desc(),
        )
        .limit(1)
        .subquery()
    )
    query = (
        select(
            PublishedVersion.content_hash,
            FROZEN_OUTLINE.label("document"),
            taught_by(actor, CourseVersion.course_id).label("teaches"),
            enrolled.c.state.label("enrollment_state"),
            enrolled.c.access_ended_at,
        )
        .select_from(CourseVersion)
        .outerjoin(PublishedVersion, PublishedVersion.version_id == CourseVersion.id)
        .outerjoin(enrolled, true())
        .where(CourseVersion.id == version_id)
    )
    row = session.execute(query).one_or_none()
    if row is None or not (row.teaches or row.enrollment_state):
        raise NotFoundError("There is no such version for you.")
    if not row.teaches:
        require_opening(row.enrollment_state, row.access_ended_at)
    if row.content_hash is None:
        return None
    return FrozenOutline(row.content_hash, _with_html(row.document))


def _with_html(document: str) -> str:
    """Return an outline's document in which every lesson has `content_html`.

    Those that were published before lessons had it say null. Only they are taken apart: inside of
    a text the quotes of a name would be escaped, and any other outline has it in its first lesson.
    """
    if '"content_html":' in document:
        return document
    outline = json.loads(document)
    for module in outline["modules"]:
        for lesson in module["lessons"]:
            lesson["content_html"] = None
    return json.dumps(outline, ensure_ascii=False)


def require_opening(state: str, access_ended_at: datetime | None) -> None:
    """Refuse an enrollment that does not open its content, or not any more.

    Args:
        state: of the enrollment.
        access_ended_at: when access to its run ended; None while it has not.

    Raises:
        EnrollmentHasNoAccessError: its state does not, with what would change it.
        AccessEndedError: access to its run has ended.
    """
    if state not in OPENING_STATES:
        raise EnrollmentHasNoAccessError(state)
    if access_ended_at is not None:
        raise AccessEndedError(access_ended_at)


def _outline_with(media: dict[str, str], **lesson: Any) -> dict[str, Any]:
    """Return what an outline with this media file contains, for `@>`."""
    return {"modules": [{"lessons": [{**lesson, "media": [media]}]}]}
