"""The texts of lessons that open later: left out of learners' outlines, read one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from lms.core.ids import new_id
from lms.learning.outline_schemas import OutlineOut
from tenants.session import Database
from tests.factories.learning import LessonPlan, MadeCourse, enroll
from tests.factories.people import Person, make_user
from tests.factories.statements import counted

ACME = "http://acme.localhost"
GLOBEX = "http://globex.localhost"
Publish = Callable[..., MadeCourse]
Enrolled = Callable[..., UUID]
Send = Callable[..., TestResponse]

TEXT = ("Know your *alternative*.", "<p>Know your <em>alternative</em>.</p>\n")
WEEK_TWO = LessonPlan(availability={"after": "run_start", "days": 7})


@pytest.fixture
def admin(database: Database, acme: UUID, client: FlaskClient) -> Person:
    del client
    return make_user(database, acme, "admin")


@pytest.fixture
def course(publish: Publish) -> MadeCourse:
    """Two lessons one after the other, of which the second opens in week two at the earliest."""
    return publish(LessonPlan(), WEEK_TWO, sequential=True)


@pytest.fixture
def path(course: MadeCourse) -> str:
    return f"/course-versions/{course.version_id}/outline"


def texts_of(answer: TestResponse) -> list[tuple[str | None, str | None]]:
    assert answer.status_code == 200, answer.text
    assert answer.json is not None
    lessons: list[dict[str, Any]] = answer.json["modules"][0]["lessons"]
    return [(lesson["content"], lesson["content_html"]) for lesson in lessons]


@pytest.mark.parametrize(
    ("plans", "sequential"),
    [((LessonPlan(), WEEK_TWO), False), ((LessonPlan(), LessonPlan()), True)],
    ids=["by date", "in sequence"],
)
def test_learners_get_no_text_of_a_lesson_that_may_be_locked(
    plans: tuple[LessonPlan, ...],
    sequential: bool,
    publish: Publish,
    enrolled: Enrolled,
    get: Send,
    learner: Person,
) -> None:
    course = publish(*plans, sequential=sequential)
    enrolled(course)
    answer = get(f"/course-versions/{course.version_id}/outline", learner)
    assert texts_of(answer) == [TEXT, (None, None)]
    assert OutlineOut().dump(OutlineOut().load(answer.json)) == answer.json


def test_staff_get_every_text_of_what_they_teach(
    path: str, get: Send, teacher: Person, admin: Person
) -> None:
    for person in (teacher, admin):
        assert texts_of(get(path, person)) == [TEXT, TEXT]


def test_the_outline_is_the_same_for_every_learner_and_has_a_tag_of_its_own(
    course: MadeCourse,
    path: str,
    get: Send,
    report: Send,
    teacher: Person,
    learner: Person,
    client: FlaskClient,
    database: Database,
    acme: UUID,
) -> None:
    ahead = make_user(database, acme)
    report(enroll(database, acme, course, ahead), course.lessons[0].id, person=ahead, viewed=True)
    enroll(database, acme, course, learner)
    answers = [get(path, person) for person in (learner, ahead)]
    assert answers[0].data == answers[1].data
    tag = answers[0].headers["ETag"]
    assert tag == answers[1].headers["ETag"] != get(path, teacher).headers["ETag"]
    headers = {**learner.headers, "If-None-Match": tag}
    assert client.get(f"/api/v1{path}", base_url=ACME, headers=headers).status_code == 304


def test_an_open_lesson_is_read_with_its_text(
    course: MadeCourse, path: str, enrolled: Enrolled, get: Send, learner: Person, teacher: Person
) -> None:
    answer = get(f"/enrollments/{enrolled(course)}/lessons/{course.lessons[0].id}", learner)
    assert answer.status_code == 200
    assert answer.json == get(path, teacher).json["modules"][0]["lessons"][0]


def test_a_locked_lesson_is_not_read_and_says_what_opens_it(
    publish: Publish, enrolled: Enrolled, get: Send, report: Send, learner: Person
) -> None:
    course = publish(LessonPlan(), LessonPlan(), sequential=True)
    enrollment_id = enrolled(course)
    first, second = course.lessons
    path = f"/enrollments/{enrollment_id}/lessons/{second.id}"
    refused = get(path, learner)
    assert (refused.status_code, refused.json["code"]) == (409, "lesson_locked")
    assert (refused.json["reason"], refused.json["lessons"]) == ("earlier_lessons", [str(first.id)])
    report(enrollment_id, first.id, viewed=True)
    assert get(path, learner).json["content"] == TEXT[0]


def test_an_enrollment_that_does_not_open_its_content_reads_no_lesson(
    course: MadeCourse, enrolled: Enrolled, get: Send, learner: Person
) -> None:
    enrollment_id = enrolled(course, "suspended")
    refused = get(f"/enrollments/{enrollment_id}/lessons/{course.lessons[0].id}", learner)
    assert (refused.status_code, refused.json["code"]) == (403, "enrollment_has_no_access")
    assert refused.json["remedy"]


def test_a_lesson_is_read_by_its_learner_alone(
    course: MadeCourse,
    enrolled: Enrolled,
    get: Send,
    teacher: Person,
    stranger: Person,
    database: Database,
    acme: UUID,
) -> None:
    path = f"/enrollments/{enrolled(course)}/lessons/{course.lessons[0].id}"
    for person in (teacher, make_user(database, acme)):
        assert get(path, person).status_code == 404
    assert get(path, stranger, base_url=GLOBEX).status_code == 404


def test_a_lesson_of_another_course_is_not_in_the_enrollment(
    course: MadeCourse, publish: Publish, enrolled: Enrolled, get: Send, learner: Person
) -> None:
    enrollment_id = enrolled(course)
    for lesson_id in (publish(LessonPlan()).lessons[0].id, new_id()):
        assert get(f"/enrollments/{enrollment_id}/lessons/{lesson_id}", learner).status_code == 404


def test_reading_a_lesson_costs_one_statement_beside_host_scope_and_actor(
    course: MadeCourse, enrolled: Enrolled, get: Send, learner: Person, app: Flask
) -> None:
    path = f"/enrollments/{enrolled(course)}/lessons/{course.lessons[0].id}"
    with counted(app) as statements:
        assert get(path, learner).status_code == 200
    assert len(statements) == 1 + 1
