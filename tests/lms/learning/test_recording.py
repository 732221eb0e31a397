"""Reporting progress over HTTP: every completion rule, once and for good."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, text
from werkzeug.test import TestResponse

from lms.core.ids import new_id
from lms.learning.operations import Report, record_progress
from tenants.session import Database, OrganizationScope
from tests.factories.learning import LessonPlan, MadeCourse, enroll, read_enrollment
from tests.factories.people import Person, make_user
from tests.lms.courses.conftest import wait_until_blocked

GLOBEX = "http://globex.localhost"
Publish = Callable[..., MadeCourse]
Enrolled = Callable[..., UUID]
Send = Callable[..., TestResponse]

WATCHED_90 = LessonPlan({"rule": "watched", "percent": 90}, video_seconds=20.0)
DWELL_60 = LessonPlan({"rule": "dwell", "seconds": 60})
BY_LEARNER = LessonPlan({"rule": "marked_by_learner"})
BY_STAFF = LessonPlan({"rule": "marked_by_staff"})

INTERVALS = st.lists(
    st.tuples(st.integers(0, 200), st.integers(1, 60)).map(lambda pair: (pair[0], sum(pair))),
    max_size=20,
)
UNTIMED = settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
"""Each example makes a course and an enrollment of its own, so what fixtures hold is not shared."""


def rewind(database: Database, organization_id: UUID, enrollment_id: UUID, seconds: int) -> None:
    """Let the enrollment's first activity have been earlier."""
    with database.transaction(OrganizationScope(organization_id)) as session:
        session.execute(
            text(
                "UPDATE lesson_progress SET first_activity_at ="
                " first_activity_at - make_interval(secs => :seconds)"
                " WHERE enrollment_id = :id"
            ),
            {"seconds": seconds, "id": enrollment_id},
        )


def test_a_viewed_lesson_is_complete_once_it_was_opened(
    publish: Publish, enrolled: Enrolled, report: Send
) -> None:
    course = publish(LessonPlan(), LessonPlan())
    answer = report(enrolled(course), course.lessons[0].id, viewed=True)
    assert answer.status_code == 200
    assert answer.json["completed_how"] == "viewed"
    assert answer.json["enrollment"] == {"state": "active", "percent": 50, "completed_at": None}


def test_activity_alone_does_not_complete_a_viewed_lesson(
    publish: Publish, enrolled: Enrolled, report: Send
) -> None:
    course = publish(LessonPlan())
    answer = report(enrolled(course), course.lessons[0].id, dwell_seconds=5)
    assert answer.json["completed_at"] is None


def test_a_watched_lesson_completes_when_its_percent_of_the_video_was_played(
    publish: Publish, enrolled: Enrolled, report: Send
) -> None:
    course = publish(WATCHED_90)
    enrollment_id, lesson_id = enrolled(course), course.lessons[0].id
    first = report(enrollment_id, lesson_id, watched=[[0, 17]], position_seconds=17)
    assert (first.json["watched_percent"], first.json["completed_at"]) == (85, None)
    second = report(enrollment_id, lesson_id, watched=[[16, 18]])
    assert (second.json["watched_seconds"], second.json["watched_percent"]) == (18, 90)
    assert second.json["completed_how"] == "watched"


def test_watching_the_same_part_again_does_not_count_twice(
    publish: Publish, enrolled: Enrolled, report: Send
) -> None:
    course = publish(WATCHED_90)
    enrollment_id, lesson_id = enrolled(course), course.lessons[0].id
    report(enrollment_id, lesson_id, watched=[[0, 10], [5, 10]])
    again = report(enrollment_id, lesson_id, watched=[[0, 10]])
    assert again.json["watched_seconds"] == 10


def test_skipping_to_the_end_does_not_count(
    publish: Publish, enrolled: Enrolled, report: Send
) -> None:
    course = publish(WATCHED_90)
    answer = report(
        enrolled(course), course.lessons[0].id, position_seconds=20, watched=[[0, 2], [18, 20]]
    )
    assert (answer.json["watched_percent"], answer.json["completed_at"]) == (20, None)


def test_intervals_beyond_the_video_are_cut_off(
    publish: Publish, enrolled: Enrolled, report: Send
) -> None:
    course = publish(WATCHED_90)
    answer = report(enrolled(course), course.lessons[0].id, watched=[[15, 9000], [9000, 9900]])
    assert answer.json["watched_seconds"] == 5


