"""Reads of runs: with their phase by the database's clock, and their seats."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, case, func, or_, select
from sqlalchemy.orm import Session

from lms.core.actor import Actor
from lms.core.errors import NotFoundError
from lms.core.money import Money
from lms.core.pagination import Page, paginate
from lms.courses.learners import enrollments_left, learns_in_run
from lms.courses.models import CourseRun, RunSeats
from lms.courses.queries import taught_by, visible_course

PHASES = ("upcoming", "enrollment_open", "in_progress", "ended")

PHASE: ColumnElement[str] = case(
    (or_(func.now() >= CourseRun.ends_at, CourseRun.state == "cancelled"), "ended"),
    (
        and_(
            CourseRun.state == "scheduled",
            func.now() >= CourseRun.enrollment_opens_at,
            func.now() < CourseRun.enrollment_closes_at,
        ),
        "enrollment_open",
    ),
    (func.now() >= CourseRun.starts_at, "in_progress"),
    else_="upcoming",
)
"""Of a run by PostgreSQL's clock, so that machines need not agree. While one can still enroll it is
`enrollment_open`, also after the start; a cancelled one has ended."""


@dataclass(frozen=True, slots=True)
class Seats:
    """How full a run is. `capacity` and `available` are None when it is unlimited."""

    capacity: int | None
    taken: int
    waitlisted: int

    @property
    def available(self) -> int | None:
        """Seats that are left for whom does not wait for one yet."""
        if self.capacity is None:
            return None
        return max(self.capacity - self.taken - self.waitlisted, 0)


@dataclass(frozen=True, slots=True)
class RunView:
    """A run as people see it.

    Attributes:
        run: the row; its `version` is the ETag, which enrolling does not change.
        phase: one of `PHASES`, at the moment of reading.
        seats: at the moment of reading.
        enrollments_left: of a cancelled run, how many have yet to be ended; None of any other.
    """

    run: CourseRun
    phase: str
    seats: Seats
    enrollments_left: int | None

    @property
    def version(self) -> int:
        """The run's own version, for its ETag."""
        return self.run.version

    @property
    def price(self) -> Money:
        """What one seat costs; 0 is free."""
        return Money(self.run.price_amount, self.run.currency)

    @property
    def refund_policy(self) -> list[dict[str, Any]]:
        """The refund steps, `{"until": aware datetime, "percent": 0..100}`, by rising `until`."""
        return [
            {**step, "until": datetime.fromisoformat(step["until"])}
            for step in self.run.refund_policy
        ]


def runs_visible_to(actor: Actor) -> ColumnElement[bool]:
    """Return the condition that the actor may see a run: of their courses, or scheduled."""
    if actor.is_staff:
        return taught_by(actor, CourseRun.course_id)
    return CourseRun.state == "scheduled"


def runs_known_to(actor: Actor) -> ColumnElement[bool]:
    """Return the condition that the actor may see a run, or is enrolled in it whatever it is."""
    return or_(runs_visible_to(actor), learns_in_run(actor))


def run_of(session: Session, actor: Actor, run_id: UUID) -> RunView:
    """Return a run that the actor may see, or is enrolled in whatever became of it.

    Raises:
        NotFoundError: there is none that they may know of.
    """
    row = session.execute(
        select(
            CourseRun,
            PHASE,
            RunSeats.capacity,
            RunSeats.taken,
            RunSeats.waitlisted,
            enrollments_left(),
        )
        .join(RunSeats, RunSeats.run_id == CourseRun.id)
        .where(CourseRun.id == run_id, runs_known_to(actor))
    ).first()
    if row is None:
        raise NotFoundError("There is no such run for you.")
    run, phase, capacity, taken, waitlisted, left = row
    return RunView(run, phase, Seats(capacity, taken, waitlisted), left)


def taught_run(session: Session, actor: Actor, run_id: UUID) -> CourseRun:
    """Return a run of a course that the actor teaches.

    Raises:
        NotFoundError: there is none.
    """
    run = session.scalar(
        select(CourseRun).where(CourseRun.id == run_id, taught_by(actor, CourseRun.course_id))
    )
    if run is None:
        raise NotFoundError("There is no such run for you.")
    return run


def list_runs(session: Session, actor: Actor, *, limit: int, cursor: str | None) -> Page[RunView]:
    """Return one page of the runs that the actor may see or is enrolled in, oldest first."""
    query = select(CourseRun).where(runs_known_to(actor))
    page = paginate(session, query, CourseRun.id, limit=limit, cursor=cursor)
    return Page(_views(session, page.items), page.next_cursor)


def list_runs_of_course(
    session: Session, actor: Actor, course_id: UUID, *, limit: int, cursor: str | None
) -> Page[RunView]:
    """Return one page of a course's runs that the actor may see or is enrolled in, oldest first.

    Raises:
        NotFoundError: no such course for them.
    """
    visible_course(session, actor, course_id)
    query = select(CourseRun).where(CourseRun.course_id == course_id, runs_known_to(actor))
    page = paginate(session, query, CourseRun.id, limit=limit, cursor=cursor)
    return Page(_views(session, page.items), page.next_cursor)


def _views(session: Session, runs: Iterable[CourseRun]) -> Sequence[RunView]:
    runs = list(runs)
    rows = session.execute(
        select(
            CourseRun.id,
            PHASE,
            RunSeats.capacity,
            RunSeats.taken,
            RunSeats.waitlisted,
            enrollments_left(),
        )
        .join(RunSeats, RunSeats.run_id == CourseRun.id)
        .where(CourseRun.id.in_([run.id for run in runs]))
    )
    found = {
        row[0]: (row[1], Seats(row.capacity, row.taken, row.waitlisted), row[-1]) for row in rows
    }
    return [RunView(run, *found[run.id]) for run in runs]
