"""Recomputing percent and completion: what was written past the rules is put right, once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text
from werkzeug.test import TestResponse

from lms.core.errors import DomainError, NotFoundError
from lms.core.ids import new_id
from lms.core.models import AuditEvent
from lms.enrollments.models import EnrollmentChange
from lms.learning import recompute
from lms.learning.operations import Report, record_progress
from lms.learning.recompute import Correction, count_active, recompute_batch
from tenants.session import Database, OrganizationScope
from tests.factories.learning import (
    LessonPlan,
    MadeCourse,
    enroll,
    read_enrollment,
    set_enrollment_state,
)
from tests.factories.people import Person, make_user
from tests.lms.courses.conftest import wait_until_blocked

Publish = Callable[..., MadeCourse]
Enrolled = Callable[..., UUID]
Send = Callable[..., TestResponse]
Recompute = Callable[..., list[Correction]]

UNTIMED = settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
"""Each example makes a course and an enrollment of its own, so what fixtures hold is not shared."""


@pytest.fixture
def recomputed(database: Database, acme: UUID) -> Recompute:
    """Recompute a run's enrollments, batch after batch."""

    def run(run_id: UUID | None, *, dry_run: bool = False) -> list[Correction]:
        corrections: list[Correction] = []
        last_id = None
        while True:
            with database.transaction(OrganizationScope(acme)) as session:
                batch = recompute_batch(session, run_id, after=last_id, dry_run=dry_run)
            if batch.last_id is None:
                return corrections
            last_id = batch.last_id
            corrections += batch.corrections

    return run


@pytest.fixture
def spoil(database: Database, acme: UUID) -> Callable[[UUID, int], None]:
    """Store a percent that the lessons do not say."""

    def write(enrollment_id: UUID, percent: int) -> None:
        with database.transaction(OrganizationScope(acme)) as session:
            session.execute(
                text("UPDATE enrollments SET percent = :percent WHERE id = :id"),
                {"percent": percent, "id": enrollment_id},
            )

    return write


def do_lesson(
    database: Database, organization_id: UUID, enrollment_id: UUID, lineage_id: UUID
) -> None:
    """Complete a lesson past the rules."""
    with database.transaction(OrganizationScope(organization_id)) as session:
        session.execute(
            text(
                "INSERT INTO lesson_progress"
                " (enrollment_id, lesson_lineage_id, completed_at, completed_how)"
                " VALUES (:id, :lineage_id, now(), 'viewed')"
            ),
            {"id": enrollment_id, "lineage_id": lineage_id},
        )


def snapshot(database: Database, organization_id: UUID, enrollment_id: UUID) -> dict[str, Any]:
    row = read_enrollment(database, organization_id, enrollment_id)
    names = ("state", "percent", "completed_at", "completed_rules_hash", "version")
    return {name: getattr(row, name) for name in names}


def test_a_percent_that_the_lessons_do_not_say_is_put_right(
    publish: Publish,
    enrolled: Enrolled,
    report: Send,
    spoil: Callable[[UUID, int], None],
    recomputed: Recompute,
    database: Database,
    acme: UUID,
) -> None:
    course = publish(LessonPlan(), LessonPlan())
    enrollment_id = enrolled(course)
    report(enrollment_id, course.lessons[0].id, viewed=True)
    for wrong in (0, 99):
        spoil(enrollment_id, wrong)
        (one,) = recomputed(course.run_id)
        assert (one.enrollment_id, one.found, one.percent) == (enrollment_id, wrong, 50)
        assert read_enrollment(database, acme, enrollment_id).percent == 50


def test_who_has_done_everything_is_completed_by_the_versions_rules(
    publish: Publish, enrolled: Enrolled, recomputed: Recompute, database: Database, acme: UUID
) -> None:
    course = publish(LessonPlan())
    enrollment_id = enrolled(course)
    do_lesson(database, acme, enrollment_id, course.lessons[0].lineage_id)
    (one,) = recomputed(course.run_id)
    assert one.completes
    stored = read_enrollment(database, acme, enrollment_id)
    assert (stored.state, stored.percent) == ("completed", 100)
    assert stored.completed_rules_hash == course.content_hash
    with database.transaction(OrganizationScope(acme)) as session:
        change = session.scalars(
            select(EnrollmentChange).where(EnrollmentChange.enrollment_id == enrollment_id)
        ).one()
    assert (change.to_state, change.actor_id) == ("completed", None)


