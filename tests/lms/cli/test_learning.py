"""`lms learning recompute`: what it prints, and what it leaves."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import text

from lms.core.ids import new_id
from tenants.session import Database, OrganizationScope
from tests.factories.learning import LessonPlan, MadeCourse, enroll, make_course, read_enrollment
from tests.factories.people import make_user

Run = Callable[..., Result]


@pytest.fixture
def slug() -> str:
    return f"learning-{new_id().hex[-12:]}"


@pytest.fixture
def organization_id(make_organization: Callable[..., UUID], slug: str) -> UUID:
    return make_organization(slug)


@pytest.fixture
def course(database: Database, organization_id: UUID, app: Flask) -> MadeCourse:
    teacher = make_user(database, organization_id, "instructor", app=app)
    return make_course(database, organization_id, teacher, [LessonPlan(), LessonPlan()])


@pytest.fixture
def wrong(database: Database, organization_id: UUID, course: MadeCourse, app: Flask) -> UUID:
    """An enrollment whose percent its lessons do not say, beside one that is right."""
    people = [make_user(database, organization_id, app=app) for _ in range(2)]
    made = [enroll(database, organization_id, course, person) for person in people]
    with database.transaction(OrganizationScope(organization_id)) as session:
        session.execute(text("UPDATE enrollments SET percent = 70 WHERE id = :id"), {"id": made[0]})
    return made[0]


def test_it_prints_each_enrollment_that_changed_and_how_many_there_were(
    run: Run, slug: str, organization_id: UUID, wrong: UUID, database: Database
) -> None:
    result = run("learning", "recompute", "--organization", slug)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "ENROLLMENT                            PERCENT WAS  IS  COMPLETED",
        f"{wrong}  70           0   no",
        "Enrollments recomputed: 2. Changed: 1. Completed: 0.",
    ]
    assert read_enrollment(database, organization_id, wrong).percent == 0


def test_where_nothing_is_wrong_it_says_so_in_one_line(
    run: Run, slug: str, course: MadeCourse
) -> None:
    result = run("learning", "recompute", "--organization", slug, "--run", str(course.run_id))
    assert result.exit_code == 0, result.output
    assert result.stdout == "Enrollments recomputed: 0. Changed: 0. Completed: 0.\n"


def test_a_dry_run_prints_the_same_and_changes_nothing(
    run: Run, slug: str, organization_id: UUID, wrong: UUID, database: Database
) -> None:
    result = run("learning", "recompute", "--organization", slug, "--dry-run")
    assert result.exit_code == 0, result.output
    assert str(wrong) in result.stdout
    assert "Would change: 1. Would be completed: 0." in result.stdout
    assert read_enrollment(database, organization_id, wrong).percent == 70


def test_an_unknown_organization_or_run_is_told_in_one_line(
    run: Run, slug: str, course: MadeCourse
) -> None:
    for words in (
        ("--organization", "nobody"),
        ("--organization", slug, "--run", str(new_id())),
    ):
        result = run("learning", "recompute", *words)
        assert result.exit_code == 1
        assert result.stderr.startswith("Error: There is no")
        assert len(result.stderr.splitlines()) == 1