@UNTIMED
@given(
    reports=st.lists(INTERVALS, min_size=1, max_size=4),
    duration=st.one_of(st.none(), st.floats(0.1, 150)),
)
def test_reported_intervals_count_each_second_of_the_video_once(
    reports: list[list[tuple[int, int]]],
    duration: float | None,
    publish: Publish,
    enrolled: Enrolled,
    learner: Person,
    database: Database,
    acme: UUID,
) -> None:
    course = publish(LessonPlan({"rule": "watched", "percent": 90}, video_seconds=duration))
    enrollment_id, lesson_id = enrolled(course), course.lessons[0].id
    for parts in reports:
        with database.transaction(OrganizationScope(acme)) as session:
            told = Report(watched=tuple(parts))
            recorded = record_progress(session, learner.actor, enrollment_id, lesson_id, told)
    end = 86_400 if duration is None else max(1, int(duration))
    played = {second for parts in reports for start, stop in parts for second in range(start, stop)}
    assert recorded.watched_seconds == len({second for second in played if second < end})


def test_intervals_beyond_a_day_are_refused_where_no_duration_is_known(
    publish: Publish, enrolled: Enrolled, report: Send
) -> None:
    course = publish(LessonPlan())
    answer = report(enrolled(course), course.lessons[0].id, watched=[[0, 86_401]])
    assert (answer.status_code, answer.json["code"]) == (422, "interval_too_long")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"watched": [[5, 5]]},
        {"watched": [[9, 5]]},
        {"watched": [[-1, 5]]},
        {"watched": [[1, 2, 3]]},
        {"watched": [[]]},
        {"watched": [[5]]},
        {"watched": [[0.5, 2]]},
        {"watched": [["0", "2"]]},
        {"watched": [[0, 2**31]]},
        {"position_seconds": -1},
        {"position_seconds": "5"},
        {"dwell_seconds": -1},
        {"dwell_seconds": 1.5},
        {"viewed": False},
        {"completed": False},
        {"viewed": "true"},
        {"percent": 100},
    ],
)
def test_a_report_that_makes_no_sense_is_refused(
    body: dict[str, Any], publish: Publish, enrolled: Enrolled, report: Send
) -> None:
    course = publish(LessonPlan())
    assert report(enrolled(course), course.lessons[0].id, **body).status_code == 422


def test_dwelling_completes_after_its_seconds_have_really_passed(
    publish: Publish, enrolled: Enrolled, report: Send, database: Database, acme: UUID
) -> None:
    course = publish(DWELL_60)
    enrollment_id, lesson_id = enrolled(course), course.lessons[0].id
    report(enrollment_id, lesson_id, viewed=True)
    rewind(database, acme, enrollment_id, 70)
    answer = report(enrollment_id, lesson_id, dwell_seconds=60)
    assert answer.json["dwell_seconds"] == 60
    assert answer.json["completed_how"] == "dwell"


def test_dwelling_longer_than_the_clock_ran_is_cut_to_the_clock(
    publish: Publish, enrolled: Enrolled, report: Send, database: Database, acme: UUID
) -> None:
    course = publish(DWELL_60)
    enrollment_id, lesson_id = enrolled(course), course.lessons[0].id
    first = report(enrollment_id, lesson_id, dwell_seconds=3600)
    assert first.json["dwell_seconds"] == 10
    rewind(database, acme, enrollment_id, 20)
    second = report(enrollment_id, lesson_id, dwell_seconds=3600)
    assert 30 <= second.json["dwell_seconds"] < 60
    assert second.json["completed_at"] is None


def test_dwelling_never_shrinks(publish: Publish, enrolled: Enrolled, report: Send) -> None:
    course = publish(DWELL_60)
    enrollment_id, lesson_id = enrolled(course), course.lessons[0].id
    report(enrollment_id, lesson_id, dwell_seconds=9)
    assert report(enrollment_id, lesson_id, dwell_seconds=2).json["dwell_seconds"] == 9


def test_a_learner_marks_a_lesson_as_done_where_its_rule_says_so(
    publish: Publish, enrolled: Enrolled, report: Send
) -> None:
    course = publish(BY_LEARNER, LessonPlan())
    answer = report(enrolled(course), course.lessons[0].id, completed=True)
    assert answer.json["completed_how"] == "marked_by_learner"


@pytest.mark.parametrize("plan", [BY_STAFF, WATCHED_90, LessonPlan(), DWELL_60])
def test_a_learner_cannot_mark_a_lesson_of_another_rule_as_done(
    plan: LessonPlan, publish: Publish, enrolled: Enrolled, report: Send
) -> None:
    course = publish(plan)
    answer = report(enrolled(course), course.lessons[0].id, completed=True)
    assert (answer.status_code, answer.json["code"]) == (403, "not_markable_by_learner")
    assert answer.json["rule"] == plan.completion["rule"]


