"""Upgrading a run to a newer version of its course, and what that does to everybody in it.

Progress is kept by lesson lineage, so nothing of it is touched: lessons that both versions have
count on, removed ones leave the denominator, added ones are to be done yet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from lms.core import audit
from lms.core.actor import Actor
from lms.core.versions import check_version
from lms.courses import run_queries
from lms.courses.diff_queries import compare_versions
from lms.courses.diffing import VersionDiff
from lms.courses.errors import (
    RunStateNotAllowedError,
    VersionNotNewerError,
    VersionNotPublishedError,
)
from lms.courses.models import CourseRun, CourseVersion, PublishedVersion
from lms.courses.operations import runs
from lms.enrollments.operations import complete_all

Policy = Literal["all", "not_started"]
"""Who goes along: everybody who has not completed, or of them those without any progress."""

MOST_EFFECTS = 1000
"""Most enrollments of which an upgrade tells what it does; it counts all."""

# Of everybody who could go along: percent in the target version. The formula is `percent_of`'s. The
# rules are read once into a small map, and progress is looked up by its key for each enrollment, so
# that no plan compares everybody with everybody.
STANDINGS = """
    WITH required AS MATERIALIZED (
        SELECT jsonb_object_agg(l.key, l.value -> 'weight') AS weights,
               sum((l.value ->> 'weight')::bigint)::bigint AS total
          FROM published_versions p CROSS JOIN LATERAL jsonb_each(p.rules -> 'lessons') AS l
         WHERE p.version_id = :target_id AND (l.value ->> 'required')::boolean
    ), standing AS (
        SELECT e.id, e.user_id, e.state, e.percent AS percent_before, progress.has_started,
               e.completed_at IS NOT NULL AND e.percent = 100 AS stays_open,
               COALESCE(100 * progress.done / required.total, 0) AS percent_after
          FROM required
         CROSS JOIN enrollments e
         CROSS JOIN LATERAL (
               SELECT count(*) > 0 AS has_started,
                      sum((required.weights ->> lp.lesson_lineage_id::text)::bigint)
                          FILTER (WHERE lp.completed_at IS NOT NULL)::bigint AS done
                 FROM lesson_progress lp
                WHERE lp.enrollment_id = e.id
         ) AS progress
         WHERE e.run_id = :run_id AND e.version_id <> :target_id
           AND e.state IN ('pending', 'waitlisted', 'active', 'suspended')
    ), moving AS (
        SELECT id, user_id, state, percent_before, percent_after,
               state = 'active' AND percent_after = 100 AND NOT stays_open AS completes
          FROM standing
         WHERE CAST(:policy AS text) = 'all' OR NOT has_started
    )
"""
FORESEEING = """
    , first AS (
        SELECT * FROM moving ORDER BY id LIMIT :most
    )
    SELECT count(*) AS moving,
           (SELECT count(*) FROM standing) - count(*) AS staying,
           (SELECT count(*) FROM enrollments WHERE run_id = :run_id AND state = 'completed')
           AS completed,
           count(*) FILTER (WHERE completes) AS completing,
           count(*) FILTER (WHERE percent_after < percent_before) AS falling,
           count(*) FILTER (WHERE percent_after > percent_before) AS rising,
           (SELECT COALESCE(jsonb_agg(first ORDER BY first.id), '[]') FROM first) AS effects
      FROM moving
"""
MOVING = """
    , moved AS (
        UPDATE enrollments
           SET version_id = :target_id, percent = moving.percent_after,
               version = enrollments.version + 1
          FROM moving
         WHERE enrollments.id = moving.id
        RETURNING enrollments.id, moving.completes
    )
    SELECT id FROM moved WHERE completes
"""
FORESEE = text(STANDINGS + FORESEEING)
MOVE = text(STANDINGS + MOVING)

# On its own and before anything is computed: whoever reports progress holds the enrollment, so what
# is seen from here on is what stands. Foreign keys that point at the rows do not wait.
HOLD_ENROLLMENTS = text("""
    SELECT count(*)
      FROM (SELECT id FROM enrollments
             WHERE run_id = :run_id AND version_id <> :target_id
               AND state IN ('pending', 'waitlisted', 'active', 'suspended')
             ORDER BY id
               FOR NO KEY UPDATE) AS held
""")


@dataclass(frozen=True, slots=True)
class VersionRef:
    """A version of the run's course."""

    id: UUID
    number: int


@dataclass(frozen=True, slots=True)
class Counts:
    """How many enrollments of the run an upgrade does what to.

    Attributes:
        moving: go over to the target version.
        staying: could, but stay in their version by the policy.
        completed: are completed, and so stay in the version that they completed.
        completing: of those that move, active ones that are completed by it.
        falling: of those that move, with a lower percent afterwards.
        rising: of those that move, with a higher percent afterwards.
    """

    moving: int
    staying: int
    completed: int
    completing: int
    falling: int
    rising: int


@dataclass(frozen=True, slots=True)
class Effect:
    """What an upgrade does to one enrollment; `state` is the one before it."""

    enrollment_id: UUID
    user_id: UUID
    state: str
    percent_before: int
    percent_after: int
    completes: bool

    @classmethod
    def of(cls, moving: Mapping[str, Any]) -> Effect:
        """Read a row of `moving`, as JSON has it."""
        return cls(
            enrollment_id=UUID(moving["id"]),
            user_id=UUID(moving["user_id"]),
            state=moving["state"],
            percent_before=moving["percent_before"],
            percent_after=moving["percent_after"],
            completes=moving["completes"],
        )


