"""Lessons that open later, and days that pass: for the tests about locks."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text
from werkzeug.test import TestResponse

from lms.courses.models import CourseRun
from tenants.session import Database, OrganizationScope
from tests.factories.learning import (
    LessonPlan,
    MadeCourse,
)

DAY = timedelta(days=1)

AGE_RUN = text("""
    UPDATE course_runs SET starts_at = starts_at - make_interval(hours => :hours)
     WHERE id = :run_id
""")

AGE_ENROLLMENTS = text("""
    UPDATE enrollments SET activated_at = activated_at - make_interval(hours => :hours)
     WHERE run_id = :run_id
""")


def after(event: str, days: int) -> dict[str, Any]:
    return {"after": event, "days": days}


WEEK_TWO = LessonPlan(availability=after("run_start", 7))

THREE_DAYS_IN = LessonPlan(availability=after("activation", 3))


def locked(answer: TestResponse) -> list[dict[str, Any] | None]:
    """Return what the answer to a reading of progress says of each lesson's lock."""
    assert answer.status_code == 200, answer.text
    assert answer.json is not None
    return [lesson["locked"] for lesson in answer.json["lessons"]]


def start_of(database: Database, organization_id: UUID, course: MadeCourse) -> datetime:
    with database.transaction(OrganizationScope(organization_id)) as session:
        return session.get_one(CourseRun, course.run_id).starts_at


def moved(database: Database, organization_id: UUID, course: MadeCourse, days: int) -> None:
    """Let so many days of the run, and of its enrollments, have passed."""
    with database.transaction(OrganizationScope(organization_id)) as session:
        values = {"hours": 24 * days, "run_id": course.run_id}
        session.execute(AGE_RUN, values)
        session.execute(AGE_ENROLLMENTS, values)
