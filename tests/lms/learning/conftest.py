"""People around one course, and a short way to report progress."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tenants.session import Database
from tests.factories.cohorts import Cohort
from tests.factories.courses import make_published, make_run
from tests.factories.learning import LessonPlan, MadeCourse, enroll, make_course
from tests.factories.people import Person, make_user

ACME = "http://acme.localhost"


@pytest.fixture
def teacher(database: Database, acme: UUID, client: FlaskClient) -> Person:
    del client
    return make_user(database, acme, "instructor")


@pytest.fixture
def learner(database: Database, acme: UUID, client: FlaskClient) -> Person:
    del client
    return make_user(database, acme)


@pytest.fixture
def stranger(database: Database, globex: UUID, client: FlaskClient) -> Person:
    """Somebody of the other organization."""
    del client
    return make_user(database, globex)


@pytest.fixture
def publish(database: Database, acme: UUID, teacher: Person) -> Callable[..., MadeCourse]:
    """Make a published course of these lessons."""

    def make(*lessons: LessonPlan, **options: Any) -> MadeCourse:
        return make_course(database, acme, teacher, lessons, **options)

    return make


@pytest.fixture
def enrolled(database: Database, acme: UUID, learner: Person) -> Callable[..., UUID]:
    """Enroll the learner in a course."""

    def make(course: MadeCourse, state: str = "active", **options: Any) -> UUID:
        return enroll(database, acme, course, learner, state, **options)

    return make


@pytest.fixture
def get(client: FlaskClient) -> Callable[..., TestResponse]:
    """Read a path below /api/v1 as a person, on acme's host by default."""

    def read(path: str, person: Person | None = None, *, base_url: str = ACME) -> TestResponse:
        headers = person.headers if person else {}
        return client.get(f"/api/v1{path}", base_url=base_url, headers=headers)

    return read


@pytest.fixture
def report(client: FlaskClient, learner: Person) -> Callable[..., TestResponse]:
    """Report the learner's progress in a lesson."""

    def put(
        enrollment_id: UUID,
        lesson_id: UUID,
        *,
        person: Person | None = None,
        base_url: str = ACME,
        **body: Any,
    ) -> TestResponse:
        return client.put(
            f"/api/v1/enrollments/{enrollment_id}/lessons/{lesson_id}/progress",
            base_url=base_url,
            headers=(person or learner).headers,
            json=body,
        )

    return put


@pytest.fixture
def make_cohort(
    app: Flask, client: FlaskClient, database: Database, acme: UUID, teacher: Person
) -> Callable[..., Cohort]:
    del client

    def make(lessons: int = 4) -> Cohort:
        first = make_published(database, acme, teacher, outline=[["text"] * lessons])
        run_id = make_run(database, acme, teacher, first)
        return Cohort(app, database, acme, teacher, first, run_id)

    return make


@pytest.fixture
def cohort(make_cohort: Callable[..., Cohort]) -> Cohort:
    return make_cohort()
