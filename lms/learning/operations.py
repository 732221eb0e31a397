"""Recording what a learner does, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from lms.core.actor import Actor
from lms.core.errors import NotFoundError
from lms.enrollments.operations import complete
from lms.learning.access import OPENING_STATES
from lms.learning.errors import (
    EnrollmentNotActiveError,
    NotMarkableByLearnerError,
    UnknownDurationError,
)
from lms.learning.progress import (
    LONGEST_UNKNOWN_VIDEO,
    Activity,
    Interval,
    LessonRule,
    clip,
    fulfils,
    parse_rules,
    percent_of,
    watched_percent,
)

DWELL_SLACK_SECONDS = 10
"""What clocks and networks may add to the time since a learner's first report of a lesson."""

# The lock lets one report of an enrollment in at a time, so that two lessons completed at once
# both count. It is the one that foreign keys' own locks do not wait for.
FIND_LESSON = text("""
    SELECT e.id, e.state, e.percent, e.completed_at, e.version_id, l.lineage_id,
           p.rules -> 'lessons' -> l.lineage_id::text AS rule
      FROM enrollments e
      JOIN published_versions p ON p.version_id = e.version_id
     CROSS JOIN LATERAL (
           SELECT (p.rules -> 'lineages' ->> CAST(CAST(:lesson_id AS uuid) AS text))::uuid
               AS lineage_id
     ) l
     WHERE e.id = :enrollment_id AND e.user_id = :user_id AND l.lineage_id IS NOT NULL
       FOR NO KEY UPDATE OF e
""")

UPSERT_PROGRESS = text("""
    INSERT INTO lesson_progress AS lp
           (enrollment_id, lesson_lineage_id, position_seconds, watched, dwell_seconds)
    VALUES (:enrollment_id, :lineage_id, COALESCE(CAST(:position AS double precision), 0),
            CAST(:watched AS int4multirange), LEAST(CAST(:dwell AS bigint), :slack))
    ON CONFLICT (enrollment_id, lesson_lineage_id) DO UPDATE
       SET position_seconds = COALESCE(CAST(:position AS double precision), lp.position_seconds),
           watched = lp.watched + EXCLUDED.watched,
           dwell_seconds = GREATEST(lp.dwell_seconds, LEAST(CAST(:dwell AS bigint),
               EXTRACT(epoch FROM now() - lp.first_activity_at)::bigint + :slack)),
           last_activity_at = now()
    RETURNING lp.position_seconds, lp.dwell_seconds, lp.completed_at, lp.completed_how,
           (SELECT COALESCE(sum(upper(r) - lower(r)), 0) FROM unnest(lp.watched) r)::int
           AS watched_seconds
""")

COMPLETE_LESSON = text("""
    UPDATE lesson_progress lp SET completed_at = now(), completed_how = :how
      FROM published_versions p
     WHERE lp.enrollment_id = :enrollment_id AND lp.lesson_lineage_id = :lineage_id
       AND lp.completed_at IS NULL AND p.version_id = :version_id
    RETURNING lp.completed_at, lp.completed_how, p.rules, p.content_hash,
           ARRAY(SELECT o.lesson_lineage_id FROM lesson_progress o
                  WHERE o.enrollment_id = lp.enrollment_id AND o.completed_at IS NOT NULL) AS others
""")

UPDATE_PERCENT = text("""
    UPDATE enrollments SET percent = :percent, version = version + 1
     WHERE id = :enrollment_id
""")


@dataclass(frozen=True, slots=True)
class Report:
    """What a client tells about one lesson; everything is optional.

    Attributes:
        position_seconds: where to resume.
        watched: parts of the video that were played, whole seconds, half-open, each not empty.
        dwell_seconds: time spent in the lesson so far, in total.
        viewed: the lesson was opened.
        completed: the learner marks it as done.
    """

    position_seconds: float | None = None
    watched: tuple[Interval, ...] = ()
    dwell_seconds: int = 0
    viewed: bool = False
    completed: bool = False


@dataclass(frozen=True, slots=True)
class EnrollmentStanding:
    """Where an enrollment stands: its state, percent and, once completed, when (UTC)."""

    state: str
    percent: int
    completed_at: datetime | None


@dataclass(frozen=True, slots=True)
class RecordedProgress:
    """A lesson's progress after a report, and what it did to the enrollment."""

    lesson_id: UUID
    lesson_lineage_id: UUID
    position_seconds: float
    dwell_seconds: int
    watched_seconds: int
    watched_percent: int | None
    completed_at: datetime | None
    completed_how: str | None
    enrollment: EnrollmentStanding


