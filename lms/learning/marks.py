"""Lessons that staff mark as complete: attendance, work handed in on paper, what a rule missed.

Staff may mark any lesson of a learner's version, whatever completes it otherwise and whether it is
open yet: they answer for it, with their reason on record. A mark is written once and not taken
back, like everything that is completed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, DateTime, literal_column, select, text
from sqlalchemy.orm import Session, aliased

from lms.core import audit
from lms.core.actor import Actor
from lms.core.errors import ConflictError, NotFoundError
from lms.courses.errors import RunStateNotAllowedError
from lms.courses.models import CourseRun, PublishedVersion
from lms.courses.queries import taught_by
from lms.enrollments.models import Enrollment
from lms.enrollments.operations import complete_all
from lms.learning.access import CLOSED_SINCE, OPENING_STATES
from lms.learning.errors import (
    STAFF_REMEDIES,
    EnrollmentNotActiveError,
    LessonOfAnotherVersionError,
)
from lms.learning.operations import EnrollmentStanding
from lms.learning.progress import parse_rules, percent_of
from lms.learning.recompute import UPDATE_PERCENTS, completed_lessons

MARKED_BY_STAFF = "marked_by_staff"
MOST_MARKED = 500
"""Enrollments of one request."""

NOT_FOR_YOU = "There is no such run or enrollment for you."
"""Whether there is none, or the actor does not teach it."""

MARK_IN_PRESENT_VERSION = "Read the outline of that version, and mark a lesson of it."

# Of any version of the course: who stayed in an older one attends the same lesson.
FIND_LINEAGE = text("""
    SELECT (p.rules -> 'lineages' ->> CAST(CAST(:lesson_id AS uuid) AS text))::uuid
      FROM published_versions p
     WHERE p.course_id = :course_id
       AND p.rules -> 'lineages' ->> CAST(CAST(:lesson_id AS uuid) AS text) IS NOT NULL
     LIMIT 1
""")
MARK = text("""
    WITH marked AS (
        INSERT INTO lesson_progress AS lp
               (enrollment_id, lesson_lineage_id, completed_at, completed_how)
        SELECT held.id, CAST(:lineage_id AS uuid), now(), CAST(:how AS text)
          FROM unnest(CAST(:ids AS uuid[])) AS held (id)
        ON CONFLICT (enrollment_id, lesson_lineage_id) DO UPDATE
           SET completed_at = now(), completed_how = EXCLUDED.completed_how
         WHERE lp.completed_at IS NULL
        RETURNING lp.enrollment_id, lp.completed_at, lp.completed_how
    )
    SELECT enrollment_id, completed_at, completed_how, true AS is_new FROM marked
    UNION ALL
    SELECT lp.enrollment_id, lp.completed_at, lp.completed_how, false
      FROM lesson_progress lp
     WHERE lp.enrollment_id = ANY(CAST(:ids AS uuid[]))
       AND lp.lesson_lineage_id = CAST(:lineage_id AS uuid) AND lp.completed_at IS NOT NULL
