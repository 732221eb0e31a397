"""Scheduling runs of published versions, what of them may still change, and cancelling them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import case, select, update
from sqlalchemy.orm import Session

from lms.core import audit, clock, queue
from lms.core.actor import Actor
from lms.core.ids import new_id
from lms.core.money import Money
from lms.core.versions import check_version
from lms.courses import policy, queries, run_queries
from lms.courses.errors import (
    CapacityBelowTakenError,
    RunHasLearnersError,
    VersionNotPublishedError,
)
from lms.courses.models import CourseRun, CourseVersion, RunSeats
from lms.courses.operations.changes import apply_changes
from lms.courses.run_queries import RunView
from tenants.session import organization_of

DATES = ("starts_at", "ends_at", "enrollment_opens_at", "enrollment_closes_at")


def create_run(
    session: Session,
    actor: Actor,
    course_id: UUID,
    values: Mapping[str, Any],
    *,
    rerun_of: UUID | None = None,
) -> RunView:
    """Schedule a run, or prepare it as a draft, with its counter of seats.

    Args:
        session: the organization's session.
        actor: who teaches the course, or an admin.
        course_id: of what.
        values: the run's members; `price` is a `Money`, dates are UTC.
        rerun_of: the earlier run that it repeats, for the audit log.

    Raises:
        NotFoundError: the actor teaches no such course.
        InvalidInputError: dates out of order, or a price in another currency.
        VersionNotPublishedError: the version is not a published one of this course.
    """
    queries.taught_course(session, actor, course_id, hold=True)
    policy.check_run_dates({name: values[name] for name in DATES}, values.get("access_ends_at"))
    columns = _columns(session, values)
    _refuse_unpublished(session, course_id, values["version_id"])
    run = CourseRun(id=new_id(), course_id=course_id, **columns)
    session.add(run)
    session.flush()
    session.add(RunSeats(run_id=run.id, capacity=run.capacity))
    audit.record(
        session,
        "course_run.create",
        ("course_run", run.id),
        actor_id=actor.user_id,
        after={
            "title": run.title,
            "version_id": str(run.version_id),
            "state": run.state,
            "rerun_of": rerun_of and str(rerun_of),
        },
    )
    session.flush()
    return run_queries.run_of(session, actor, run.id)


def rerun(session: Session, actor: Actor, run_id: UUID, values: Mapping[str, Any]) -> RunView:
    """Schedule the next run after the model of an earlier one.

    What is not given is taken from the earlier run. Moments that belong to its dates keep their
    distance: the steps of the refund policy to the start, the end of access to the end.

    Args:
        session: the organization's session.
        actor: who teaches the course, or an admin.
        run_id: the earlier run, in any state.
        values: title and dates, and whatever is to differ; as for `create_run`.

    Raises:
        NotFoundError: the actor teaches no course with this run.
        InvalidInputError: dates out of order, or a price in another currency.
        VersionNotPublishedError: the version is not, or no longer, a published one of the course.
    """
    earlier = run_queries.taught_run(session, actor, run_id)
    model: dict[str, Any] = {
        "version_id": earlier.version_id,
        "capacity": earlier.capacity,
        "price": Money(earlier.price_amount, earlier.currency),
        "time_zone": earlier.time_zone,
        "approval_required": earlier.approval_required,
    }
    if "version_id" not in values:
        _refuse_archived(session, earlier)
    if "refund_policy" not in values:
        later = values["starts_at"] - earlier.starts_at
        model["refund_policy"] = [
            {**step, "until": policy.shifted(datetime.fromisoformat(step["until"]), later)}
            for step in earlier.refund_policy
        ]
    if "access_ends_at" not in values and earlier.access_ends_at is not None:
        later = values["ends_at"] - earlier.ends_at
        model["access_ends_at"] = policy.shifted(earlier.access_ends_at, later)
    return create_run(session, actor, earlier.course_id, {**model, **values}, rerun_of=run_id)


def update_run(
    session: Session,
    actor: Actor,
    run_id: UUID,
    changes: Mapping[str, Any],
    *,
    expected: int | None,
) -> RunView:
    """Change a run. While someone holds a seat its version stays.

    Args:
        session: the organization's session.
        actor: who teaches the course, or an admin.
        run_id: which.
        changes: the members to change.
        expected: version the client read, or None.

    Raises:
        NotFoundError: the actor teaches no course with this run.
        StaleVersionError: it changed since.
        InvalidInputError: dates out of order, or a price in another currency.
        RunStateNotAllowedError: the state cannot become the one asked for.
        VersionNotPublishedError: the new version is not a published one of the course.
        RunHasLearnersError: someone holds a seat, so the version stays.
        CapacityBelowTakenError: more seats are taken.
    """
    run = hold_run(session, actor, run_id, expected=expected)
    policy.check_editable(run.state)
    columns = _columns(session, changes)
    policy.check_run_dates(
        {name: columns.get(name, getattr(run, name)) for name in DATES},
        columns.get("access_ends_at", run.access_ends_at),
    )
    policy.check_run_transition(run.state, columns.get("state", run.state))
    if columns.get("version_id", run.version_id) != run.version_id:
        _refuse_unpublished(session, run.course_id, columns["version_id"])
        _refuse_learners(session, run_id)
    if columns.get("capacity", run.capacity) != run.capacity:
        _set_capacity(session, run_id, columns["capacity"])
    before, after = apply_changes(run, columns)
    if after.keys() & {"state", "enrollment_closes_at"}:
        _look_after_waitlist(session, run_id)
    if after:
        session.flush()
        audit.record(
            session,
            "course_run.update",
            ("course_run", run.id),
            actor_id=actor.user_id,
            before=before,
            after=after,
        )
    return run_queries.run_of(session, actor, run_id)


def cancel_run(
    session: Session, actor: Actor, run_id: UUID, *, reason: str, expected: int | None
) -> RunView:
    """Cancel a run that is offered: nobody enrolls in it any more. Repeating changes nothing.

    Its enrollments and their money are not touched here: see `lms.checkout.cancellations`.

    Args:
        session: the organization's session.
        actor: who teaches the course, or an admin.
        run_id: which.
        reason: for its learners; no personal data.
        expected: version the client read, or None.

    Raises:
        NotFoundError: the actor teaches no course with this run.
        StaleVersionError: it changed since.
        RunStateNotAllowedError: it is a draft or archived.
    """
    run = hold_run(session, actor, run_id, expected=expected)
    if run.state != "cancelled":
        policy.check_cancellable(run.state)
        before = {"state": run.state}
        run.state, run.cancel_reason = "cancelled", reason
        run.cancelled_at, run.cancelled_by = clock.now(), actor.user_id
        session.flush()
        audit.record(
            session,
            "course_run.cancel",
            ("course_run", run.id),
            actor_id=actor.user_id,
            before=before,
            after={"state": "cancelled", "reason": reason},
        )
    return run_queries.run_of(session, actor, run_id)


def hold_run(session: Session, actor: Actor, run_id: UUID, *, expected: int | None) -> CourseRun:
    """Return a run that only this transaction changes until it ends.

    Before seats and enrollments, as enrolling does: who is just enrolling is waited for, and seen
    by what is asked from here on.

    Args:
        session: the organization's session.
        actor: who teaches the course, or an admin.
        run_id: which.
        expected: version the client read, or None.

    Raises:
        NotFoundError: the actor teaches no course with this run.
        StaleVersionError: it changed since.
    """
    run = run_queries.taught_run(session, actor, run_id)
    session.refresh(run, with_for_update={"key_share": True})
    check_version(run, expected)
    return run


def _columns(session: Session, values: Mapping[str, Any]) -> dict[str, Any]:
    columns = dict(values)
    price: Money | None = columns.pop("price", None)
    if price is not None:
        policy.check_price(price, organization_of(session).currency)
        columns["price_amount"], columns["currency"] = price.amount, price.currency
    if "refund_policy" in columns:
        columns["refund_policy"] = [
            {**step, "until": step["until"].isoformat()} for step in columns["refund_policy"]
        ]
    return columns


def _refuse_unpublished(session: Session, course_id: UUID, version_id: UUID) -> None:
    state = session.scalar(
        select(CourseVersion.state).where(
            CourseVersion.id == version_id, CourseVersion.course_id == course_id
        )
    )
    if state != "published":
        raise VersionNotPublishedError(
            "A run delivers a published version of its course; publish one first.",
            version_id=str(version_id),
            state=state,
        )


def _refuse_archived(session: Session, run: CourseRun) -> None:
    """Refuse to repeat a run whose version is out of use, and name the one that is not."""
    versions = select(CourseVersion.id).where(
        CourseVersion.course_id == run.course_id, CourseVersion.state == "published"
    )
    if session.scalar(versions.where(CourseVersion.id == run.version_id)) is None:
        latest = session.scalar(versions.order_by(CourseVersion.number.desc()).limit(1))
        raise VersionNotPublishedError(
            "The version of this run is archived. Name a published one as `version_id`"
            + ("." if latest else "; publish one first."),
            version_id=str(run.version_id),
            state="archived",
            latest_version_id=latest and str(latest),
        )


def _refuse_learners(session: Session, run_id: UUID) -> None:
    # Locks the counter, so that nobody takes a seat between this look and the commit.
    taken = session.scalar(
        select(RunSeats.taken).where(RunSeats.run_id == run_id).with_for_update()
    )
    if taken:
        raise RunHasLearnersError(
            f"{taken} learners hold seats of this run, so its version does not simply change;"
            f" POST /runs/{run_id}/upgrade moves them to a newer one.",
            taken=taken,
        )


def _look_after_waitlist(session: Session, run_id: UUID) -> None:
    """Look after those who wait for a seat at the moment at which the run takes nobody any more."""
    session.flush()
    closes_at = session.scalar(
        select(case((CourseRun.state == "scheduled", CourseRun.enrollment_closes_at)))
        .join(RunSeats, RunSeats.run_id == CourseRun.id)
        .where(CourseRun.id == run_id, RunSeats.waitlisted > 0)
    )
    queue.hasten(session, queue.CLOSE_WAITLIST, run_id, due_at=closes_at)


def _set_capacity(session: Session, run_id: UUID, capacity: int | None) -> None:
    statement = update(RunSeats).where(RunSeats.run_id == run_id).values(capacity=capacity)
    if capacity is not None:
        statement = statement.where(RunSeats.taken <= capacity)
    waitlisted = session.scalar(statement.returning(RunSeats.waitlisted))
    if waitlisted is None:
        taken = session.scalar(select(RunSeats.taken).where(RunSeats.run_id == run_id))
        raise CapacityBelowTakenError(
            f"{taken} seats are taken; the capacity cannot be less.", taken=taken
        )
    if waitlisted:
        queue.enqueue(session, None, queue.OFFER_SEATS, run_id)
