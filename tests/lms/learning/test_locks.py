"""Lessons that do not open yet: what learners are told, and what they are refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text
from werkzeug.test import TestResponse

from lms.core.clock import now
from lms.core.ids import new_id
from lms.courses.models import CourseVersion, PublishedVersion
from lms.learning.errors import LessonLockedError
from lms.learning.operations import Report, record_progress
from lms.learning.queries import read_progress
from tenants.session import Database, OrganizationScope
from tests.factories.learning import (
    LessonPlan,
    MadeCourse,
    enroll,
    read_enrollment,
    set_enrollment_state,
)
from tests.factories.people import Person, make_user
from tests.lms.learning.locking import DAY, THREE_DAYS_IN, WEEK_TWO, after, locked, moved, start_of

Publish = Callable[..., MadeCourse]

Enrolled = Callable[..., UUID]

Send = Callable[..., TestResponse]

UNTIMED = settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
"""Each example makes a course and an enrollment of its own, so what fixtures hold is not shared."""


def test_a_lesson_of_week_two_tells_when_it_opens(
    publish: Publish, enrolled: Enrolled, get: Send, learner: Person, database: Database, acme: UUID
) -> None:
    course = publish(LessonPlan(), WEEK_TWO)
    enrollment_id = enrolled(course)
    first, second = locked(get(f"/enrollments/{enrollment_id}/progress", learner))
    assert first is None
    assert second is not None
    assert (second["reason"], second["lessons"]) == ("not_yet_available", [])
    opens = start_of(database, acme, course) + 7 * DAY
    assert datetime.fromisoformat(second["available_at"]) == opens


def test_days_after_activation_count_for_each_learner_from_their_own(
    publish: Publish, get: Send, database: Database, acme: UUID
) -> None:
    course = publish(THREE_DAYS_IN)
    early, late = make_user(database, acme), make_user(database, acme)
    path = f"/enrollments/{enroll(database, acme, course, early)}/progress"
    moved(database, acme, course, 3)
    late_path = f"/enrollments/{enroll(database, acme, course, late)}/progress"
    assert locked(get(path, early)) == [None]
    (lock,) = locked(get(late_path, late))
    assert lock is not None
    opens = datetime.fromisoformat(lock["available_at"])
    assert 3 * DAY - timedelta(minutes=1) < opens - now() <= 3 * DAY


def test_an_enrollment_that_is_not_active_yet_has_no_date(
    publish: Publish, enrolled: Enrolled, get: Send, learner: Person, database: Database, acme: UUID
) -> None:
    enrollment_id = enrolled(publish(THREE_DAYS_IN), "pending")
    with database.transaction(OrganizationScope(acme)) as session:
        session.execute(
            text("UPDATE enrollments SET activated_at = NULL WHERE id = :id"), {"id": enrollment_id}
        )
    assert locked(get(f"/enrollments/{enrollment_id}/progress", learner)) == [
        {"reason": "not_yet_available", "available_at": None, "lessons": []}
    ]


def test_in_a_sequential_module_lessons_open_one_after_the_other(
    publish: Publish, enrolled: Enrolled, report: Send, get: Send, learner: Person
) -> None:
    course = publish(*[LessonPlan()] * 3, sequential=True)
    enrollment_id = enrolled(course)
    path = f"/enrollments/{enrollment_id}/progress"
    ids = [str(lesson.id) for lesson in course.lessons]

    def earlier(*lesson_ids: str) -> dict[str, Any]:
        return {"reason": "earlier_lessons", "available_at": None, "lessons": list(lesson_ids)}

    assert locked(get(path, learner)) == [None, earlier(ids[0]), earlier(*ids[:2])]
    report(enrollment_id, course.lessons[0].id, viewed=True)
    assert locked(get(path, learner)) == [None, None, earlier(ids[1])]
    report(enrollment_id, course.lessons[1].id, viewed=True)
    assert locked(get(path, learner)) == [None, None, None]


def test_an_optional_lesson_of_a_sequential_module_holds_nothing_up(
    publish: Publish, enrolled: Enrolled, get: Send, learner: Person
) -> None:
    course = publish(LessonPlan(required=False), LessonPlan(), sequential=True)
    assert locked(get(f"/enrollments/{enrolled(course)}/progress", learner)) == [None, None]


def test_a_lock_names_the_first_ten_lessons_to_be_done(
    publish: Publish, enrolled: Enrolled, get: Send, report: Send, learner: Person
) -> None:
    course = publish(*[LessonPlan()] * 13, sequential=True)
    enrollment_id = enrolled(course)
    ten = [str(lesson.id) for lesson in course.lessons[:10]]
    last = locked(get(f"/enrollments/{enrollment_id}/progress", learner))[-1]
    assert last is not None
    assert last["lessons"] == ten
    assert report(enrollment_id, course.lessons[-1].id, viewed=True).json["lessons"] == ten


def test_the_next_lesson_is_one_that_is_open(
    publish: Publish, enrolled: Enrolled, report: Send, get: Send, learner: Person
) -> None:
    course = publish(WEEK_TWO, LessonPlan(required=False), LessonPlan())
    enrollment_id = enrolled(course)
    named: list[str | None] = []
    for lesson in (course.lessons[2], course.lessons[1], None):
        following = get(f"/enrollments/{enrollment_id}/progress", learner).json["next_lesson"]
        named.append(following and following["lesson_id"])
        if lesson is not None:
            report(enrollment_id, lesson.id, viewed=True)
    assert named == [str(course.lessons[2].id), str(course.lessons[1].id), None]


def test_progress_in_a_locked_lesson_is_refused_with_what_opens_it_and_not_recorded(
    publish: Publish, enrolled: Enrolled, report: Send, get: Send, learner: Person
) -> None:
    course = publish(LessonPlan(), WEEK_TWO, sequential=True)
    enrollment_id = enrolled(course)
    answer = report(enrollment_id, course.lessons[1].id, viewed=True)
    assert (answer.status_code, answer.json["code"]) == (409, "lesson_locked")
    progress = get(f"/enrollments/{enrollment_id}/progress", learner)
    members = {name: answer.json[name] for name in ("reason", "available_at", "lessons")}
    assert members == locked(progress)[1]
    assert members["lessons"] == [str(course.lessons[0].id)]
    assert progress.json["lessons"][1]["completed_at"] is None


def test_a_lesson_opens_by_itself_when_its_days_are_over(
    publish: Publish, enrolled: Enrolled, report: Send, database: Database, acme: UUID
) -> None:
    course = publish(WEEK_TWO)
    enrollment_id, lesson_id = enrolled(course), course.lessons[0].id
    assert report(enrollment_id, lesson_id, viewed=True).status_code == 409
    moved(database, acme, course, 7)
    assert report(enrollment_id, lesson_id, viewed=True).json["completed_how"] == "viewed"


def test_a_completed_lesson_stays_open_when_its_run_is_put_off(
    publish: Publish,
    enrolled: Enrolled,
    report: Send,
    get: Send,
    learner: Person,
    database: Database,
    acme: UUID,
) -> None:
    course = publish(LessonPlan(availability=after("run_start", 0)), LessonPlan())
    enrollment_id = enrolled(course)
    report(enrollment_id, course.lessons[0].id, viewed=True)
    moved(database, acme, course, -7)
    assert locked(get(f"/enrollments/{enrollment_id}/progress", learner)) == [None, None]
    assert report(enrollment_id, course.lessons[0].id, position_seconds=5).status_code == 200


def test_an_enrollment_that_is_not_active_is_told_so_before_any_lock(
    publish: Publish, enrolled: Enrolled, report: Send, database: Database, acme: UUID
) -> None:
    course = publish(WEEK_TWO)
    enrollment_id = enrolled(course)
    set_enrollment_state(database, acme, enrollment_id, "suspended")
    answer = report(enrollment_id, course.lessons[0].id, viewed=True)
    assert answer.json["code"] == "enrollment_not_active"


def test_nothing_is_locked_in_versions_that_were_published_before_there_were_locks(
    publish: Publish,
    enrolled: Enrolled,
    report: Send,
    get: Send,
    learner: Person,
    teacher: Person,
    database: Database,
    acme: UUID,
) -> None:
    course = publish(LessonPlan(), LessonPlan(file_name="a.pdf"), WEEK_TWO, sequential=True)
    enrollment_id, older = enrolled(course), _published_long_ago(database, acme, course, teacher)
    with database.transaction(OrganizationScope(acme)) as session:
        session.execute(
            text("UPDATE enrollments SET version_id = :version_id WHERE id = :id"),
            {"version_id": older, "id": enrollment_id},
        )
    assert locked(get(f"/enrollments/{enrollment_id}/progress", learner)) == [None] * 3
    assert report(enrollment_id, course.lessons[2].id, viewed=True).status_code == 200
    file_id = course.lessons[1].media_file_id
    path = f"/enrollments/{enrollment_id}/media-files/{file_id}/download"
    assert get(path, learner).status_code == 200


def _published_long_ago(
    database: Database, organization_id: UUID, course: MadeCourse, teacher: Person
) -> UUID:
    """Publish the same content in the form that it had before there were locks."""
    version_id = new_id()
    with database.transaction(OrganizationScope(organization_id)) as session:
        present = session.get_one(PublishedVersion, course.version_id)
        outline, rules = present.outline, present.rules
        for module in outline["modules"]:
            del module["sequential"]
            for lesson in module["lessons"]:
                del lesson["availability"]
        del rules["sequences"]
        for rule in rules["lessons"].values():
            del rule["availability"], rule["earlier"]
        session.expunge(present)
        session.add(
            CourseVersion(
                id=version_id,
                course_id=course.course_id,
                number=99,
                state="published",
                published_at=now(),
            )
        )
        session.flush()
        session.add(
            PublishedVersion(
                version_id=version_id,
                course_id=course.course_id,
                content_hash="older",
                outline=outline,
                rules=rules,
                published_by=teacher.id,
            )
        )
    return version_id


LESSONS = st.lists(
    st.builds(
        LessonPlan,
        required=st.booleans(),
        availability=st.one_of(
            st.none(),
            st.builds(after, st.sampled_from(["run_start", "activation"]), st.integers(0, 3)),
        ),
    ),
    min_size=1,
    max_size=6,
)


@UNTIMED
@given(lessons=LESSONS, sequential=st.booleans(), starts_in=st.integers(-3, 3), data=st.data())
def test_what_is_refused_is_exactly_what_progress_calls_locked_with_the_same_reason(
    lessons: list[LessonPlan],
    sequential: bool,
    starts_in: int,
    data: st.DataObject,
    publish: Publish,
    enrolled: Enrolled,
    learner: Person,
    database: Database,
    acme: UUID,
) -> None:
    course = publish(*lessons, sequential=sequential, run_starts_in=starts_in * DAY + DAY / 2)
    enrollment_id = enrolled(course)
    for lesson in data.draw(st.permutations(course.lessons)):
        with database.transaction(OrganizationScope(acme)) as session:
            progress = read_progress(session, learner.actor, enrollment_id)
        told = {one.lesson_id: one.locked for one in progress.lessons}[lesson.id]
        try:
            with database.transaction(OrganizationScope(acme)) as session:
                record_progress(
                    session, learner.actor, enrollment_id, lesson.id, Report(viewed=True)
                )
            refused = None
        except LessonLockedError as error:
            refused = error.params
        if told is None:
            assert refused is None
        else:
            assert refused == LessonLockedError(told).params


def test_the_gates_are_frozen_with_the_version(
    publish: Publish, enrolled: Enrolled, get: Send, learner: Person, database: Database, acme: UUID
) -> None:
    course = publish(LessonPlan(), WEEK_TWO, sequential=True)
    enrolled(course)
    outline = get(f"/course-versions/{course.version_id}/outline", learner).json
    (module,) = outline["modules"]
    assert module["sequential"] is True
    assert [one["availability"] for one in module["lessons"]] == [None, after("run_start", 7)]
    with database.transaction(OrganizationScope(acme)) as session:
        rules = session.scalars(
            select(PublishedVersion.rules).where(PublishedVersion.version_id == course.version_id)
        ).one()
    steps = [(one["lesson_id"], one["lineage_id"]) for one in rules["sequences"][module["id"]]]
    assert steps == [(str(one.id), str(one.lineage_id)) for one in course.lessons]
    second = rules["lessons"][str(course.lessons[1].lineage_id)]
    assert second["earlier"] == {"module_id": module["id"], "count": 1}


def test_an_enrollment_completes_through_a_sequential_module(
    publish: Publish, enrolled: Enrolled, report: Send, database: Database, acme: UUID
) -> None:
    course = publish(*[LessonPlan()] * 3, sequential=True)
    enrollment_id = enrolled(course)
    for lesson in course.lessons:
        assert report(enrollment_id, lesson.id, viewed=True).status_code == 200
    assert read_enrollment(database, acme, enrollment_id).state == "completed"