""")

Outcome = Literal["marked", "already_complete", "refused"]
OUTCOMES: tuple[Outcome, ...] = ("marked", "already_complete", "refused")


@dataclass(frozen=True, slots=True)
class Mark:
    """What became of one enrollment's lesson.

    Attributes:
        enrollment_id: whose.
        outcome: `marked` now, `already_complete` before with its first date, or `refused`.
        code: why it is refused: `not_found`, or the code with which a single mark would be.
        message: the same, for people.
        completed_at: when the lesson was completed, UTC; None when refused.
        completed_how: by which rule.
        enrollment: where the enrollment stands; None when it was not found.
    """

    enrollment_id: UUID
    outcome: Outcome
    code: str | None = None
    message: str | None = None
    completed_at: datetime | None = None
    completed_how: str | None = None
    enrollment: EnrollmentStanding | None = None


@dataclass(frozen=True, slots=True)
class _Held:
    """Enrollments that nobody else changes until the transaction ends, and their versions."""

    rows: Sequence[Any]
    versions: Mapping[UUID, tuple[str, Mapping[str, Any]]]

    def refusal(self, row: Any, lineage_id: UUID) -> ConflictError | None:
        """Return why a lesson of one of the rows is not marked, None when it can be."""
        if row.state not in OPENING_STATES:
            remedy = STAFF_REMEDIES[row.awaiting or row.state]
            return EnrollmentNotActiveError(row.state, row.closed_since, remedy)
        _hash, rules = self.versions[row.version_id]
        if str(lineage_id) not in rules["lessons"]:
            return LessonOfAnotherVersionError(row.version_id, None, MARK_IN_PRESENT_VERSION)
        return None


def mark_complete(
    session: Session, actor: Actor, enrollment_id: UUID, lesson_id: UUID, *, reason: str
) -> Mark:
    """Mark one learner's lesson as complete; what follows is as with the learner's own report.

    Args:
        session: the organization's session.
        actor: who teaches the run, or an admin.
        enrollment_id: whose.
        lesson_id: of the lesson in any published version of the course.
        reason: for the audit log; no personal data.

    Raises:
        NotFoundError: there is none in a run that the actor teaches, or no such lesson.
        RunStateNotAllowedError: the run is cancelled.
        EnrollmentNotActiveError: it is neither active nor completed.
        LessonOfAnotherVersionError: its version does not have this lesson.
    """
    run_id = session.scalar(select(Enrollment.run_id).where(Enrollment.id == enrollment_id))
    if run_id is None:
        raise NotFoundError(NOT_FOR_YOU)
    lineage_id = _find_lesson(session, actor, run_id, lesson_id)
    held = _hold(session, run_id, [enrollment_id])
    refusal = held.refusal(held.rows[0], lineage_id)
    if refusal is not None:
        raise refusal
    [mark] = _mark(session, actor, held, [enrollment_id], lineage_id=lineage_id, reason=reason)
    return mark


def mark_complete_for_many(
    session: Session,
    actor: Actor,
    run_id: UUID,
    lesson_id: UUID,
    *,
    enrollment_ids: Sequence[UUID],
    reason: str,
) -> list[Mark]:
    """Mark a lesson as complete for many learners of a run, in as many statements as for one.

    Those that cannot be marked are told of, and hold up nobody else.

    Args:
        session: the organization's session.
        actor: who teaches the run, or an admin.
        run_id: which.
        lesson_id: of the lesson in any published version of the course.
        enrollment_ids: whose, `MOST_MARKED` of them at most.
        reason: for the audit log; no personal data.

    Returns:
        One for each id, in the order in which they were named first.

    Raises:
        NotFoundError: the actor teaches no course with this run, or it has no such lesson.
        RunStateNotAllowedError: the run is cancelled.
    """
    lineage_id = _find_lesson(session, actor, run_id, lesson_id)
    held = _hold(session, run_id, enrollment_ids)
    marks: dict[UUID, Mark] = {}
    for row in held.rows:
        refusal = held.refusal(row, lineage_id)
        if refusal is not None:
            marks[row.id] = Mark(row.id, "refused", refusal.code, refusal.detail)
    possible = [row.id for row in held.rows if row.id not in marks]
    for mark in _mark(session, actor, held, possible, lineage_id=lineage_id, reason=reason):
        marks[mark.enrollment_id] = mark
    missing = "There is no such enrollment in this run."
    return [
        marks.get(one) or Mark(one, "refused", NotFoundError.code, missing)
        for one in dict.fromkeys(enrollment_ids)
    ]


def _find_lesson(session: Session, actor: Actor, run_id: UUID, lesson_id: UUID) -> UUID:
    """Return the lineage of a lesson of a run's course; the run is held, so it is not cancelled."""
    run = session.execute(
        select(CourseRun.course_id, CourseRun.state)
        .where(CourseRun.id == run_id, taught_by(actor, CourseRun.course_id))
        .with_for_update(read=True)
    ).one_or_none()
    if run is None:
        raise NotFoundError(NOT_FOR_YOU)
    if run.state == "cancelled":
        raise RunStateNotAllowedError(
            "The run is cancelled; its enrollments stay as they are.", state=run.state, allowed=[]
        )
    values = {"course_id": run.course_id, "lesson_id": lesson_id}
    lineage_id = session.execute(FIND_LINEAGE, values).scalar()
    if lineage_id is None:
        raise NotFoundError("There is no such lesson in a published version of this course.")
    return lineage_id