def test_repeating_changes_nothing(
    publish: Publish,
    enrolled: Enrolled,
    recomputed: Recompute,
    spoil: Callable[[UUID, int], None],
    database: Database,
    acme: UUID,
) -> None:
    course = publish(LessonPlan(), LessonPlan())
    enrollment_id = enrolled(course)
    spoil(enrollment_id, 70)
    recomputed(course.run_id)
    before = snapshot(database, acme, enrollment_id)
    assert recomputed(course.run_id) == []
    assert snapshot(database, acme, enrollment_id) == before


@pytest.mark.parametrize("state", ["completed", "withdrawn", "suspended", "pending"])
def test_enrollments_that_are_not_active_stay_as_they_are(
    state: str,
    publish: Publish,
    enrolled: Enrolled,
    recomputed: Recompute,
    database: Database,
    acme: UUID,
) -> None:
    course = publish(LessonPlan(), LessonPlan())
    enrollment_id = enrolled(course, state)
    do_lesson(database, acme, enrollment_id, course.lessons[0].lineage_id)
    before = snapshot(database, acme, enrollment_id)
    assert recomputed(course.run_id) == []
    assert snapshot(database, acme, enrollment_id) == before


def test_a_reopened_enrollment_stays_open_until_its_progress_changes(
    publish: Publish,
    enrolled: Enrolled,
    report: Send,
    recomputed: Recompute,
    database: Database,
    acme: UUID,
) -> None:
    course = publish(LessonPlan(), LessonPlan(required=False))
    enrollment_id = enrolled(course)
    report(enrollment_id, course.lessons[0].id, viewed=True)
    first = read_enrollment(database, acme, enrollment_id).completed_at
    set_enrollment_state(database, acme, enrollment_id, "active")
    assert recomputed(course.run_id) == []
    assert read_enrollment(database, acme, enrollment_id).state == "active"
    report(enrollment_id, course.lessons[1].id, viewed=True)
    stored = read_enrollment(database, acme, enrollment_id)
    assert (stored.state, stored.completed_at) == ("completed", first)


def test_a_reopened_enrollment_whose_percent_was_wrong_completes_again_with_its_first_date(
    publish: Publish,
    enrolled: Enrolled,
    report: Send,
    spoil: Callable[[UUID, int], None],
    recomputed: Recompute,
    database: Database,
    acme: UUID,
) -> None:
    course = publish(LessonPlan())
    enrollment_id = enrolled(course)
    report(enrollment_id, course.lessons[0].id, viewed=True)
    first = read_enrollment(database, acme, enrollment_id).completed_at
    assert first is not None
    set_enrollment_state(database, acme, enrollment_id, "active")
    spoil(enrollment_id, 50)
    (one,) = recomputed(course.run_id)
    assert one.completes
    stored = read_enrollment(database, acme, enrollment_id)
    assert (stored.state, stored.completed_at) == ("completed", first)


def test_a_dry_run_says_what_is_wrong_and_leaves_it(
    publish: Publish,
    enrolled: Enrolled,
    recomputed: Recompute,
    spoil: Callable[[UUID, int], None],
    database: Database,
    acme: UUID,
) -> None:
    course = publish(LessonPlan(), LessonPlan())
    enrollment_id = enrolled(course)
    spoil(enrollment_id, 70)
    before = snapshot(database, acme, enrollment_id)
    (one,) = recomputed(course.run_id, dry_run=True)
    assert (one.found, one.percent) == (70, 0)
    assert snapshot(database, acme, enrollment_id) == before


def test_each_correction_is_on_record(
    publish: Publish,
    enrolled: Enrolled,
    recomputed: Recompute,
    spoil: Callable[[UUID, int], None],
    database: Database,
    acme: UUID,
) -> None:
    course = publish(LessonPlan())
    enrollment_id = enrolled(course)
    spoil(enrollment_id, 70)
    recomputed(course.run_id)
    with database.transaction(OrganizationScope(acme)) as session:
        event = session.scalars(
            select(AuditEvent).where(AuditEvent.subject_id == enrollment_id)
        ).one()
    assert (event.action, event.actor_id) == ("enrollment.recompute", None)
    assert (event.before, event.after) == (
        {"state": "active", "percent": 70},
        {"state": "active", "percent": 0},
    )


