"""Lessons that staff mark as complete, for one learner and for many."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, text
from werkzeug.test import TestResponse

from lms.core.ids import new_id
from lms.courses.models import Lesson
from lms.courses.operations import content, versions
from tenants.session import Database, OrganizationScope
from tests.factories.accounts import held
from tests.factories.learning import LessonPlan, MadeCourse, enroll, read_enrollment
from tests.factories.people import Person, make_user
from tests.factories.statements import counted

ACME = "http://acme.localhost"
Publish = Callable[..., MadeCourse]
Enrolled = Callable[..., UUID]
Send = Callable[..., TestResponse]

BY_STAFF = LessonPlan({"rule": "marked_by_staff"})
REASON = "Attended the live session."


@pytest.fixture
def mark(client: FlaskClient, teacher: Person) -> Send:
    """Mark a lesson of one enrollment as complete, as the teacher unless somebody else is named."""

    def put(enrollment_id: UUID, lesson_id: UUID, person: Person | None = None) -> TestResponse:
        return client.put(
            f"/api/v1/enrollments/{enrollment_id}/lessons/{lesson_id}/completion",
            base_url=ACME,
            headers=(person or teacher).headers,
            json={"reason": REASON},
        )

    return put


@pytest.fixture
def mark_many(client: FlaskClient, teacher: Person) -> Send:
    """Mark a lesson of many enrollments as complete."""

    def post(
        course: MadeCourse, lesson_id: UUID, ids: list[UUID], person: Person | None = None
    ) -> TestResponse:
        return client.post(
            f"/api/v1/runs/{course.run_id}/lessons/{lesson_id}/completions",
            base_url=ACME,
            headers=(person or teacher).headers,
            json={"reason": REASON, "enrollment_ids": [str(one) for one in ids]},
        )

    return post


def events(database: Database, acme: UUID, enrollment_id: UUID) -> list[dict[str, Any]]:
    query = text(
        "SELECT action, actor_id, after FROM audit_events WHERE subject_id = :id ORDER BY id"
    )
    with database.transaction(OrganizationScope(acme)) as session:
        return [dict(row) for row in session.execute(query, {"id": enrollment_id}).mappings()]


def test_a_mark_completes_the_lesson_and_says_that_it_was_staff(
    publish: Publish, enrolled: Enrolled, mark: Send
) -> None:
    course = publish(BY_STAFF, LessonPlan())
    answer = mark(enrolled(course), course.lessons[0].id)
    assert answer.status_code == 200
    assert (answer.json["outcome"], answer.json["completed_how"]) == ("marked", "marked_by_staff")
    assert answer.json["enrollment"] == {"state": "active", "percent": 50, "completed_at": None}


def test_a_lesson_of_any_rule_can_be_marked(
    publish: Publish, enrolled: Enrolled, mark: Send
) -> None:
    course = publish(LessonPlan({"rule": "dwell", "seconds": 600}), LessonPlan())
    assert mark(enrolled(course), course.lessons[0].id).json["enrollment"]["percent"] == 50


def test_marking_the_last_required_lesson_completes_the_enrollment(
    database: Database, acme: UUID, publish: Publish, enrolled: Enrolled, mark: Send
) -> None:
    course = publish(BY_STAFF, LessonPlan(required=False))
    enrollment_id = enrolled(course)
    standing = mark(enrollment_id, course.lessons[0].id).json["enrollment"]
    assert (standing["state"], standing["percent"]) == ("completed", 100)
    stored = read_enrollment(database, acme, enrollment_id)
    assert (stored.state, stored.completed_rules_hash) == ("completed", course.content_hash)


def test_marking_again_changes_neither_the_date_nor_the_record(
    database: Database, acme: UUID, publish: Publish, enrolled: Enrolled, mark: Send
) -> None:
    course = publish(BY_STAFF, BY_STAFF)
    enrollment_id = enrolled(course)
    first = mark(enrollment_id, course.lessons[0].id).json
    again = mark(enrollment_id, course.lessons[0].id).json
    assert again == {**first, "outcome": "already_complete"}
    assert len(events(database, acme, enrollment_id)) == 1


def test_what_the_learner_completed_keeps_its_rule(
    publish: Publish, enrolled: Enrolled, report: Send, mark: Send
) -> None:
    course = publish(LessonPlan(), LessonPlan())
    enrollment_id = enrolled(course)
    report(enrollment_id, course.lessons[0].id, viewed=True)
    answer = mark(enrollment_id, course.lessons[0].id).json
    assert (answer["outcome"], answer["completed_how"]) == ("already_complete", "viewed")


def test_what_the_learner_did_before_stays(
    publish: Publish, enrolled: Enrolled, report: Send, mark: Send, get: Send, learner: Person
) -> None:
    course = publish(LessonPlan({"rule": "watched", "percent": 90}, video_seconds=20.0))
    enrollment_id = enrolled(course)
    report(enrollment_id, course.lessons[0].id, watched=[[0, 5]], position_seconds=5)
    mark(enrollment_id, course.lessons[0].id)
    [lesson] = get(f"/enrollments/{enrollment_id}/progress", learner).json["lessons"]
    assert (lesson["watched_seconds"], lesson["position_seconds"]) == (5, 5.0)


def test_a_mark_is_on_record_with_who_and_why(
    database: Database,
    acme: UUID,
    publish: Publish,
    enrolled: Enrolled,
    mark: Send,
    teacher: Person,
) -> None:
    course = publish(BY_STAFF)
    enrollment_id = enrolled(course)
    mark(enrollment_id, course.lessons[0].id)
    [event] = events(database, acme, enrollment_id)
    assert event == {
        "action": "enrollment.mark_lesson_complete",
        "actor_id": teacher.id,
        "after": {"lesson_lineage_id": str(course.lessons[0].lineage_id), "reason": REASON},
    }


def test_a_mark_in_a_sequence_opens_the_next_lesson(
    publish: Publish, enrolled: Enrolled, report: Send, mark: Send
) -> None:
    course = publish(BY_STAFF, LessonPlan(), sequential=True)
    enrollment_id = enrolled(course)
    before = report(enrollment_id, course.lessons[1].id, viewed=True)
    assert before.json["code"] == "lesson_locked"
    assert before.json["lessons"] == [str(course.lessons[0].id)]
    mark(enrollment_id, course.lessons[0].id)
    assert report(enrollment_id, course.lessons[1].id, viewed=True).status_code == 200


def test_staff_may_mark_a_lesson_that_is_still_locked(
    publish: Publish, enrolled: Enrolled, mark: Send
) -> None:
    course = publish(LessonPlan(), BY_STAFF, sequential=True)
    assert mark(enrolled(course), course.lessons[1].id).json["outcome"] == "marked"


@pytest.mark.parametrize("state", ["pending", "waitlisted", "suspended", "withdrawn", "expired"])
def test_an_enrollment_that_is_not_active_is_told_so(
    publish: Publish, enrolled: Enrolled, mark: Send, state: str
) -> None:
    course = publish(BY_STAFF)
    answer = mark(enrolled(course, state), course.lessons[0].id)
    assert (answer.status_code, answer.json["code"]) == (409, "enrollment_not_active")
    assert answer.json["state"] == state


@pytest.mark.parametrize(
    ("state", "awaiting", "remedy"),
    [
        ("pending", "payment", "Wait until the learner has paid."),
        ("pending", "approval", "Approve it."),
        ("pending", "offer", "Wait until the learner accepts the seat that is offered."),
        (
            *("pending", "invitation"),
            "Wait until the learner accepts the invitation to the academy.",
        ),
        ("suspended", "payment", "Reinstate it."),
        ("withdrawn", "payment", "Enroll the learner again."),
    ],
)
def test_staff_are_told_what_they_can_do(
    publish: Publish, enrolled: Enrolled, mark: Send, state: str, awaiting: str, remedy: str
) -> None:
    course = publish(BY_STAFF)
    answer = mark(enrolled(course, state, awaiting=awaiting), course.lessons[0].id)
    assert answer.json["remedy"] == remedy
    assert answer.json["detail"].endswith(remedy)


def test_a_completed_enrollment_takes_a_mark_and_stays_as_it_is(
    publish: Publish, enrolled: Enrolled, mark: Send
) -> None:
    course = publish(BY_STAFF, BY_STAFF)
    answer = mark(enrolled(course, "completed"), course.lessons[0].id).json
    assert answer["outcome"] == "marked"
    assert (answer["enrollment"]["state"], answer["enrollment"]["percent"]) == ("completed", 100)


def test_a_cancelled_run_stays_as_it_is(
    database: Database,
    acme: UUID,
    publish: Publish,
    enrolled: Enrolled,
    mark: Send,
    teacher: Person,
) -> None:
    course = publish(BY_STAFF)
    enrollment_id = enrolled(course)
    with database.transaction(OrganizationScope(acme)) as session:
        session.execute(
            text(
                "UPDATE course_runs SET state = 'cancelled', cancelled_at = now(),"
                " cancelled_by = :by, cancel_reason = 'Too few.' WHERE id = :id"
            ),
            {"id": course.run_id, "by": teacher.id},
        )
    answer = mark(enrollment_id, course.lessons[0].id)
    assert (answer.status_code, answer.json["code"]) == (409, "run_state_not_allowed")


def test_a_lesson_of_another_course_is_not_found(
    publish: Publish, enrolled: Enrolled, mark: Send
) -> None:
    course, other = publish(BY_STAFF), publish(BY_STAFF)
    assert mark(enrolled(course), other.lessons[0].id).status_code == 404


def test_who_does_not_teach_the_run_learns_of_nothing(
    database: Database,
    acme: UUID,
    publish: Publish,
    enrolled: Enrolled,
    mark: Send,
    mark_many: Send,
    learner: Person,
) -> None:
    course = publish(BY_STAFF)
    enrollment_id, lesson_id = enrolled(course), course.lessons[0].id
    stranger = make_user(database, acme, "instructor")
    assert mark(enrollment_id, lesson_id, stranger).status_code == 404
    assert mark_many(course, lesson_id, [enrollment_id], stranger).status_code == 404
    assert mark(enrollment_id, lesson_id, learner).status_code == 403


def test_an_enrollment_of_others_is_told_as_one_that_is_not_there(
    database: Database, acme: UUID, publish: Publish, enrolled: Enrolled, mark: Send
) -> None:
    course = publish(BY_STAFF)
    stranger = make_user(database, acme, "instructor")
    there, nowhere = (
        mark(one, course.lessons[0].id, stranger).json for one in (enrolled(course), new_id())
    )
    assert (there["detail"], there["code"]) == (nowhere["detail"], nowhere["code"])


def test_many_are_marked_and_those_that_cannot_be_are_told_of(
    database: Database, acme: UUID, publish: Publish, mark_many: Send
) -> None:
    course = publish(BY_STAFF)
    lesson_id = course.lessons[0].id
    one, suspended = (
        enroll(database, acme, course, make_user(database, acme), state)
        for state in ("active", "suspended")
    )
    unknown = new_id()
    answer = mark_many(course, lesson_id, [suspended, one, unknown, one])
    assert answer.status_code == 200
    assert [
        (item["enrollment_id"], item["outcome"], item["code"]) for item in answer.json["items"]
    ] == [
        (str(suspended), "refused", "enrollment_not_active"),
        (str(one), "marked", None),
        (str(unknown), "refused", "not_found"),
    ]
    assert read_enrollment(database, acme, one).state == "completed"


def test_an_enrollment_of_another_run_is_not_found_among_many(
    publish: Publish, enrolled: Enrolled, mark_many: Send
) -> None:
    course, other = publish(BY_STAFF), publish(BY_STAFF)
    [item] = mark_many(course, course.lessons[0].id, [enrolled(other)]).json["items"]
    assert (item["outcome"], item["code"]) == ("refused", "not_found")


def test_marking_many_takes_as_many_statements_as_marking_one(
    app: Flask, database: Database, acme: UUID, publish: Publish, mark_many: Send
) -> None:
    course = publish(BY_STAFF, BY_STAFF)
    sent: list[int] = []
    for number in (1, 30):
        ids = [enroll(database, acme, course, make_user(database, acme)) for _ in range(number)]
        with counted(app) as statements:
            answer = mark_many(course, course.lessons[0].id, ids)
        assert {item["outcome"] for item in answer.json["items"]} == {"marked"}
        sent.append(len(statements))
    assert sent[0] == sent[1]


def next_version(
    database: Database,
    acme: UUID,
    teacher: Person,
    course: MadeCourse,
    *,
    without: int | None = None,
) -> list[Lesson]:
    """Publish a copy of the course's version, without one lesson; gives its lessons in order."""
    with database.transaction(OrganizationScope(acme)) as session:
        draft = versions.create_draft(
            session, teacher.actor, course.course_id, label="", base_version_id=None
        )
        session.flush()
        lessons = list(
            session.scalars(
                select(Lesson).where(Lesson.version_id == draft.id).order_by(Lesson.position)
            )
        )
        if without is not None:
            removed = lessons.pop(without)
            content.delete_lesson(session, teacher.actor, removed.id, expected=None)
    with database.transaction(OrganizationScope(acme)) as session:
        versions.publish_version(session, teacher.actor, draft.id, expected=None)
    return lessons