def _hold(session: Session, run_id: UUID, enrollment_ids: Sequence[UUID]) -> _Held:
    """Hold enrollments in one order, as a report and an upgrade of the run hold them.

    What completes another lesson at the same moment is waited for, and counted.
    """
    e = aliased(Enrollment, name="e")
    since: ColumnElement[datetime | None] = literal_column(CLOSED_SINCE, DateTime(timezone=True))
    query = (
        select(e.id, e.state, e.percent, e.version_id, e.awaiting, since.label("closed_since"))
        .where(e.run_id == run_id, e.id.in_(enrollment_ids))
        .order_by(e.id)
        .with_for_update(key_share=True, of=e)
    )
    rows = session.execute(query).all()
    if any(row.closed_since is not None for row in rows):
        # What closed it may have been waited for: the snapshot knows its state, not its history.
        rows = session.execute(query).all()
    published = session.execute(
        select(
            PublishedVersion.version_id, PublishedVersion.content_hash, PublishedVersion.rules
        ).where(PublishedVersion.version_id.in_({row.version_id for row in rows}))
    )
    return _Held(rows, {row[0]: (row[1], row[2]) for row in published})


def _mark(
    session: Session,
    actor: Actor,
    held: _Held,
    enrollment_ids: Sequence[UUID],
    *,
    lineage_id: UUID,
    reason: str,
) -> list[Mark]:
    values = {"ids": list(enrollment_ids), "lineage_id": lineage_id, "how": MARKED_BY_STAFF}
    lessons = {row.enrollment_id: row for row in session.execute(MARK, values)}
    new = {one for one, lesson in lessons.items() if lesson.is_new}
    _advance(session, actor, held, new)
    for enrollment_id in enrollment_ids:
        if enrollment_id in new:
            audit.record(
                session,
                "enrollment.mark_lesson_complete",
                ("enrollment", enrollment_id),
                actor_id=actor.user_id,
                after={"lesson_lineage_id": str(lineage_id), "reason": reason},
            )
    standings = _standings(session, enrollment_ids)
    return [
        Mark(
            one,
            "marked" if one in new else "already_complete",
            completed_at=lessons[one].completed_at,
            completed_how=lessons[one].completed_how,
            enrollment=standings[one],
        )
        for one in enrollment_ids
    ]


def _advance(session: Session, actor: Actor, held: _Held, marked: set[UUID]) -> None:
    """Recompute the percents of active enrollments; those at 100 are completed."""
    active = [row for row in held.rows if row.id in marked and row.state == "active"]
    done = completed_lessons(session, [row.id for row in active])
    rules = {version_id: parse_rules(stored) for version_id, (_, stored) in held.versions.items()}
    percents = {row.id: percent_of(rules[row.version_id], done[row.id]) for row in active}
    changed = [row.id for row in active if percents[row.id] != row.percent]
    values = {"ids": changed, "percents": [percents[one] for one in changed]}
    session.execute(UPDATE_PERCENTS, values)
    completing: dict[UUID, list[UUID]] = defaultdict(list)
    for row in active:
        if percents[row.id] == 100:
            completing[row.version_id].append(row.id)
    for version_id, enrollment_ids in completing.items():
        rules_hash, _ = held.versions[version_id]
        complete_all(session, enrollment_ids, rules_hash=rules_hash, actor_id=actor.user_id)


def _standings(session: Session, enrollment_ids: Sequence[UUID]) -> dict[UUID, EnrollmentStanding]:
    query = select(
        Enrollment.id, Enrollment.state, Enrollment.percent, Enrollment.completed_at
    ).where(Enrollment.id.in_(enrollment_ids))
    return {row[0]: EnrollmentStanding(row[1], row[2], row[3]) for row in session.execute(query)}
