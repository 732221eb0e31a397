"""A learner's transcript over all runs: theirs, admins', and instructors' part of it."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from lms.core.ids import new_id
from tenants.session import Database
from tests.factories.learning import LessonPlan, MadeCourse, enroll, make_course
from tests.factories.people import Person, make_user

GLOBEX = "http://globex.localhost"
Publish = Callable[..., MadeCourse]
Enrolled = Callable[..., UUID]
Send = Callable[..., TestResponse]


@pytest.fixture
def admin(database: Database, acme: UUID, client: FlaskClient) -> Person:
    del client
    return make_user(database, acme, "admin")


@pytest.fixture
def colleague(database: Database, acme: UUID, client: FlaskClient) -> Person:
    """An instructor with a course of their own."""
    del client
    return make_user(database, acme, "instructor")


def listed(answer: TestResponse) -> list[str]:
    assert answer.status_code == 200, answer.text
    assert answer.json is not None
    return [one["enrollment_id"] for one in answer.json["items"]]


def test_a_transcript_tells_of_each_enrollment_what_it_was_and_what_came_of_it(
    publish: Publish, enrolled: Enrolled, report: Send, get: Send, learner: Person
) -> None:
    course = publish(LessonPlan(), LessonPlan())
    enrollment_id = enrolled(course)
    report(enrollment_id, course.lessons[0].id, viewed=True)
    (entry,) = get("/me/transcript", learner).json["items"]
    assert entry["activated_at"] is not None
    assert {**entry, "activated_at": None} == {
        "enrollment_id": str(enrollment_id),
        "course": {"id": str(course.course_id), "title": "Negotiation basics"},
        "run": {"id": str(course.run_id), "title": "January cohort"},
        "version_number": 1,
        "state": "active",
        "attempt": 1,
        "percent": 50,
        "activated_at": None,
        "completed_at": None,
        "ended_at": None,
    }


def test_a_transcript_has_every_run_and_attempt_newest_first_page_by_page(
    publish: Publish, enrolled: Enrolled, get: Send, learner: Person
) -> None:
    first, second = publish(LessonPlan()), publish(LessonPlan())
    made = [
        enrolled(first, "withdrawn"),
        enrolled(second, "completed"),
        enrolled(first, "active", attempt=2),
    ]
    page = get("/me/transcript?limit=2", learner).json
    rest = get(f"/me/transcript?limit=2&cursor={page['next_cursor']}", learner).json
    entries = [*page["items"], *rest["items"]]
    assert [one["enrollment_id"] for one in entries] == [str(one) for one in made[::-1]]
    assert [one["attempt"] for one in entries] == [2, 1, 1]
    assert [one["state"] for one in entries] == ["active", "completed", "withdrawn"]


@pytest.mark.parametrize("state", ["cancelled", "expired"])
def test_an_attempt_that_ended_before_it_was_active_is_in_no_transcript(
    state: str, publish: Publish, enrolled: Enrolled, get: Send, learner: Person, admin: Person
) -> None:
    course = publish(LessonPlan())
    enrolled(course, state, activated=False)
    taken = enrolled(course, attempt=2)
    for path, person in (
        ("/me/transcript", learner),
        (f"/users/{learner.id}/transcript", admin),
    ):
        assert listed(get(path, person)) == [str(taken)]


def test_ones_own_transcript_shows_nobody_elses_enrollments(
    publish: Publish, enrolled: Enrolled, get: Send, database: Database, acme: UUID
) -> None:
    enrolled(publish(LessonPlan()))
    assert listed(get("/me/transcript", make_user(database, acme))) == []


def test_admins_read_all_of_a_learners_transcript(
    publish: Publish, enrolled: Enrolled, get: Send, learner: Person, admin: Person
) -> None:
    made = [enrolled(publish(LessonPlan())) for _ in range(2)]
    answer = get(f"/users/{learner.id}/transcript", admin)
    assert listed(answer) == [str(one) for one in made[::-1]]


def test_admins_read_an_empty_transcript_of_who_never_enrolled(
    get: Send, learner: Person, admin: Person
) -> None:
    assert listed(get(f"/users/{learner.id}/transcript", admin)) == []
    assert get(f"/users/{new_id()}/transcript", admin).status_code == 404


def test_instructors_read_what_a_learner_did_in_runs_that_they_teach(
    publish: Publish,
    enrolled: Enrolled,
    get: Send,
    learner: Person,
    teacher: Person,
    colleague: Person,
    database: Database,
    acme: UUID,
) -> None:
    taught = enrolled(publish(LessonPlan()))
    enroll(database, acme, make_course(database, acme, colleague, [LessonPlan()]), learner)
    assert listed(get(f"/users/{learner.id}/transcript", teacher)) == [str(taught)]


def test_a_learner_of_nobodys_run_is_not_there_for_instructors(
    publish: Publish, enrolled: Enrolled, get: Send, learner: Person, colleague: Person
) -> None:
    enrolled(publish(LessonPlan()))
    assert get(f"/users/{learner.id}/transcript", colleague).status_code == 404


def test_students_read_no_transcript_by_id_not_even_their_own(get: Send, learner: Person) -> None:
    assert get(f"/users/{learner.id}/transcript", learner).status_code == 403


def test_globex_knows_nothing_of_acmes_learners(
    get: Send, learner: Person, admin: Person, database: Database, globex: UUID
) -> None:
    path = f"/users/{learner.id}/transcript"
    assert get(path, admin, base_url=GLOBEX).status_code == 401
    assert get(path, make_user(database, globex, "admin"), base_url=GLOBEX).status_code == 404