def test_every_enrollment_is_looked_at_however_many_batches_it_takes(
    publish: Publish,
    recomputed: Recompute,
    spoil: Callable[[UUID, int], None],
    database: Database,
    acme: UUID,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recompute, "BATCH", 2)
    course = publish(LessonPlan())
    made = [enroll(database, acme, course, make_user(database, acme)) for _ in range(5)]
    for enrollment_id in made:
        spoil(enrollment_id, 10)
    assert [one.enrollment_id for one in recomputed(course.run_id)] == made


def test_another_runs_enrollments_are_left_alone(
    publish: Publish,
    enrolled: Enrolled,
    recomputed: Recompute,
    spoil: Callable[[UUID, int], None],
) -> None:
    course, other = publish(LessonPlan()), publish(LessonPlan())
    spoil(enrolled(other), 70)
    assert recomputed(course.run_id) == []
    assert len(recomputed(other.run_id)) == 1


def test_a_run_that_is_not_there_is_refused(database: Database, acme: UUID) -> None:
    with database.transaction(OrganizationScope(acme)) as session, pytest.raises(NotFoundError):
        count_active(session, new_id())


def test_a_report_that_comes_meanwhile_is_waited_for_and_counted(
    publish: Publish,
    enrolled: Enrolled,
    recomputed: Recompute,
    spoil: Callable[[UUID, int], None],
    learner: Person,
    database: Database,
    acme: UUID,
) -> None:
    course = publish(LessonPlan(), LessonPlan())
    enrollment_id = enrolled(course)
    spoil(enrollment_id, 70)
    with ThreadPoolExecutor(max_workers=1) as thread:
        with database.transaction(OrganizationScope(acme)) as session:
            record_progress(
                session, learner.actor, enrollment_id, course.lessons[0].id, Report(viewed=True)
            )
            recomputing = thread.submit(recomputed, course.run_id)
            wait_until_blocked(database, acme, recomputing)
        assert recomputing.result(timeout=10) == []
    assert read_enrollment(database, acme, enrollment_id).percent == 50


PLANS = st.builds(
    LessonPlan,
    completion=st.sampled_from(
        [
            {"rule": "viewed"},
            {"rule": "dwell", "seconds": 5},
            {"rule": "watched", "percent": 50},
            {"rule": "marked_by_learner"},
            {"rule": "marked_by_staff"},
        ]
    ),
    required=st.booleans(),
    weight=st.integers(1, 9),
    video_seconds=st.sampled_from([None, 20.0]),
)
PARTS = st.tuples(st.integers(0, 19), st.integers(1, 20)).map(lambda part: (part[0], sum(part)))
REPORTS = st.builds(
    Report,
    position_seconds=st.one_of(st.none(), st.floats(0, 20)),
    watched=st.lists(PARTS, max_size=3).map(tuple),
    dwell_seconds=st.integers(0, 20),
    viewed=st.booleans(),
    completed=st.booleans(),
)


@UNTIMED
@given(
    plans=st.lists(PLANS, min_size=1, max_size=5),
    sequential=st.booleans(),
    told=st.lists(st.tuples(st.integers(0, 4), REPORTS), max_size=12),
)
def test_percent_only_rises_to_100_by_any_reports_and_recomputing_then_changes_nothing(
    plans: list[LessonPlan],
    sequential: bool,
    told: list[tuple[int, Report]],
    publish: Publish,
    enrolled: Enrolled,
    recomputed: Recompute,
    learner: Person,
    database: Database,
    acme: UUID,
) -> None:
    course = publish(*plans, sequential=sequential)
    enrollment_id = enrolled(course)
    percents = [0]
    for number, report in told:
        lesson = course.lessons[number % len(course.lessons)]
        try:
            with database.transaction(OrganizationScope(acme)) as session:
                recorded = record_progress(session, learner.actor, enrollment_id, lesson.id, report)
        except DomainError:
            continue
        percents.append(recorded.enrollment.percent)
    assert percents == sorted(percents)
    assert percents[-1] <= 100
    before = snapshot(database, acme, enrollment_id)
    assert before["percent"] == percents[-1]
    assert (before["state"] == "completed") == (percents[-1] == 100)
    assert recomputed(course.run_id) == []
    assert snapshot(database, acme, enrollment_id) == before
