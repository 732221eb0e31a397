"""Going over from one run of a course to another: seat, payment and progress go along."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select, text
from sqlalchemy.orm import Session

from lms.core import audit
from lms.core.actor import Actor
from lms.core.errors import ForbiddenError, NotFoundError
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

# Runs, payment, enrollments, seats: the order of every enrolling. Of two runs the one with the
# lower id comes first, as two transfers that cross would wait for one another otherwise.
HOLD_RUNS = text("""
    SELECT id, course_id, version_id, state, price_amount,
           state = 'scheduled' AND now() < ends_at AS is_open,
           jsonb_build_array(jsonb_build_object(
               'until', to_char(starts_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'),
               'percent', 100)) AS default_policy
      FROM course_runs WHERE id IN (:from_id, :to_id) ORDER BY id FOR SHARE
""")
HOLD_PAYMENT = text("""
    SELECT p.id, p.amount + p.discount_amount AS list_amount
      FROM payments p JOIN enrollments e ON e.payment_id = p.id
     WHERE e.id = :id FOR NO KEY UPDATE OF p
""")
HOLD_ENROLLMENT = text("SELECT id FROM enrollments WHERE id = :id FOR NO KEY UPDATE")

# Content that opened some days after the activation stays open.
ENROLL_THERE = text("""
    WITH enrolled AS (
        INSERT INTO enrollments
               (id, user_id, run_id, version_id, attempt, state, activated_at, access_ends_at,
                transferred_from_id)
        SELECT CAST(:new_id AS uuid), gone.user_id, CAST(:to_id AS uuid),
               CAST(:version_id AS uuid),
               (SELECT COALESCE(max(e.attempt), 0) + 1 FROM enrollments e
                 WHERE e.user_id = gone.user_id AND e.run_id = :to_id),
               'active', gone.activated_at,
               (SELECT gone.access_ends_at FROM course_runs r
                 WHERE r.id = :to_id AND gone.access_ends_at > r.access_ends_at),
               gone.id
          FROM enrollments gone
         WHERE gone.id = :id AND gone.state = 'active'
        ON CONFLICT DO NOTHING
        RETURNING id
    ), recorded AS (
        INSERT INTO enrollment_changes (id, enrollment_id, from_state, to_state, actor_id, reason)
        SELECT CAST(:change_id AS uuid), enrolled.id, NULL, 'active', CAST(:actor_id AS uuid),
               CAST(:reason AS text)
          FROM enrolled
    )
    SELECT id FROM enrolled
""")
HOLD_SEATS = text("""
    SELECT run_id FROM run_seats WHERE run_id IN (:from_id, :to_id)
     ORDER BY run_id FOR NO KEY UPDATE
""")
LET_PAYMENT_GO = text("""
    UPDATE enrollments SET payment_id = NULL
     WHERE id = :id AND state = 'transferred'
""")
TAKE_SEAT = text("""
    WITH paid AS (
        UPDATE enrollments SET payment_id = CAST(:payment_id AS uuid) WHERE id = :new_id
    ), moved AS (
        UPDATE payments
           SET transferred_at = now(), version = version + 1,
               refund_policy = CASE WHEN refund_policy <> '[]' THEN refund_policy
                                    ELSE CAST(:refund_policy AS jsonb) END
         WHERE id = CAST(:payment_id AS uuid)
    )
    UPDATE run_seats SET taken = taken + 1
     WHERE run_id = :to_id AND (capacity IS NULL OR taken + waitlisted < capacity)
    RETURNING run_id
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
    it goes along, with the refund policy under which it was paid; where that was the default, with
    the start of the earlier run. Progress goes along by lesson lineage; when all that the other
    run's version requires is done, the enrollment is completed.

    Args:
        session: the organization's session; must roll back when this raises.
        actor: who teaches the course, or an admin.
        enrollment_id: which.
        run_id: where to.
        reason: for the audit log; no personal data.

    Returns:
        The enrollment in the other run.

    Raises:
        NotFoundError: there is no such enrollment in a run that the actor teaches, or no such run.
        ForbiddenError: the other run costs more than was paid, and the actor is not an admin.
        TransferNotPossibleError: the other run is none of the course that takes learners, or the
            learner is in it already.
        TransitionNotAllowedError: the enrollment is not active.
        RunFullError: every seat of the other run is taken, or waited for.
    """
    from_id = _find_run(session, actor, enrollment_id)
    values: dict[str, Any] = {"id": enrollment_id, "from_id": from_id, "to_id": run_id}
    source, target = _hold_runs(session, values)
    payment = session.execute(HOLD_PAYMENT, values).one_or_none()
    _require_admin_for_dearer(actor, target, 0 if payment is None else payment.list_amount)
    values |= {
        "new_id": new_id(),
        "change_id": new_id(),
        "version_id": target.version_id,
        "payment_id": None if payment is None else payment.id,
        "refund_policy": json.dumps(source.default_policy),
        "actor_id": actor.user_id,
        "reason": TRANSFERRED_IN,
    }
    session.execute(HOLD_ENROLLMENT, values)
    is_enrolled = session.execute(ENROLL_THERE, values).one_or_none() is not None
    session.execute(HOLD_SEATS, values)
    change = Change("transferred", actor.user_id)
    if not try_move(session, enrollment_id, "transferred", change, only_from="active"):
        refuse(session, enrollment_id, "transferred")
    if not is_enrolled:
        raise _is_there_already(session, enrollment_id, run_id)
    session.execute(LET_PAYMENT_GO, values)
    if session.execute(TAKE_SEAT, values).one_or_none() is None:
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


def _require_admin_for_dearer(actor: Actor, target: Row[Any], paid: int) -> None:
    """Let nobody but admins give away a seat that costs more than was paid, as with grants."""
    if target.price_amount > paid and not actor.is_admin:
        raise ForbiddenError(
            "This run costs more than the learner paid; only admins transfer to it.",
            required="admin",
        )


def _hold_runs(session: Session, values: dict[str, Any]) -> tuple[Row[Any], Row[Any]]:
    """Return the run to leave and the one to go to, both held."""
    if values["from_id"] == values["to_id"]:
        raise TransferNotPossibleError("same_run", "The learner is in this run already.")
    runs = {row.id: row for row in session.execute(HOLD_RUNS, values)}
    target, source = runs.get(values["to_id"]), runs[values["from_id"]]
    if target is None:
        raise NotFoundError("There is no such run.")
    if target.course_id != source.course_id:
        raise TransferNotPossibleError(
            "other_course", "A learner is transferred to another run of the same course."
        )
    if not target.is_open:
        raise TransferNotPossibleError(
            "run_not_open",
            "This run takes nobody: it is not scheduled, or has ended.",
            run_state=target.state,
        )
    return source, target


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
