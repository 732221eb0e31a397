"""Who may see which content: what an enrollment opens, what staff teach, what is a preview.

Learners' access is asked of the frozen outlines, never of the tables that drafts are edited in.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    DateTime,
    Row,
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

from lms.core.errors import NotFoundError
from lms.courses.models import CourseRun, MediaFile, PublishedVersion
from lms.enrollments.models import Enrollment
from lms.learning.errors import REMEDIES, AccessEndedError, EnrollmentHasNoAccessError
from lms.learning.locks import LOCK, LOCK_COLUMNS, require_open
from lms.media.models import MediaAsset

OPENING_STATES = ("active", "completed")
"""States of an enrollment that open its content, until access to its run ends."""


def access_ended_at(enrollment: type[Enrollment]) -> ColumnElement[datetime | None]:
    """Return when access ended, by PostgreSQL's clock: the learner's own end, or else the run's.

    NULL while it has not.

    Args:
        enrollment: the entity, or its alias in the query.
    """
    ends_at = func.coalesce(enrollment.access_ends_at, CourseRun.access_ends_at)
    return case((ends_at <= func.now(), ends_at))


ACCESS_ENDED_AT = """
    CASE WHEN COALESCE(e.access_ends_at, r.access_ends_at) <= now()
         THEN COALESCE(e.access_ends_at, r.access_ends_at) END"""
"""The same of the enrollment `e` in its run `r`."""

CLOSED_SINCE = """
    CASE WHEN e.state NOT IN ('active', 'completed') THEN
         COALESCE((SELECT max(c.at) FROM enrollment_changes c WHERE c.enrollment_id = e.id),
                  e.created_at)
    END"""
"""Since when the enrollment `e` has not been in one of `OPENING_STATES`; NULL while it is."""

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
           e.state AS enrollment_state, e.awaiting, e.access_ended_at,
           e.closed_since, e.lock_reason, e.available_at, e.open_lessons,
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
           SELECT e.state, e.awaiting,
                  {ACCESS_ENDED_AT} AS access_ended_at, {CLOSED_SINCE} AS closed_since, k.*
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
        require_opening(row.enrollment_state, row.awaiting, row.closed_since, row.access_ended_at)
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
            e.awaiting,
            literal_column(CLOSED_SINCE, DateTime(timezone=True)).label("closed_since"),
            access_ended_at(e).label("access_ended_at"),
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
    require_opening(row.state, row.awaiting, row.closed_since, row.access_ended_at)
    require_open(row)
    return row.MediaAsset, row.file_name


def require_opening(
    state: str,
    awaiting: str | None,
    closed_since: datetime | None,
    access_ended_at: datetime | None,
) -> None:
    """Refuse an enrollment that does not open its content, or not any more.

    Args:
        state: of the enrollment.
        awaiting: what it waits for while it is pending.
        closed_since: as `CLOSED_SINCE` says.
        access_ended_at: when access to its run ended; None while it has not.

    Raises:
        EnrollmentHasNoAccessError: its state does not, with since when and what would change it.
        AccessEndedError: access to its run has ended.
    """
    if state not in OPENING_STATES:
        raise EnrollmentHasNoAccessError(state, closed_since, REMEDIES[awaiting or state])
    if access_ended_at is not None:
        raise AccessEndedError(access_ended_at)


def _outline_with(media: dict[str, str], **lesson: Any) -> dict[str, Any]:
    """Return what an outline with this media file contains, for `@>`."""
    return {"modules": [{"lessons": [{**lesson, "media": [media]}]}]}
