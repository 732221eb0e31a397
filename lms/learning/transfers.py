"""Going over from one run of a course to another: seat, payment and progress go along."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Row, select, text
from sqlalchemy.orm import Session

from lms.core import audit
from lms.core.actor import Actor
from lms.core.errors import NotFoundError
from lms.core.ids import new_id
from lms.courses.models import CourseRun, PublishedVersion
from lms.courses.queries import taught_by
from lms.enrollments.errors import RunFullError
from lms.enrollments.models import LIVE_STATES, Enrollment
from lms.enrollments.operations import complete
from lms.enrollments.transitions import Change, refuse, try_move
from lms.learning.errors import TransferNotPossibleError
from lms.learning.models import LessonProgress
from lms.learning.progress import parse_rules, percent_of

TRANSFERRED_IN = "transferred_in"

# Both runs in one order, as two transfers that cross would wait for one another otherwise; then
# payment, enrollment and seats, as every other step has it.
HOLD_RUNS = text("""
    SELECT id, course_id, version_id, state, state = 'scheduled' AND now() < ends_at AS is_open
      FROM course_runs WHERE id IN (:from_id, :to_id) ORDER BY id FOR SHARE
""")
HOLD_PAYMENT = text("""
    SELECT p.id FROM payments p JOIN enrollments e ON e.payment_id = p.id
     WHERE e.id = :id FOR NO KEY UPDATE OF p
""")
HOLD_ENROLLMENT = text("SELECT state FROM enrollments WHERE id = :id FOR NO KEY UPDATE")
HOLD_SEATS = text("""
    SELECT run_id FROM run_seats WHERE run_id IN (:from_id, :to_id)
     ORDER BY run_id FOR NO KEY UPDATE
""")
LET_PAYMENT_GO = text("""
    UPDATE enrollments SET payment_id = NULL
     WHERE id = :id AND state = 'transferred'
""")

# Content that opened some days after the activation stays open; the seat is counted like any other.
GO_ON = text("""
    WITH gone AS (
        SELECT user_id, activated_at FROM enrollments WHERE id = :id
    ), enrolled AS (
        INSERT INTO enrollments
               (id, user_id, run_id, version_id, payment_id, attempt, state, activated_at,
                transferred_from_id)
        SELECT CAST(:new_id AS uuid), gone.user_id, CAST(:to_id AS uuid),
               CAST(:version_id AS uuid), CAST(:payment_id AS uuid),
               (SELECT COALESCE(max(e.attempt), 0) + 1 FROM enrollments e
                 WHERE e.user_id = gone.user_id AND e.run_id = :to_id),
               'active', gone.activated_at, CAST(:id AS uuid)
          FROM gone
        ON CONFLICT DO NOTHING
        RETURNING id
    ), seated AS (
        UPDATE run_seats SET taken = run_seats.taken + 1
          FROM enrolled
         WHERE run_seats.run_id = :to_id
           AND (run_seats.capacity IS NULL
                OR run_seats.taken + run_seats.waitlisted < run_seats.capacity)
        RETURNING run_seats.run_id
    ), moved AS (
        UPDATE payments SET transferred_at = now(), version = payments.version + 1
          FROM enrolled WHERE payments.id = CAST(:payment_id AS uuid)
    ), recorded AS (
        INSERT INTO enrollment_changes (id, enrollment_id, from_state, to_state, actor_id, reason)
        SELECT CAST(:change_id AS uuid), enrolled.id, NULL, 'active', CAST(:actor_id AS uuid),
               CAST(:reason AS text)
          FROM enrolled
    )
    SELECT EXISTS (SELECT FROM enrolled) AS enrolled, EXISTS (SELECT FROM seated) AS seated
""")
FIND_SEATS = text("SELECT capacity, taken, waitlisted FROM run_seats WHERE run_id = :to_id")

# Rows of lessons that the new version does not have stay in the history and count for nothing.
CARRY_PROGRESS = text("""
    INSERT INTO lesson_progress
           (enrollment_id, lesson_lineage_id, position_seconds, watched, dwell_seconds,
            completed_at, completed_how, first_activity_at, last_activity_at)
    SELECT CAST(:new_id AS uuid), lesson_lineage_id, position_seconds, watched, dwell_seconds,
           completed_at, completed_how, first_activity_at, last_activity_at
      FROM lesson_progress WHERE enrollment_id = :id