def test_the_position_stays_until_another_is_reported(
    publish: Publish, enrolled: Enrolled, report: Send
) -> None:
    course = publish(WATCHED_90)
    enrollment_id, lesson_id = enrolled(course), course.lessons[0].id
    report(enrollment_id, lesson_id, position_seconds=12.5)
    assert report(enrollment_id, lesson_id, viewed=True).json["position_seconds"] == 12.5
    assert report(enrollment_id, lesson_id, position_seconds=0).json["position_seconds"] == 0


def test_a_completed_lesson_keeps_its_first_date(
    publish: Publish, enrolled: Enrolled, report: Send
) -> None:
    course = publish(LessonPlan(), LessonPlan())
    enrollment_id, lesson_id = enrolled(course), course.lessons[0].id
    first = report(enrollment_id, lesson_id, viewed=True)
    again = report(enrollment_id, lesson_id, viewed=True, dwell_seconds=1)
    assert again.json["completed_at"] == first.json["completed_at"] is not None


def test_the_last_required_lesson_completes_the_enrollment_with_the_contents_hash(
    publish: Publish, enrolled: Enrolled, report: Send, database: Database, acme: UUID
) -> None:
    course = publish(LessonPlan(), LessonPlan(required=False))
    enrollment_id = enrolled(course)
    answer = report(enrollment_id, course.lessons[0].id, viewed=True)
    stored = read_enrollment(database, acme, enrollment_id)
    assert (stored.state, stored.percent) == ("completed", 100)
    assert stored.completed_rules_hash == course.content_hash
    standing = answer.json["enrollment"]
    assert (standing["state"], standing["percent"]) == ("completed", 100)
    assert datetime.fromisoformat(standing["completed_at"]) == stored.completed_at


def test_a_completed_enrollment_records_activity_but_never_changes(
    publish: Publish, enrolled: Enrolled, report: Send, database: Database, acme: UUID
) -> None:
    # Completed by other means (an upgrade, staff), so recomputing would give another percent.
    course = publish(LessonPlan(), LessonPlan())
    enrollment_id = enrolled(course, "completed")
    before = read_enrollment(database, acme, enrollment_id)
    answer = report(enrollment_id, course.lessons[1].id, viewed=True)
    assert answer.json["completed_how"] == "viewed"
    after = read_enrollment(database, acme, enrollment_id)
    assert (after.state, after.percent, after.completed_at, after.version) == (
        "completed",
        100,
        before.completed_at,
        before.version,
    )


def test_without_required_lessons_nothing_is_completed(
    publish: Publish, enrolled: Enrolled, report: Send
) -> None:
    course = publish(LessonPlan(required=False))
    answer = report(enrolled(course), course.lessons[0].id, viewed=True)
    assert answer.json["enrollment"] == {"state": "active", "percent": 0, "completed_at": None}


@pytest.mark.parametrize(
    "state",
    ["pending", "waitlisted", "suspended", "expired", "withdrawn", "cancelled", "transferred"],
)
def test_an_enrollment_that_is_not_active_records_nothing_and_says_why(
    state: str, publish: Publish, enrolled: Enrolled, report: Send
) -> None:
    course = publish(LessonPlan())
    answer = report(enrolled(course, state), course.lessons[0].id, viewed=True)
    assert (answer.status_code, answer.json["code"]) == (409, "enrollment_not_active")
    assert answer.json["state"] == state
    assert answer.json["remedy"]


@pytest.mark.parametrize(
    ("awaiting", "remedy"),
    [
        ("payment", "Finish the payment."),
        ("approval", "Wait until it is approved."),
        ("offer", "Accept the seat that is offered."),
        ("invitation", "Accept the invitation to the academy."),
    ],
)
def test_a_pending_enrollment_says_what_it_waits_for(
    awaiting: str, remedy: str, publish: Publish, enrolled: Enrolled, report: Send
) -> None:
    course = publish(LessonPlan())
    enrollment_id = enrolled(course, "pending", awaiting=awaiting)
    assert report(enrollment_id, course.lessons[0].id, viewed=True).json["remedy"] == remedy


def test_another_students_enrollment_is_not_there(
    publish: Publish, enrolled: Enrolled, report: Send, database: Database, acme: UUID
) -> None:
    course = publish(LessonPlan())
    enrollment_id = enrolled(course)
    other = make_user(database, acme)
    answer = report(enrollment_id, course.lessons[0].id, person=other, viewed=True)
    assert answer.status_code == 404


