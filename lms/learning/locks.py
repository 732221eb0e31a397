"""The same rules as in `availability`, as PostgreSQL decides them where content is opened.

What is recorded, played or downloaded is decided in the statement that finds it, by the database's
clock; tests hold the two against each other.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ARRAY, DateTime, Row, Text, Uuid, column

from lms.learning.availability import MOST_NAMED, Lock
from lms.learning.errors import LessonLockedError

LOCK_COLUMNS = (
    column("lock_reason", Text),
    column("available_at", DateTime(timezone=True)),
    column("open_lessons", ARRAY(Uuid)),
)

# OFFSET 0, here and where `l` is made, keeps PostgreSQL from computing a column again wherever it
# is mentioned: each time it would unpack a version's whole rules.
LOCK = f"""
    SELECT CASE WHEN NOT w.is_early AND cardinality(o.lessons) = 0 THEN NULL
                WHEN EXISTS (SELECT FROM lesson_progress d
                              WHERE d.enrollment_id = e.id AND d.lesson_lineage_id = l.lineage_id
                                AND d.completed_at IS NOT NULL) THEN NULL
                WHEN w.is_early THEN 'not_yet_available'
                ELSE 'earlier_lessons'
           END AS lock_reason,
           CASE WHEN w.is_early THEN o.opens_at END AS available_at,
           o.lessons AS open_lessons
      FROM (SELECT CASE l.rule -> 'availability' ->> 'after'
                   WHEN 'run_start' THEN
                        (SELECT r.starts_at FROM course_runs r WHERE r.id = e.run_id)
                   WHEN 'activation' THEN e.activated_at
                   END + make_interval(
                       hours => 24 * (l.rule -> 'availability' ->> 'days')::int) AS opens_at,
                   CASE WHEN l.rule ->> 'earlier' IS NULL THEN ARRAY[]::uuid[]
                   ELSE ARRAY(SELECT (s.step ->> 'lesson_id')::uuid
                                FROM jsonb_array_elements(p.rules -> 'sequences'
                                         -> (l.rule -> 'earlier' ->> 'module_id'))
                                     WITH ORDINALITY AS s (step, place)
                                LEFT JOIN lesson_progress d
                                  ON d.enrollment_id = e.id
                                 AND d.lesson_lineage_id = (s.step ->> 'lineage_id')::uuid
                               WHERE s.place <= (l.rule -> 'earlier' ->> 'count')::int
                                 AND d.completed_at IS NULL
                               ORDER BY s.place LIMIT {MOST_NAMED})
                   END AS lessons
            OFFSET 0) o
     CROSS JOIN LATERAL
           (SELECT l.rule ->> 'availability' IS NOT NULL
                   AND (o.opens_at <= now()) IS NOT TRUE AS is_early) w
"""  # noqa: S608 - our own number
"""Body of a LATERAL beside `e`, an enrollment, `p`, its published version, and `l`, a lesson of it
by `lineage_id` with its `rule`; yields `LOCK_COLUMNS`, of which `lock_reason` is NULL when the
lesson is open."""


def require_open(found: Row[Any]) -> None:
    """Refuse a lesson that is locked.

    Args:
        found: a row with `LOCK_COLUMNS`.

    Raises:
        LessonLockedError: with why, and what opens it.
    """
    if found.lock_reason is not None:
        raise LessonLockedError(
            Lock(found.lock_reason, found.available_at, tuple(found.open_lessons))
        )