""")
SET_PERCENT = text("UPDATE enrollments SET percent = :percent WHERE id = :id")


def transfer(
    session: Session, actor: Actor, enrollment_id: UUID, *, run_id: UUID, reason: str
) -> Enrollment:
    """Let an active learner go on in another run of the same course, in one transaction.

    The seat in the earlier run comes free. What was paid stays paid, whatever the other run costs:
    it goes along, with the refund policy under which it was paid. Progress goes along by lesson
    lineage; when all that the other run's version requires is done, the enrollment is completed.

    Args:
        session: the organization's session; must roll back when this raises.
        actor: who teaches the course, or an admin.
        enrollment_id: which.
        run_id: where to.
        reason: for the audit log; no personal data.

    Returns:
        The enrollment in the other run.

    Raises:
        NotFoundError: there is no such enrollment in a run that the actor teaches.
        TransferNotPossibleError: the other run is none of the course that takes learners, or the
            learner is in it already.
        TransitionNotAllowedError: the enrollment is not active.
        RunFullError: every seat of the other run is taken, or waited for.
    """
    from_id = _find_run(session, actor, enrollment_id)
    values: dict[str, Any] = {"id": enrollment_id, "from_id": from_id, "to_id": run_id}
    target = _hold_target(session, values)
    payment_id = session.execute(HOLD_PAYMENT, values).scalar()
    session.execute(HOLD_ENROLLMENT, values)
    session.execute(HOLD_SEATS, values)
    change = Change("transferred", actor.user_id)
    if not try_move(session, enrollment_id, "transferred", change, only_from="active"):
        refuse(session, enrollment_id, "transferred")
    session.execute(LET_PAYMENT_GO, values)
    values |= {
        "new_id": new_id(),
        "change_id": new_id(),
        "version_id": target.version_id,
        "payment_id": payment_id,
        "actor_id": actor.user_id,
        "reason": TRANSFERRED_IN,
    }
    done = session.execute(GO_ON, values).one()
    if not done.enrolled:
        raise _is_there_already(session, enrollment_id, run_id)
    if not done.seated:
        raise _is_full(session, values)
    session.execute(CARRY_PROGRESS, values)
    for subject_id, other_id, state in (
        (enrollment_id, values["new_id"], "transferred"),
        (values["new_id"], enrollment_id, "active"),
    ):
        audit.record(
            session,
            "enrollment.transfer",
            ("enrollment", subject_id),
            actor_id=actor.user_id,
            before={"run_id": str(from_id)},
            after={
                "state": state,
                "run_id": str(run_id),
                "other_enrollment_id": str(other_id),
                "reason": reason,
            },
        )
    return _count(session, actor, values["new_id"], target.version_id)


def _find_run(session: Session, actor: Actor, enrollment_id: UUID) -> UUID:
    found = session.scalar(
        select(Enrollment.run_id)
        .join(CourseRun, CourseRun.id == Enrollment.run_id)
        .where(Enrollment.id == enrollment_id, taught_by(actor, CourseRun.course_id))
    )
    if found is None:
        raise NotFoundError("There is no such enrollment.")
    return found


def _hold_target(session: Session, values: dict[str, Any]) -> Row[Any]:
    """Return the run to go to, held with the one to leave."""
    if values["from_id"] == values["to_id"]:
        raise TransferNotPossibleError("same_run", "The learner is in this run already.")
    runs = {row.id: row for row in session.execute(HOLD_RUNS, values)}
    target, source = runs.get(values["to_id"]), runs[values["from_id"]]
    if target is None or target.course_id != source.course_id:
        raise TransferNotPossibleError(
            "other_course", "A learner is transferred to another run of the same course."
        )
    if not target.is_open:
        raise TransferNotPossibleError(
            "run_not_open",
            "This run takes nobody: it is not scheduled, or has ended.",
            run_state=target.state,
        )
    return target


def _is_there_already(
    session: Session, enrollment_id: UUID, run_id: UUID
) -> TransferNotPossibleError:
    learner = select(Enrollment.user_id).where(Enrollment.id == enrollment_id).scalar_subquery()
    other_id = session.scalar(
        select(Enrollment.id).where(
            Enrollment.user_id == learner,
            Enrollment.run_id == run_id,
            Enrollment.state.in_(LIVE_STATES),
        )
    )
    return TransferNotPossibleError(
        "already_enrolled",
        "The learner has an enrollment in this run. Withdraw that one first.",
        enrollment_id=other_id and str(other_id),
    )


def _is_full(session: Session, values: dict[str, Any]) -> RunFullError:
    seats = session.execute(FIND_SEATS, values).one()
    return RunFullError(
        "Every seat of the other run is taken, or waited for. Make its capacity larger first.",
        capacity=seats.capacity,
        waitlisted=seats.waitlisted,
    )


def _count(session: Session, actor: Actor, enrollment_id: UUID, version_id: UUID) -> Enrollment:
    """Compute percent and completion by the rules of the other run's version."""
    version = session.get_one(PublishedVersion, version_id)
    done = session.scalars(
        select(LessonProgress.lesson_lineage_id).where(
            LessonProgress.enrollment_id == enrollment_id, LessonProgress.completed_at.is_not(None)
        )
    )
    percent = percent_of(parse_rules(version.rules), set(done))
    session.execute(SET_PERCENT, {"id": enrollment_id, "percent": percent})
    if percent == 100:
        rules_hash = version.content_hash
        return complete(session, enrollment_id, rules_hash=rules_hash, actor_id=actor.user_id)
    return session.get_one(Enrollment, enrollment_id, populate_existing=True)
