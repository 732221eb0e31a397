"""Whether somebody learns, or learned, in a run, and how many still have to leave a cancelled one.

What somebody enrolled in stays readable for them when it leaves the catalog. Enrollments are a room
above this one, so its models cannot be imported here, and a visibility that a query is to apply
cannot be asked of it row by row: its columns are named instead.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import ColumnElement, Text, Uuid, case, column, exists, func, select, table
from sqlalchemy.orm import InstrumentedAttribute

from lms.core.actor import Actor
from lms.courses.models import CourseRun

UNFINISHED_STATES = ("pending", "waitlisted", "active", "suspended")
"""States of enrollments in which something is still to come."""

_ENROLLMENTS = table(
    "enrollments", column("user_id", Uuid()), column("run_id", Uuid()), column("state", Text())
)


def learns_in_run(actor: Actor) -> ColumnElement[bool]:
    """Return the condition that the actor has an enrollment, in any state, in the `CourseRun`."""
    return exists().where(
        _ENROLLMENTS.c.run_id == CourseRun.id, _ENROLLMENTS.c.user_id == actor.user_id
    )


def learns_in_course(actor: Actor, course_id: InstrumentedAttribute[UUID]) -> ColumnElement[bool]:
    """Return the condition that the actor has an enrollment in any run of a course.

    Args:
        actor: who asks.
        course_id: the column that holds the course's id in the query.
    """
    return exists().where(
        CourseRun.course_id == course_id,
        _ENROLLMENTS.c.run_id == CourseRun.id,
        _ENROLLMENTS.c.user_id == actor.user_id,
    )


def enrollments_left() -> ColumnElement[int | None]:
    """Return how many enrollments a cancelled `CourseRun` has yet to end; NULL of any other run."""
    left = select(func.count()).where(
        _ENROLLMENTS.c.run_id == CourseRun.id, _ENROLLMENTS.c.state.in_(UNFINISHED_STATES)
    )
    return case((CourseRun.state == "cancelled", left.correlate(CourseRun).scalar_subquery()))
