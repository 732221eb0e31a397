"""How the learners of a run get on, for those who teach it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from werkzeug.test import TestResponse

from lms.core.clock import now
from lms.core.ids import new_id
from tenants.session import Database, OrganizationScope
from tests.factories.learning import LessonPlan, MadeCourse, enroll, set_enrollment_state
from tests.factories.people import Person, make_user
from tests.factories.statements import counted

GLOBEX = "http://globex.localhost"
HOST_AND_LIST = 1 + 3
"""The host's look-up, and three statements: the run, a page of its learners, their lessons."""

Publish = Callable[..., MadeCourse]
Enrolled = Callable[..., UUID]
Send = Callable[..., TestResponse]

MANY_LEARNERS = text("""
    WITH people AS (
        INSERT INTO users (id, email, name, account_type)
        SELECT gen_random_uuid(), 'many-' || CAST(:run_id AS text) || '-' || n || '@example.com',
               'Learner ' || n, 'student'
          FROM generate_series(1, :number) n
        RETURNING id
    ), places AS (
        INSERT INTO enrollments (id, user_id, run_id, version_id, state, activated_at)
        SELECT gen_random_uuid(), people.id, CAST(CAST(:run_id AS text) AS uuid), :version_id,
               'active', now()
          FROM people
        RETURNING id
    )
    INSERT INTO lesson_progress (enrollment_id, lesson_lineage_id, completed_at, completed_how)
    SELECT places.id, :lineage_id, now(), 'viewed' FROM places
""")


@pytest.fixture
def admin(database: Database, acme: UUID, client: FlaskClient) -> Person:
    del client
    return make_user(database, acme, "admin")


@pytest.fixture
def course(publish: Publish) -> MadeCourse:
    """Two required lessons around an optional one."""
    return publish(LessonPlan(), LessonPlan(required=False), LessonPlan())


@pytest.fixture
def path(course: MadeCourse) -> str:
    return f"/runs/{course.run_id}/progress"


def test_a_learner_is_shown_with_what_is_done_and_where_they_are_stuck(
    course: MadeCourse,
    path: str,
    enrolled: Enrolled,
    report: Send,
    get: Send,
    learner: Person,
    teacher: Person,
) -> None:
    enrollment_id = enrolled(course)
    report(enrollment_id, course.lessons[0].id, viewed=True)
    (standing,) = get(path, teacher).json["items"]
    assert standing["enrollment_id"] == str(enrollment_id)
    assert standing["learner"]["id"] == str(learner.id)
    assert standing["learner"]["email"] == learner.email
    assert (standing["state"], standing["percent"]) == ("active", 50)
    assert (standing["required_lessons_done"], standing["required_lessons_total"]) == (1, 2)
    assert standing["stuck_at"] == {
        "lesson_id": str(course.lessons[2].id),
        "lesson_lineage_id": str(course.lessons[2].lineage_id),
        "title": "Lesson 3",
        "module": standing["stuck_at"]["module"],
    }
    assert standing["stuck_at"]["module"]["title"] == "Before the meeting"
    assert datetime.fromisoformat(standing["last_activity_at"]) <= now()


def test_who_has_not_begun_is_stuck_at_the_first_required_lesson(
    course: MadeCourse, path: str, enrolled: Enrolled, get: Send, teacher: Person
) -> None:
    enrolled(course)
    (standing,) = get(path, teacher).json["items"]
    assert standing["last_activity_at"] is None
    assert standing["stuck_at"]["lesson_id"] == str(course.lessons[0].id)


def test_a_gap_before_what_was_done_is_where_somebody_is_stuck(
    course: MadeCourse, path: str, enrolled: Enrolled, report: Send, get: Send, teacher: Person
) -> None:
    report(enrolled(course), course.lessons[2].id, viewed=True)
    (standing,) = get(path, teacher).json["items"]
    assert standing["stuck_at"]["lesson_id"] == str(course.lessons[0].id)


def test_who_has_done_all_required_lessons_is_stuck_nowhere(
    course: MadeCourse, path: str, enrolled: Enrolled, report: Send, get: Send, teacher: Person
) -> None:
    enrollment_id = enrolled(course)
    for lesson in (course.lessons[0], course.lessons[2]):
        report(enrollment_id, lesson.id, viewed=True)
    (standing,) = get(path, teacher).json["items"]
    assert (standing["state"], standing["percent"]) == ("completed", 100)
    assert standing["completed_at"] is not None
    assert (standing["required_lessons_done"], standing["stuck_at"]) == (2, None)


