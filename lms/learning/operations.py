"""Recording what a learner does, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn
from uuid import UUID

from sqlalchemy import DateTime, Double, Integer, Row, Text, Uuid, column, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

from lms.core.actor import Actor
from lms.enrollments.operations import complete
from lms.learning.access import ACCESS_ENDED_AT, CLOSED_SINCE, OPENING_STATES
from lms.learning.errors import (
    REMEDIES,
    AccessEndedError,
    EnrollmentNotActiveError,
    NotMarkableByLearnerError,
    UnknownDurationError,
)
from lms.learning.lessons import refuse_unknown
from lms.learning.locks import LOCK, LOCK_COLUMNS, require_open
from lms.learning.progress import (
    LONGEST_UNKNOWN_VIDEO,
    Activity,
    Interval,
    LessonRule,
    fulfils,
    parse_rules,
    percent_of,
    watched_percent,
)

DWELL_SLACK_SECONDS = 10
"""What clocks and networks may add to the time since a learner's first report of a lesson."""

# One statement decides and records, under conditions that hold at that moment; where nothing was
# recorded, what was found explains why. The lock lets one report of an enrollment in at a time, so
# that two lessons completed at once both count; foreign keys' own locks do not wait for it.
# What lies behind a video's end does not count: players round, and its last second may be broken.
RECORD = text(
    f"""
    WITH found AS (
        SELECT e.id, e.state, e.percent, e.completed_at, e.version_id, l.lineage_id, l.rule,
               {ACCESS_ENDED_AT} AS access_ended_at, {CLOSED_SINCE} AS closed_since,
               e.awaiting, k.*
          FROM enrollments e
          JOIN course_runs r ON r.id = e.run_id
          JOIN published_versions p ON p.version_id = e.version_id
         CROSS JOIN LATERAL (
               SELECT n.lineage_id::uuid AS lineage_id,
                      p.rules -> 'lessons' -> n.lineage_id AS rule
                 FROM (SELECT p.rules -> 'lineages'
                              ->> CAST(CAST(:lesson_id AS uuid) AS text) AS lineage_id
                       OFFSET 0) n
               OFFSET 0
         ) l
         CROSS JOIN LATERAL ({LOCK}) k
         WHERE e.id = :enrollment_id AND e.user_id = :user_id AND l.lineage_id IS NOT NULL
           FOR NO KEY UPDATE OF e
    ), sent AS (
        SELECT found.id, found.lineage_id,
               (found.rule ->> 'duration_seconds')::double precision AS duration,
               CAST(:watched AS int4multirange) AS watched
          FROM found
         WHERE found.state = ANY(:opening_states) AND found.access_ended_at IS NULL
           AND found.lock_reason IS NULL
           AND (NOT CAST(:marked AS boolean)
                OR found.rule -> 'completion' ->> 'rule' = 'marked_by_learner')
    ), recorded AS (
        INSERT INTO lesson_progress AS lp
               (enrollment_id, lesson_lineage_id, position_seconds, watched, dwell_seconds)
        SELECT sent.id, sent.lineage_id, COALESCE(CAST(:position AS double precision), 0),
               sent.watched * int4multirange(int4range(0,
                   GREATEST(1, floor(COALESCE(sent.duration, :longest_unknown)))::int)),
               LEAST(CAST(:dwell AS bigint), :slack)
          FROM sent
         WHERE sent.duration IS NOT NULL OR COALESCE(upper(sent.watched), 0) <= :longest_unknown
        ON CONFLICT (enrollment_id, lesson_lineage_id) DO UPDATE
           SET position_seconds = COALESCE(CAST(:position AS double precision),
                   lp.position_seconds),
               watched = lp.watched + EXCLUDED.watched,
               dwell_seconds = GREATEST(lp.dwell_seconds, LEAST(CAST(:dwell AS bigint),
                   EXTRACT(epoch FROM now() - lp.first_activity_at)::bigint + :slack)),
               last_activity_at = now()
        RETURNING lp.position_seconds, lp.dwell_seconds, lp.completed_how,
                  lp.completed_at AS lesson_completed_at,
                  (SELECT COALESCE(sum(upper(r) - lower(r)), 0) FROM unnest(lp.watched) r)::int
                  AS watched_seconds
    )
    SELECT found.id, found.state, found.percent, found.completed_at, found.version_id,
           found.lineage_id, found.closed_since, found.access_ended_at, found.awaiting,
           found.rule, recorded.position_seconds,
           recorded.dwell_seconds, recorded.watched_seconds, recorded.completed_how,
           recorded.lesson_completed_at, found.lock_reason, found.available_at, found.open_lessons
      FROM found LEFT JOIN recorded ON true
"""  # noqa: S608 - our own words
).columns(
    *(column("id", Uuid), column("state", Text), column("percent", Integer)),
    *(column("completed_at", DateTime(timezone=True)), column("version_id", Uuid)),
    *(column("lineage_id", Uuid), column("closed_since", DateTime(timezone=True))),
    *(column("access_ended_at", DateTime(timezone=True)), column("awaiting", Text)),
    *(column("rule", JSONB), column("position_seconds", Double)),
    *(column("dwell_seconds", Integer), column("watched_seconds", Integer)),
    *(column("completed_how", Text), column("lesson_completed_at", DateTime(timezone=True))),
    *LOCK_COLUMNS,
)

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
        NotFoundError: not their enrollment, or no such lesson in its course.
        LessonOfAnotherVersionError: it is of another version; names the same one in the present.
        EnrollmentNotActiveError: neither active nor completed.
        AccessEndedError: access to its run has ended.
        LessonLockedError: the lesson does not open yet.
        NotMarkableByLearnerError: marked as done, where the rule is another one.
        UnknownDurationError: intervals beyond a day, of a video whose duration is not known.
    """
    recorded = _record(session, actor, enrollment_id, lesson_id, report)
    if recorded is None:
        refuse_unknown(session, actor, enrollment_id, lesson_id)
    rule = LessonRule.parse(recorded.rule)
    if recorded.watched_seconds is None:
        _refuse(recorded, rule, report)
    activity = Activity(
        viewed=report.viewed,
        marked=report.completed,
        dwell_seconds=recorded.dwell_seconds,
        watched_seconds=recorded.watched_seconds,
    )
    done_at, done_how = recorded.lesson_completed_at, recorded.completed_how
    standing = EnrollmentStanding(recorded.state, recorded.percent, recorded.completed_at)
    if done_at is None and fulfils(rule, activity):
        done = session.execute(
            COMPLETE_LESSON,
            {
                "enrollment_id": enrollment_id,
                "lineage_id": recorded.lineage_id,
                "version_id": recorded.version_id,
                "how": rule.completion,
            },
        ).one()
        done_at, done_how = done.completed_at, done.completed_how
        if recorded.state == "active":
            standing = _advance(session, actor, recorded, done)
    return RecordedProgress(
        lesson_id=lesson_id,
        lesson_lineage_id=recorded.lineage_id,
        position_seconds=recorded.position_seconds,
        dwell_seconds=recorded.dwell_seconds,
        watched_seconds=recorded.watched_seconds,
        watched_percent=watched_percent(recorded.watched_seconds, rule.duration_seconds),
        completed_at=done_at,
        completed_how=done_how,
        enrollment=standing,
    )


def _record(
    session: Session, actor: Actor, enrollment_id: UUID, lesson_id: UUID, report: Report
) -> Row[Any] | None:
    """Record a report, unless what is found forbids it; None when nothing is found."""
    values = {
        "enrollment_id": enrollment_id,
        "lesson_id": lesson_id,
        "user_id": actor.user_id,
        "opening_states": list(OPENING_STATES),
        "position": report.position_seconds,
        "watched": _multirange(report.watched),
        "dwell": report.dwell_seconds,
        "marked": report.completed,
        "slack": DWELL_SLACK_SECONDS,
        "longest_unknown": LONGEST_UNKNOWN_VIDEO,
    }
    found = session.execute(RECORD, values).one_or_none()
    if found is not None and (found.lock_reason is not None or found.closed_since is not None):
        # It may have waited for the report that opens this lesson, or for what closed the
        # enrollment, of which its snapshot knows nothing. The enrollment is held by now, so what
        # is seen the second time stands.
        found = session.execute(RECORD, values).one_or_none()
    return found


def _refuse(found: Row[Any], rule: LessonRule, report: Report) -> NoReturn:
    """Explain why nothing was recorded."""
    if found.state not in OPENING_STATES:
        remedy = REMEDIES[found.awaiting or found.state]
        raise EnrollmentNotActiveError(found.state, found.closed_since, remedy)
    if found.access_ended_at is not None:
        raise AccessEndedError(found.access_ended_at)
    require_open(found)
    if report.completed and rule.completion != "marked_by_learner":
        raise NotMarkableByLearnerError(
            f"You cannot mark this lesson as done. {rule.explanation}",
            rule=rule.completion,
            threshold=rule.threshold,
            remedy=rule.explanation,
        )
    raise UnknownDurationError(
        "The duration is not known, and nobody watches for more than a day.",
        errors=[{"pointer": "/watched", "message": f"Ends after {LONGEST_UNKNOWN_VIDEO}."}],
    )


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


def _multirange(watched: tuple[Interval, ...]) -> str:
    """Return intervals as PostgreSQL writes an int4multirange; it joins them itself."""
    return f"{{{','.join(f'[{start},{stop})' for start, stop in watched)}}}"
