"""How the learners of a run get on: one page of them, with what each one is to do next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, exists, func, or_, select, text
from sqlalchemy.orm import Session

from lms.core.actor import Actor
from lms.core.pagination import Page, paginate_rows
from lms.courses.run_queries import taught_run
from lms.enrollments.models import LIVE_STATES, Enrollment
from lms.learning.marks import MARKED_BY_STAFF
from lms.learning.models import LessonProgress
from lms.learning.transcripts import WAS_TAKEN_UP
from lms.users.models import User

# Of the frozen outlines only the required lessons' names are taken, once for the whole page: the
# lessons' texts, which make an outline large, never leave PostgreSQL.
STAND = text("""
    WITH lessons AS MATERIALIZED (
        SELECT p.version_id, (l.value ->> 'lineage_id')::uuid AS lineage_id,
               (l.value ->> 'id')::uuid AS lesson_id, l.value ->> 'title' AS title,
               (m.value ->> 'id')::uuid AS module_id, m.value ->> 'title' AS module_title,
               ARRAY[m.place, l.place] AS place
          FROM published_versions p
         CROSS JOIN jsonb_array_elements(p.outline -> 'modules')
               WITH ORDINALITY AS m (value, place)
         CROSS JOIN jsonb_array_elements(m.value -> 'lessons')
               WITH ORDINALITY AS l (value, place)
         WHERE p.version_id IN (SELECT version_id FROM enrollments WHERE id = ANY(:ids))
           AND (l.value ->> 'required')::boolean
    ), standings AS (
        SELECT e.id, e.version_id, count(*) AS total, count(d.completed_at) AS done,
               min(l.place) FILTER (WHERE d.completed_at IS NULL) AS stuck_place
          FROM enrollments e
          JOIN lessons l ON l.version_id = e.version_id
          LEFT JOIN lesson_progress d
            ON d.enrollment_id = e.id AND d.lesson_lineage_id = l.lineage_id
         WHERE e.id = ANY(:ids)
         GROUP BY e.id
    )
    SELECT s.id, s.total, s.done, l.lesson_id, l.lineage_id, l.title, l.module_id, l.module_title
      FROM standings s
      LEFT JOIN lessons l ON l.version_id = s.version_id AND l.place = s.stuck_place
""")

# Not of a lesson that staff marked and the learner has not opened since.
BY_THE_LEARNER = or_(
    LessonProgress.completed_how.is_distinct_from(MARKED_BY_STAFF),
    LessonProgress.last_activity_at != LessonProgress.completed_at,
)


@dataclass(frozen=True, slots=True)
class Learner:
    """Whose enrollment it is."""

    id: UUID
    name: str
    email: str


@dataclass(frozen=True, slots=True)
class ModuleName:
    """The module that a lesson belongs to."""

    id: UUID
    title: str


@dataclass(frozen=True, slots=True)
class OpenLesson:
    """A lesson of the enrollment's version that is still to be done."""

    lesson_id: UUID
    lesson_lineage_id: UUID
    title: str
    module: ModuleName


@dataclass(frozen=True, slots=True)
class Standing:
    """How one learner of a run gets on.

    Attributes:
        last_activity_at: of any lesson, by the learner; None before the first report.
        required_lessons_done: of the required lessons of the enrollment's own version.
        stuck_at: the first required lesson, in the version's order, that is not completed.
    """

    enrollment_id: UUID
    learner: Learner
    state: str
    percent: int
    activated_at: datetime | None
    last_activity_at: datetime | None
    completed_at: datetime | None
    required_lessons_done: int
    required_lessons_total: int
    stuck_at: OpenLesson | None


def run_standings(
    session: Session,
    actor: Actor,
    run_id: UUID,
    *,
    state: str | None,
    inactive_since: datetime | None,
    limit: int,
    cursor: str | None,
) -> Page[Standing]:
    """Read how a page of a run's learners gets on, in the order they enrolled, in three queries.

    Args:
        session: the organization's session.
        actor: who teaches the run's course, or an admin.
        run_id: which.
        state: only enrollments in it.
        inactive_since: only learners who were enrolled before this moment, did nothing from then
            on, and have not left.
        limit: most items to return.
        cursor: `next_cursor` of the page before.

    Raises:
        NotFoundError: the actor teaches no course with this run.
        InvalidCursorError: the cursor is not one of this list.
    """
    taught_run(session, actor, run_id)
    last_activity = (
        select(func.max(LessonProgress.last_activity_at))
        .where(LessonProgress.enrollment_id == Enrollment.id, BY_THE_LEARNER)
        .scalar_subquery()
    )
    query = (
        select(
            *(Enrollment.id, Enrollment.state, Enrollment.percent, Enrollment.activated_at),
            *(Enrollment.completed_at, last_activity.label("last_activity_at")),
            *(User.id.label("user_id"), User.name, User.email),
        )
        .join(User, User.id == Enrollment.user_id)
        .where(Enrollment.run_id == run_id, WAS_TAKEN_UP)
    )
    if state is not None:
        query = query.where(Enrollment.state == state)
    if inactive_since is not None:
        query = query.where(*_inactive(inactive_since))
    page = paginate_rows(session, query, Enrollment.id, limit=limit, cursor=cursor)
    return Page(_with_lessons(session, page.items), page.next_cursor)


def _inactive(since: datetime) -> Sequence[ColumnElement[bool]]:
    recent = exists().where(
        LessonProgress.enrollment_id == Enrollment.id,
        BY_THE_LEARNER,
        LessonProgress.last_activity_at >= since,
    )
    enrolled_at = func.coalesce(Enrollment.activated_at, Enrollment.created_at)
    return Enrollment.state.in_(LIVE_STATES), enrolled_at < since, ~recent


def _with_lessons(session: Session, rows: Sequence[Any]) -> list[Standing]:
    """Add how many required lessons are done, and which is the first that is not."""
    found = {one.id: one for one in session.execute(STAND, {"ids": [row.id for row in rows]})}
    return [_standing(row, found.get(row.id)) for row in rows]


def _standing(row: Any, lessons: Row[Any] | None) -> Standing:
    """Put one together; `lessons` is None where the version has no required lesson."""
    return Standing(
        enrollment_id=row.id,
        learner=Learner(row.user_id, row.name, row.email),
        state=row.state,
        percent=row.percent,
        activated_at=row.activated_at,
        last_activity_at=row.last_activity_at,
        completed_at=row.completed_at,
        required_lessons_done=lessons.done if lessons else 0,
        required_lessons_total=lessons.total if lessons else 0,
        stuck_at=_open_lesson(lessons) if lessons and lessons.lesson_id else None,
    )


def _open_lesson(row: Row[Any]) -> OpenLesson:
    module = ModuleName(row.module_id, row.module_title)
    return OpenLesson(row.lesson_id, row.lineage_id, row.title, module)