def test_a_version_without_required_lessons_keeps_nobody(
    publish: Publish, enrolled: Enrolled, get: Send, teacher: Person
) -> None:
    course = publish(LessonPlan(required=False))
    enrolled(course)
    (standing,) = get(f"/runs/{course.run_id}/progress", teacher).json["items"]
    assert (standing["required_lessons_total"], standing["stuck_at"]) == (0, None)


def test_learners_are_listed_in_the_order_they_enrolled_page_by_page(
    course: MadeCourse, path: str, get: Send, teacher: Person, database: Database, acme: UUID
) -> None:
    made = [enroll(database, acme, course, make_user(database, acme)) for _ in range(3)]
    first = get(f"{path}?limit=2", teacher).json
    second = get(f"{path}?limit=2&cursor={first['next_cursor']}", teacher).json
    listed = [one["enrollment_id"] for page in (first, second) for one in page["items"]]
    assert listed == [str(one) for one in made]
    assert second["next_cursor"] is None


def test_a_state_picks_those_who_are_in_it(
    course: MadeCourse, path: str, get: Send, teacher: Person, database: Database, acme: UUID
) -> None:
    enroll(database, acme, course, make_user(database, acme))
    withdrawn = enroll(database, acme, course, make_user(database, acme), "withdrawn")
    items = get(f"{path}?state=withdrawn", teacher).json["items"]
    assert [one["enrollment_id"] for one in items] == [str(withdrawn)]
    assert get(f"{path}?state=dreaming", teacher).status_code == 422


@pytest.fixture
def idlers(course: MadeCourse, report: Send, database: Database, acme: UUID) -> dict[str, UUID]:
    """Three who enrolled two weeks ago, of whom one was here today, and one who enrolled today."""
    people = {name: make_user(database, acme) for name in ("busy", "away", "silent", "new")}
    made = {name: enroll(database, acme, course, person) for name, person in people.items()}
    for name in ("busy", "away"):
        report(made[name], course.lessons[0].id, person=people[name], viewed=True)
    with database.transaction(OrganizationScope(acme)) as session:
        session.execute(
            text(
                "UPDATE enrollments SET activated_at = now() - interval '14 days'"
                " WHERE id = ANY(:ids)"
            ),
            {"ids": [made[name] for name in ("busy", "away", "silent")]},
        )
        session.execute(
            text(
                "UPDATE lesson_progress SET last_activity_at = now() - interval '10 days'"
                " WHERE enrollment_id = :id"
            ),
            {"id": made["away"]},
        )
    return made


def test_inactive_since_a_moment_are_those_who_did_nothing_from_then_on_but_were_there_before(
    idlers: dict[str, UUID], path: str, get: Send, teacher: Person
) -> None:
    def inactive(days: int) -> set[str]:
        moment = (now() - timedelta(days=days)).isoformat().replace("+00:00", "Z")
        items = get(f"{path}?inactive_since={moment}", teacher).json["items"]
        names = {str(made): name for name, made in idlers.items()}
        return {names[one["enrollment_id"]] for one in items}

    assert inactive(7) == {"away", "silent"}
    assert inactive(12) == {"silent"}
    assert inactive(20) == set()


@pytest.fixture
def mark(client: FlaskClient, teacher: Person) -> Send:
    """Let the teacher mark a lesson of an enrollment as complete."""

    def put(enrollment_id: UUID, lesson_id: UUID) -> TestResponse:
        return client.put(
            f"/api/v1/enrollments/{enrollment_id}/lessons/{lesson_id}/completion",
            base_url="http://acme.localhost",
            headers=teacher.headers,
            json={"reason": "Attended the live session."},
        )

    return put


def standings(get: Send, path: str, teacher: Person) -> dict[str, str | None]:
    """When each learner of the run was last here, by enrollment."""
    items = get(path, teacher).json["items"]
    return {one["enrollment_id"]: one["last_activity_at"] for one in items}


