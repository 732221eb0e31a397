"""One lesson of an enrolled learner's version, and where it went when that is another by now."""

from __future__ import annotations

from typing import Any, NoReturn
from uuid import UUID

from sqlalchemy import DateTime, Text, column, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

from lms.core.actor import Actor
from lms.core.errors import NotFoundError
from lms.learning.access import ACCESS_ENDED_AT, CLOSED_SINCE, require_opening
from lms.learning.errors import LessonOfAnotherVersionError
from lms.learning.locks import LOCK, LOCK_COLUMNS, require_open

# OFFSET 0 as in `locks`: the outline is unpacked once.
FIND_LESSON = text(
    f"""
    SELECT e.state, q.lesson, k.*,
           {ACCESS_ENDED_AT} AS access_ended_at,
           {CLOSED_SINCE} AS closed_since, e.awaiting
      FROM enrollments e
      JOIN course_runs r ON r.id = e.run_id
      JOIN published_versions p ON p.version_id = e.version_id
     CROSS JOIN LATERAL (
           SELECT jsonb_path_query_first(
                      p.outline, '$.modules[*].lessons[*] ? (@.id == $lesson_id)',
                      jsonb_build_object('lesson_id', CAST(:lesson_id AS uuid))) AS lesson
           OFFSET 0
     ) q
     CROSS JOIN LATERAL (
           SELECT n.lineage_id::uuid AS lineage_id, p.rules -> 'lessons' -> n.lineage_id AS rule
             FROM (SELECT q.lesson ->> 'lineage_id' AS lineage_id OFFSET 0) n
           OFFSET 0
     ) l
     CROSS JOIN LATERAL ({LOCK}) k
     WHERE e.id = :enrollment_id AND e.user_id = :user_id AND q.lesson IS NOT NULL
"""  # noqa: S608 - our own words
).columns(
    *(column("state", Text), column("lesson", JSONB), *LOCK_COLUMNS),
    column("access_ended_at", DateTime(timezone=True)),
    *(column("closed_since", DateTime(timezone=True)), column("awaiting", Text)),
)

# Asked only when a lesson is not found: rules say which lessons a version has.
FIND_IN_PRESENT_VERSION = text("""
    SELECT e.version_id,
           (SELECT l.key FROM jsonb_each_text(p.rules -> 'lineages') AS l
             WHERE l.value = other.rules -> 'lineages' ->> CAST(:lesson_id AS text)) AS lesson_id
      FROM enrollments e
      JOIN published_versions p ON p.version_id = e.version_id
      JOIN published_versions other
        ON other.course_id = p.course_id AND other.version_id <> p.version_id
       AND other.rules -> 'lineages' ->> CAST(:lesson_id AS text) IS NOT NULL
     WHERE e.id = :enrollment_id AND e.user_id = :user_id
""")


def find_lesson(
    session: Session, actor: Actor, enrollment_id: UUID, lesson_id: UUID
) -> dict[str, Any]:
    """Return a lesson as its published version has it, once it is open, with one query.

    Args:
        session: the organization's session.
        actor: the learner.
        enrollment_id: theirs.
        lesson_id: of a lesson of the enrollment's version.

    Raises:
        NotFoundError: not their enrollment, or no such lesson in its course.
        LessonOfAnotherVersionError: it is of another version; names the same one in the present.
        EnrollmentHasNoAccessError: the enrollment does not open its content now.
        AccessEndedError: access to its run has ended.
        LessonLockedError: the lesson does not open yet.
    """
    found = session.execute(
        FIND_LESSON,
        {"enrollment_id": enrollment_id, "lesson_id": lesson_id, "user_id": actor.user_id},
    ).one_or_none()
    if found is None:
        refuse_unknown(session, actor, enrollment_id, lesson_id)
    require_opening(found.state, found.awaiting, found.closed_since, found.access_ended_at)
    require_open(found)
    return {"content_html": None, **found.lesson}


def refuse_unknown(
    session: Session, actor: Actor, enrollment_id: UUID, lesson_id: UUID
) -> NoReturn:
    """Lead who has an older version open to the same lesson in the present one.

    Raises:
        LessonOfAnotherVersionError: it is of another version of the enrollment's course.
        NotFoundError: not their enrollment, or no such lesson in its course.
    """
    values = {
        "enrollment_id": enrollment_id,
        "lesson_id": str(lesson_id),
        "user_id": actor.user_id,
    }
    found = session.execute(FIND_IN_PRESENT_VERSION, values).one_or_none()
    if found is None:
        raise NotFoundError("There is no such lesson in an enrollment of yours.")
    raise LessonOfAnotherVersionError(found.version_id, found.lesson_id)