@dataclass(frozen=True, slots=True)
class Upgrade:
    """An upgrade of a run, made or only tried.

    Attributes:
        run_id: which run.
        version: the run's own, for its ETag.
        dry_run: nothing was changed.
        policy: who goes along.
        from_version: the run's version before.
        to_version: the target.
        diff: what changed from the one to the other.
        counts: of all enrollments.
        effects: of those that move, the first `MOST_EFFECTS` in the order in which they enrolled.
    """

    run_id: UUID
    version: int
    dry_run: bool
    policy: Policy
    from_version: VersionRef
    to_version: VersionRef
    diff: VersionDiff
    counts: Counts
    effects: Sequence[Effect]


def upgrade_run(
    session: Session,
    actor: Actor,
    run_id: UUID,
    *,
    target_version_id: UUID,
    policy: Policy,
    dry_run: bool,
    expected: int | None,
) -> Upgrade:
    """Move a run, and enrollments of it, to a newer version; or tell what that would do.

    Whoever enrolls from then on gets the new version. Completed enrollments stay in theirs, with
    its percent and date. An active one whose required lessons are all done in the new version is
    completed, unless it was reopened with everything done and so stays open. The number of
    statements does not depend on that of the enrollments.

    Args:
        session: the organization's session.
        actor: who teaches the course, or an admin.
        run_id: which run.
        target_version_id: a published version of its course, newer than the run's; or the run's
            own, for those who stayed behind in an older one.
        policy: who goes along.
        dry_run: change nothing.
        expected: version of the run that the client read, or None.

    Raises:
        NotFoundError: the actor teaches no course with this run.
        StaleVersionError: the run changed since.
        RunStateNotAllowedError: it is cancelled.
        VersionNotPublishedError: the target is not a published version of the course.
        VersionNotNewerError: it is older, or the run and everybody in it have it already.
    """
    if dry_run:
        run = run_queries.taught_run(session, actor, run_id)
        check_version(run, expected)
    else:
        run = runs.hold_run(session, actor, run_id, expected=expected)
    if run.state == "cancelled":
        raise RunStateNotAllowedError(
            "A cancelled run stays as it is; run the course again instead.",
            state=run.state,
            allowed=[],
        )
    present, target = _find_versions(session, run, target_version_id)
    values: dict[str, Any] = {"run_id": run_id, "target_id": target.id, "policy": policy}
    if not dry_run:
        session.execute(HOLD_ENROLLMENTS, values)
    *numbers, effects = session.execute(FORESEE, {**values, "most": MOST_EFFECTS}).one()
    counts = Counts(*numbers)
    if target == present and not counts.moving + counts.staying:
        raise VersionNotNewerError(
            "The run and everybody in it are in this version already.",
            number=target.number,
            present_number=present.number,
        )
    if not dry_run:
        _move(session, actor, run, values, counts)
    return Upgrade(
        run_id=run_id,
        version=run.version,
        dry_run=dry_run,
        policy=policy,
        from_version=present,
        to_version=target,
        diff=compare_versions(session, present.id, target.id),
        counts=counts,
        effects=[Effect.of(one) for one in effects],
    )


def _move(
    session: Session,
    actor: Actor,
    run: CourseRun,
    values: dict[str, Any],
    counts: Counts,
) -> None:
    before, target_id = {"version_id": str(run.version_id)}, values["target_id"]
    completing = session.scalars(MOVE, values).all()
    if completing:
        rules_hash = session.scalars(
            select(PublishedVersion.content_hash).where(PublishedVersion.version_id == target_id)
        ).one()
        complete_all(session, completing, rules_hash=rules_hash, actor_id=actor.user_id)
    run.version_id = target_id
    session.flush()
    audit.record(
        session,
        "course_run.upgrade",
        ("course_run", run.id),
        actor_id=actor.user_id,
        before=before,
        after={
            "version_id": str(target_id),
            "policy": values["policy"],
            "moved": counts.moving,
            "stayed": counts.staying,
            "completed": counts.completing,
        },
    )


def _find_versions(
    session: Session, run: CourseRun, target_id: UUID
) -> tuple[VersionRef, VersionRef]:
    """Return the run's version and the target, which is not older."""
    query = select(CourseVersion.id, CourseVersion.number, CourseVersion.state).where(
        CourseVersion.course_id == run.course_id, CourseVersion.id.in_([run.version_id, target_id])
    )
    found = {row.id: row for row in session.execute(query)}
    target = found.get(target_id)
    if target is None or target.state != "published":
        raise VersionNotPublishedError(
            "A run is upgraded to a published version of its course; publish one first.",
            version_id=str(target_id),
            state=None if target is None else target.state,
        )
    present = found[run.version_id]
    if target.number < present.number:
        raise VersionNotNewerError(
            f"The run is in version {present.number}; version {target.number} is older.",
            number=target.number,
            present_number=present.number,
        )
    return VersionRef(present.id, present.number), VersionRef(target.id, target.number)