def record_progress(
    session: Session, actor: Actor, enrollment_id: UUID, lesson_id: UUID, report: Report
) -> RecordedProgress:
    """Record a learner's activity in a lesson; complete lesson and enrollment when that is due.

    Reports may come late, twice or out of order: intervals are joined, time spent only grows, and
    what is completed stays completed with its first date. A completed enrollment still records
    activity, but does not change any more.

    Args:
        session: the organization's session.
        actor: the learner.
        enrollment_id: theirs.
        lesson_id: of a lesson of the enrollment's version.
        report: what happened.

    Raises:
        NotFoundError: not their enrollment, or no such lesson in its version.
        EnrollmentNotActiveError: neither active nor completed.
        NotMarkableByLearnerError: marked as done, where the rule is another one.
        UnknownDurationError: intervals beyond a day, of a video whose duration is not known.
    """
    found = _find_lesson(session, actor, enrollment_id, lesson_id)
    rule = LessonRule.parse(found.rule)
    if report.completed and rule.completion != "marked_by_learner":
        raise NotMarkableByLearnerError(
            f"You cannot mark this lesson as done. {rule.explanation}",
            rule=rule.completion,
            threshold=rule.threshold,
        )
    stored = session.execute(
        UPSERT_PROGRESS,
        {
            "enrollment_id": enrollment_id,
            "lineage_id": found.lineage_id,
            "position": report.position_seconds,
            "watched": _multirange(report.watched, rule.duration_seconds),
            "dwell": report.dwell_seconds,
            "slack": DWELL_SLACK_SECONDS,
        },
    ).one()
    activity = Activity(
        viewed=report.viewed,
        marked=report.completed,
        dwell_seconds=stored.dwell_seconds,
        watched_seconds=stored.watched_seconds,
    )
    done: Row[Any] = stored
    standing = EnrollmentStanding(found.state, found.percent, found.completed_at)
    if stored.completed_at is None and fulfils(rule, activity):
        done = session.execute(
            COMPLETE_LESSON,
            {
                "enrollment_id": enrollment_id,
                "lineage_id": found.lineage_id,
                "version_id": found.version_id,
                "how": rule.completion,
            },
        ).one()
        if found.state == "active":
            standing = _advance(session, actor, found, done)
    return RecordedProgress(
        lesson_id=lesson_id,
        lesson_lineage_id=found.lineage_id,
        position_seconds=stored.position_seconds,
        dwell_seconds=stored.dwell_seconds,
        watched_seconds=stored.watched_seconds,
        watched_percent=watched_percent(stored.watched_seconds, rule.duration_seconds),
        completed_at=done.completed_at,
        completed_how=done.completed_how,
        enrollment=standing,
    )


def _find_lesson(session: Session, actor: Actor, enrollment_id: UUID, lesson_id: UUID) -> Row[Any]:
    """Return lesson and enrollment, which is locked until the transaction ends."""
    found = session.execute(
        FIND_LESSON,
        {"enrollment_id": enrollment_id, "lesson_id": lesson_id, "user_id": actor.user_id},
    ).one_or_none()
    if found is None:
        raise NotFoundError("There is no such lesson in an enrollment of yours.")
    if found.state not in OPENING_STATES:
        raise EnrollmentNotActiveError(found.state)
    return found


def _advance(session: Session, actor: Actor, found: Row[Any], done: Row[Any]) -> EnrollmentStanding:
    """Recompute an active enrollment's percent; at 100 it is completed."""
    percent = percent_of(parse_rules(done.rules), {found.lineage_id, *done.others})
    if percent != found.percent:
        session.execute(UPDATE_PERCENT, {"enrollment_id": found.id, "percent": percent})
    if percent < 100:
        return EnrollmentStanding(found.state, percent, found.completed_at)
    complete(session, found.id, rules_hash=done.content_hash, actor_id=actor.user_id)
    # Both dates are this transaction's now(), unless it had been completed before and reopened.
    return EnrollmentStanding("completed", percent, found.completed_at or done.completed_at)


def _multirange(watched: tuple[Interval, ...], duration_seconds: float | None) -> str:
    """Return the intervals that lie within the video as PostgreSQL writes an int4multirange."""
    if duration_seconds is None and any(stop > LONGEST_UNKNOWN_VIDEO for _, stop in watched):
        raise UnknownDurationError(
            "The duration is not known, and nobody watches for more than a day.",
            errors=[{"pointer": "/watched", "message": f"Ends after {LONGEST_UNKNOWN_VIDEO}."}],
        )
    parts = ",".join(f"[{start},{stop})" for start, stop in clip(watched, duration_seconds))
    return f"{{{parts}}}"