def test_who_stayed_in_an_older_version_is_marked_by_the_lessons_newer_id(
    database: Database,
    acme: UUID,
    teacher: Person,
    publish: Publish,
    enrolled: Enrolled,
    mark: Send,
) -> None:
    course = publish(BY_STAFF, BY_STAFF)
    enrollment_id = enrolled(course)
    newer = next_version(database, acme, teacher, course)
    answer = mark(enrollment_id, newer[0].id)
    assert answer.json["enrollment"]["percent"] == 50


def test_a_lesson_that_the_learners_version_does_not_have_is_refused(
    database: Database,
    acme: UUID,
    teacher: Person,
    publish: Publish,
    mark: Send,
    learner: Person,
) -> None:
    course = publish(BY_STAFF, BY_STAFF)
    newer = next_version(database, acme, teacher, course, without=0)
    moved = replace(course, version_id=newer[0].version_id)
    enrollment_id = enroll(database, acme, moved, learner)
    answer = mark(enrollment_id, course.lessons[0].id)
    assert (answer.status_code, answer.json["code"]) == (409, "lesson_of_another_version")
    assert answer.json["remedy"] == "Read the outline of that version, and mark a lesson of it."


def test_a_report_and_a_mark_at_once_both_count(
    database: Database,
    acme: UUID,
    publish: Publish,
    enrolled: Enrolled,
    report: Send,
    mark: Send,
) -> None:
    course = publish(BY_STAFF, LessonPlan())
    enrollment_id = enrolled(course)
    with ThreadPoolExecutor(1) as pool, held(database, OrganizationScope(acme)) as first:
        first.sql("SELECT id FROM enrollments WHERE id = :id FOR NO KEY UPDATE", id=enrollment_id)
        first.sql(
            "INSERT INTO lesson_progress (enrollment_id, lesson_lineage_id, completed_at,"
            " completed_how) VALUES (:id, :lineage, now(), 'viewed')",
            id=enrollment_id,
            lineage=course.lessons[1].lineage_id,
        )
        waiting = pool.submit(mark, enrollment_id, course.lessons[0].id)
        first.wait_until_in_the_way_of(waiting)
    assert waiting.result().json["enrollment"]["percent"] == 100


def test_a_mark_that_waited_for_a_withdrawal_tells_since_when(
    database: Database, acme: UUID, publish: Publish, enrolled: Enrolled, mark: Send
) -> None:
    course = publish(BY_STAFF)
    enrollment_id = enrolled(course)
    with ThreadPoolExecutor(1) as pool, held(database, OrganizationScope(acme)) as withdrawal:
        withdrawal.sql(
            "UPDATE enrollments SET state = 'withdrawn', ended_at = now(),"
            " created_at = now() - interval '30 days' WHERE id = :id",
            id=enrollment_id,
        )
        withdrawal.sql(
            "INSERT INTO enrollment_changes (id, enrollment_id, from_state, to_state, reason)"
            " VALUES (gen_random_uuid(), :id, 'active', 'withdrawn', 'x')",
            id=enrollment_id,
        )
        waiting = pool.submit(mark, enrollment_id, course.lessons[0].id)
        withdrawal.wait_until_in_the_way_of(waiting)
    refused = waiting.result().json
    assert refused["state"] == "withdrawn"
    assert refused["since"] == mark(enrollment_id, course.lessons[0].id).json["since"]