def test_the_teacher_cannot_report_for_a_learner(
    publish: Publish, enrolled: Enrolled, report: Send, teacher: Person
) -> None:
    course = publish(LessonPlan())
    answer = report(enrolled(course), course.lessons[0].id, person=teacher, viewed=True)
    assert answer.status_code == 404


def test_a_lesson_of_another_version_is_not_there(
    publish: Publish, enrolled: Enrolled, report: Send
) -> None:
    course, other = publish(LessonPlan()), publish(LessonPlan())
    answer = report(enrolled(course), other.lessons[0].id, viewed=True)
    assert answer.status_code == 404
    assert report(enrolled(other), new_id(), viewed=True).status_code == 404


def test_lessons_completed_at_the_same_moment_all_count(
    publish: Publish, enrolled: Enrolled, learner: Person, database: Database, acme: UUID
) -> None:
    course = publish(*[LessonPlan()] * 4)
    enrollment_id = enrolled(course)
    barrier = threading.Barrier(4)

    def view(lesson_id: UUID) -> None:
        barrier.wait(timeout=30)
        with database.transaction(OrganizationScope(acme)) as session:
            record_progress(session, learner.actor, enrollment_id, lesson_id, Report(viewed=True))

    threads = [threading.Thread(target=view, args=(lesson.id,)) for lesson in course.lessons]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    stored = read_enrollment(database, acme, enrollment_id)
    assert (stored.state, stored.percent) == ("completed", 100)


def test_a_report_that_waits_for_what_opens_its_lesson_is_recorded(
    publish: Publish, enrolled: Enrolled, learner: Person, database: Database, acme: UUID
) -> None:
    course = publish(LessonPlan(), LessonPlan(), sequential=True)
    enrollment_id = enrolled(course)
    first, second = (lesson.id for lesson in course.lessons)
    viewed = Report(viewed=True)

    def view_second() -> None:
        with database.transaction(OrganizationScope(acme)) as session:
            record_progress(session, learner.actor, enrollment_id, second, viewed)

    with ThreadPoolExecutor() as pool:
        with database.transaction(OrganizationScope(acme)) as session:
            record_progress(session, learner.actor, enrollment_id, first, viewed)
            waiting = pool.submit(view_second)
            wait_until_blocked(database, acme, waiting)
        waiting.result(timeout=30)
    assert read_enrollment(database, acme, enrollment_id).state == "completed"


def statements_of(app: Flask, action: Callable[[], TestResponse]) -> int:
    """Count the statements that a request sends."""
    engine = app.extensions["edge"].database.events
    count = 0

    def on_execute(*_arguments: object) -> None:
        nonlocal count
        count += 1

    event.listen(engine, "before_cursor_execute", on_execute)
    try:
        assert action().status_code == 200
    finally:
        event.remove(engine, "before_cursor_execute", on_execute)
    return count


def test_a_report_costs_one_statement_beside_host_scope_and_actor(
    publish: Publish, enrolled: Enrolled, report: Send, app: Flask
) -> None:
    course = publish(WATCHED_90, LessonPlan())
    enrollment_id = enrolled(course)
    sent = statements_of(app, lambda: report(enrollment_id, course.lessons[0].id, watched=[[0, 5]]))
    assert sent == 1 + 1


def test_completing_a_lesson_costs_two_statements_more(
    publish: Publish, enrolled: Enrolled, report: Send, app: Flask
) -> None:
    course = publish(LessonPlan(), LessonPlan())
    enrollment_id = enrolled(course)
    sent = statements_of(app, lambda: report(enrollment_id, course.lessons[0].id, viewed=True))
    assert sent == 1 + 3


def test_globex_knows_nothing_of_acmes_enrollment(
    publish: Publish, enrolled: Enrolled, report: Send, learner: Person, stranger: Person
) -> None:
    course = publish(LessonPlan())
    enrollment_id, lesson_id = enrolled(course), course.lessons[0].id
    for person, status in ((learner, 401), (stranger, 404)):
        answer = report(enrollment_id, lesson_id, person=person, base_url=GLOBEX, viewed=True)
        assert answer.status_code == status


def test_two_learners_of_one_run_progress_apart(
    publish: Publish, enrolled: Enrolled, report: Send, database: Database, acme: UUID
) -> None:
    course = publish(LessonPlan())
    other_enrollment = enroll(database, acme, course, make_user(database, acme))
    report(enrolled(course), course.lessons[0].id, viewed=True)
    assert read_enrollment(database, acme, other_enrollment).percent == 0
