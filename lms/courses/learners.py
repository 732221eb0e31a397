"""Whether somebody learns, or learned, in a run.

What somebody enrolled in stays readable for them when it leaves the catalog. Enrollments are a room
above this one, so its models cannot be imported here, and a visibility that a query is to apply
cannot be asked of it row by row: the two columns are named instead.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import ColumnElement, Uuid, column, exists, table
from sqlalchemy.orm import InstrumentedAttribute

from lms.core.actor import Actor
from lms.courses.models import CourseRun

_ENROLLMENTS = table("enrollments", column("user_id", Uuid()), column("run_id", Uuid()))


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