def test_what_staff_mark_is_not_taken_for_the_learners_activity(
    course: MadeCourse,
    idlers: dict[str, UUID],
    path: str,
    get: Send,
    mark: Send,
    teacher: Person,
) -> None:
    moment = (now() - timedelta(days=7)).isoformat().replace("+00:00", "Z")
    before = standings(get, path, teacher)
    for name in ("silent", "away"):
        for lesson in course.lessons[:2]:
            assert mark(idlers[name], lesson.id).status_code == 200
    inactive = standings(get, f"{path}?inactive_since={moment}", teacher)
    assert set(inactive) == {str(idlers["silent"]), str(idlers["away"])}
    assert inactive[str(idlers["silent"])] is None
    assert inactive[str(idlers["away"])] == before[str(idlers["away"])]


def test_who_opens_a_lesson_that_staff_marked_has_been_active(
    course: MadeCourse,
    path: str,
    enrolled: Enrolled,
    report: Send,
    get: Send,
    mark: Send,
    teacher: Person,
) -> None:
    enrollment_id = enrolled(course)
    mark(enrollment_id, course.lessons[0].id)
    report(enrollment_id, course.lessons[0].id, viewed=True)
    assert standings(get, path, teacher)[str(enrollment_id)] is not None


def test_who_has_left_is_not_reminded(
    idlers: dict[str, UUID], path: str, get: Send, teacher: Person, database: Database, acme: UUID
) -> None:
    set_enrollment_state(database, acme, idlers["away"], "withdrawn")
    moment = now().isoformat().replace("+00:00", "Z")
    items = get(f"{path}?inactive_since={moment}", teacher).json["items"]
    assert str(idlers["away"]) not in [one["enrollment_id"] for one in items]
    assert len(get(path, teacher).json["items"]) == len(idlers)


@pytest.mark.parametrize("state", ["cancelled", "expired"])
def test_an_attempt_that_ended_before_it_was_active_is_nobodys_progress(
    state: str,
    course: MadeCourse,
    path: str,
    get: Send,
    teacher: Person,
    database: Database,
    acme: UUID,
) -> None:
    enroll(database, acme, course, make_user(database, acme), state, activated=False)
    waiting = enroll(database, acme, course, make_user(database, acme), "pending", activated=False)
    items = get(path, teacher).json["items"]
    assert [one["enrollment_id"] for one in items] == [str(waiting)]


def test_a_moment_without_an_offset_is_refused(path: str, get: Send, teacher: Person) -> None:
    assert get(f"{path}?inactive_since=2027-01-01T00:00:00", teacher).status_code == 422


def test_a_run_is_open_to_those_who_teach_it_and_admins_alone(
    path: str,
    get: Send,
    teacher: Person,
    admin: Person,
    learner: Person,
    database: Database,
    acme: UUID,
) -> None:
    assert get(path, teacher).status_code == 200
    assert get(path, admin).status_code == 200
    assert get(path, learner).status_code == 403
    assert get(path, make_user(database, acme, "instructor")).status_code == 404
    assert get(f"/runs/{new_id()}/progress", admin).status_code == 404


def test_globex_knows_nothing_of_acmes_run(
    path: str, get: Send, teacher: Person, database: Database, globex: UUID
) -> None:
    assert get(path, teacher, base_url=GLOBEX).status_code == 401
    assert get(path, make_user(database, globex, "admin"), base_url=GLOBEX).status_code == 404


def test_a_page_of_5000_learners_takes_as_many_statements_as_one_of_a_single_learner(
    publish: Publish, get: Send, teacher: Person, app: Flask, database: Database, acme: UUID
) -> None:
    courses = [publish(*[LessonPlan()] * 20) for _ in range(2)]
    for course, number in zip(courses, (1, 5000), strict=True):
        with database.transaction(OrganizationScope(acme)) as session:
            session.execute(
                MANY_LEARNERS,
                {
                    "run_id": str(course.run_id),
                    "version_id": course.version_id,
                    "lineage_id": course.lessons[0].lineage_id,
                    "number": number,
                },
            )
    sent: list[int] = []
    items: list[dict[str, Any]] = []
    for course in courses:
        with counted(app) as statements:
            items = get(f"/runs/{course.run_id}/progress?limit=100", teacher).json["items"]
        sent.append(len(statements))
    assert sent == [HOST_AND_LIST] * 2
    assert len(items) == 100
    assert {one["stuck_at"]["title"] for one in items} == {"Lesson 2"}
