"""Recomputing percent and completion of enrollments from what their learners have done.

Reports keep both up to date, so there is nothing to find unless rows were written past the rules:
by an import, a repair or a faulty release. Only active enrollments are looked at. What is completed
stays completed with its first date, and what staff reopened stays open while its percent is right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from lms.core import audit
from lms.core.errors import NotFoundError
from lms.courses.models import CourseRun, PublishedVersion
from lms.enrollments.models import Enrollment
from lms.enrollments.operations import complete
from lms.learning.models import LessonProgress
from lms.learning.progress import parse_rules, percent_of

BATCH = 500
"""Enrollments of one transaction: learners who report meanwhile wait for no more than that."""

UPDATE_PERCENTS = text("""
    UPDATE enrollments e SET percent = c.percent, version = e.version + 1
      FROM unnest(CAST(:ids AS uuid[]), CAST(:percents AS bigint[])) AS c (id, percent)
     WHERE e.id = c.id
""")


@dataclass(frozen=True, slots=True)
class Correction:
    """An enrollment whose percent was not what its lessons say, or that was due to be completed.

    Attributes:
        rules_hash: of its version's completion rules.
        found: percent as it was stored.
        percent: as its completed lessons say; at 100 it is completed.
    """

    enrollment_id: UUID
    rules_hash: str
    found: int
    percent: int

    @property
    def completes(self) -> bool:
        """Whether every required lesson is done."""
        return self.percent == 100


@dataclass(frozen=True, slots=True)
class Batch:
    """What one step looked at: how many enrollments, the last one's id, and what was wrong."""

    size: int
    last_id: UUID | None
    corrections: Sequence[Correction]


def count_active(session: Session, run_id: UUID | None) -> int:
    """Return how many active enrollments there are, of one run or of all.

    Raises:
        NotFoundError: there is no such run.
    """
    query = select(func.count()).select_from(Enrollment).where(Enrollment.state == "active")
    if run_id is None:
        return session.scalars(query).one()
    if session.get(CourseRun, run_id) is None:
        raise NotFoundError(f"There is no run {run_id} in this organization.")
    return session.scalars(query.where(Enrollment.run_id == run_id)).one()


def recompute_batch(
    session: Session, run_id: UUID | None, *, after: UUID | None, dry_run: bool
) -> Batch:
    """Recompute the next active enrollments, by id; repeating changes nothing.

    Args:
        session: the organization's session; a transaction for each batch.
        run_id: only this run's; None for all.
        after: `last_id` of the batch before.
        dry_run: only say what is wrong.

    Returns:
        What was looked at, `BATCH` of them at most; none once all are done.
    """
    query = select(
        Enrollment.id, Enrollment.version_id, Enrollment.percent, Enrollment.completed_at
    ).where(Enrollment.state == "active")
    if run_id is not None:
        query = query.where(Enrollment.run_id == run_id)
    if after is not None:
        query = query.where(Enrollment.id > after)
    query = query.order_by(Enrollment.id).limit(BATCH)
    if not dry_run:
        # As a report does: nobody completes a lesson between what is read and what is written.
        query = query.with_for_update(key_share=True)
    rows = session.execute(query).all()
    done = completed_lessons(session, [row.id for row in rows])
    versions = {
        version_id: (parse_rules(rules), rules_hash)
        for version_id, rules, rules_hash in session.execute(
            select(
                PublishedVersion.version_id, PublishedVersion.rules, PublishedVersion.content_hash
            ).where(PublishedVersion.version_id.in_({row.version_id for row in rows}))
        )
    }
    corrections: list[Correction] = []
    for row in rows:
        rules, rules_hash = versions[row.version_id]
        percent = percent_of(rules, done.get(row.id, set()))
        is_due = percent == 100 and row.completed_at is None
        if percent != row.percent or is_due:
            corrections.append(Correction(row.id, rules_hash, row.percent, percent))
    if not dry_run:
        _correct(session, corrections)
    return Batch(len(rows), rows[-1].id if rows else None, corrections)


def completed_lessons(session: Session, enrollment_ids: Sequence[UUID]) -> dict[UUID, set[UUID]]:
    """Return the lineages of completed lessons by enrollment; one without any is not in it."""
    query = (
        select(LessonProgress.enrollment_id, func.array_agg(LessonProgress.lesson_lineage_id))
        .where(
            LessonProgress.enrollment_id.in_(enrollment_ids),
            LessonProgress.completed_at.is_not(None),
        )
        .group_by(LessonProgress.enrollment_id)
    )
    return {enrollment_id: set(lineages) for enrollment_id, lineages in session.execute(query)}


def _correct(session: Session, corrections: Sequence[Correction]) -> None:
    """Write what was wrong, on record."""
    wrong = [one for one in corrections if one.percent != one.found]
    if wrong:
        values = {
            "ids": [one.enrollment_id for one in wrong],
            "percents": [one.percent for one in wrong],
        }
        session.execute(UPDATE_PERCENTS, values)
    for one in corrections:
        if one.completes:
            complete(session, one.enrollment_id, rules_hash=one.rules_hash)
        audit.record(
            session,
            "enrollment.recompute",
            ("enrollment", one.enrollment_id),
            actor_id=None,
            before={"state": "active", "percent": one.found},
            after={"state": "completed" if one.completes else "active", "percent": one.percent},
        )
