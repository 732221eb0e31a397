"""Until when the content of a run may be read: by the database's clock, and by learners alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from lms.core.clock import now, rfc3339
from lms.core.ids import new_id
from lms.core.storage.base import Storage
from lms.courses.models import CourseRun, RunSeats
from lms.enrollments.models import Enrollment, EnrollmentChange
from lms.enrollments.transitions import Change, move
from tenants.session import Database, OrganizationScope
from tests.factories.learning import LessonPlan, MadeCourse, enroll, set_enrollment_state
from tests.factories.people import Person, make_user

ACME = "http://acme.localhost"
Send = Callable[..., TestResponse]

VIDEO = LessonPlan({"rule": "watched", "percent": 90}, video_seconds=21.0)
DOCUMENT = LessonPlan(file_name="notes.pdf")


@dataclass
class Class:
    """A course, and one learner's enrollment in its run."""

    database: Database
    organization_id: UUID
    course: MadeCourse
    enrollment_id: UUID
    reads: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        video, document = self.course.lessons
        self.reads = {
            "outline": f"/course-versions/{self.course.version_id}/outline",
            "download": (
                f"/enrollments/{self.enrollment_id}/media-files/{document.media_file_id}/download"
            ),
            "playback": f"/videos/{video.video_id}/playback",
            "lesson": f"/enrollments/{self.enrollment_id}/lessons/{document.id}",
        }

    def extend(self, at: datetime | None) -> None:
        """Give the learner an end of access of their own."""
        with self.database.transaction(OrganizationScope(self.organization_id)) as session:
            session.get_one(Enrollment, self.enrollment_id).access_ends_at = at

    def end_access(self, at: datetime | None, run_id: UUID | None = None) -> None:
        with self.database.transaction(OrganizationScope(self.organization_id)) as session:
            run = session.get_one(CourseRun, run_id or self.course.run_id)
            run.enrollment_opens_at = now() - timedelta(days=9)
            run.starts_at = run.enrollment_opens_at
            run.enrollment_closes_at = run.ends_at = now() - timedelta(days=5)
            run.access_ends_at = at


@pytest.fixture
def taken(
    app: Flask,
    database: Database,
    acme: UUID,
    publish: Callable[..., MadeCourse],
    enrolled: Callable[..., UUID],
) -> Class:
    storage = app.extensions["edge"].services.get(Storage)
    course = publish(VIDEO, DOCUMENT, storage=storage)
    return Class(database, acme, course, enrolled(course))


@pytest.mark.parametrize("read", ["outline", "download", "playback", "lesson"])
@pytest.mark.parametrize(
    ("awaiting", "remedy"),
    [("payment", "Finish the payment."), ("offer", "Accept the seat that is offered.")],
)
def test_before_its_beginning_nothing_is_read_and_what_it_waits_for_is_told(
    taken: Class, get: Send, learner: Person, read: str, awaiting: str, remedy: str
) -> None:
    with taken.database.transaction(OrganizationScope(taken.organization_id)) as session:
        enrollment = session.get_one(Enrollment, taken.enrollment_id)
        enrollment.state, enrollment.awaiting = "pending", awaiting

    refused = get(taken.reads[read], learner)

    assert (refused.status_code, refused.json["code"]) == (403, "enrollment_has_no_access")
    assert refused.json["remedy"] == remedy


@pytest.mark.parametrize("read", ["outline", "download", "playback", "lesson"])
@pytest.mark.parametrize("state", ["active", "completed"])
def test_after_its_end_nothing_is_read_any_more(
    taken: Class, get: Send, learner: Person, read: str, state: str
) -> None:
    if state == "completed":
        complete(taken)
    ended_at = now() - timedelta(minutes=1)
    taken.end_access(ended_at)

    refused = get(taken.reads[read], learner)

    assert (refused.status_code, refused.json["code"]) == (409, "access_ended")
    assert refused.json["access_ended_at"] == rfc3339(ended_at)
    assert refused.json["remedy"]


@pytest.mark.parametrize("read", ["outline", "download", "playback", "lesson"])
@pytest.mark.parametrize("ends_in", [None, timedelta(minutes=1)])
def test_until_then_the_end_of_the_run_changes_nothing(
    taken: Class, get: Send, learner: Person, read: str, ends_in: timedelta | None
) -> None:
    taken.end_access(None if ends_in is None else now() + ends_in)

    assert get(taken.reads[read], learner).status_code == 200


@pytest.mark.parametrize("read", ["outline", "download", "playback"])
def test_a_learners_own_end_goes_before_the_runs(
    taken: Class, get: Send, learner: Person, read: str
) -> None:
    taken.end_access(now() - timedelta(minutes=1))
    taken.extend(now() + timedelta(minutes=1))
    assert get(taken.reads[read], learner).status_code == 200

    taken.end_access(now() + timedelta(minutes=1))
    ended_at = now() - timedelta(seconds=1)
    taken.extend(ended_at)
    refused = get(taken.reads[read], learner)
    assert (refused.status_code, refused.json["code"]) == (409, "access_ended")
    assert refused.json["access_ended_at"] == rfc3339(ended_at)


def test_with_more_time_progress_is_recorded(taken: Class, report: Send) -> None:
    taken.end_access(now() - timedelta(minutes=1))
    taken.extend(now() + timedelta(minutes=1))
    assert report(taken.enrollment_id, taken.course.lessons[1].id, viewed=True).status_code == 200


def test_what_is_closed_by_the_enrollments_state_says_since_when(
    taken: Class, get: Send, report: Send, learner: Person
) -> None:
    with taken.database.transaction(OrganizationScope(taken.organization_id)) as session:
        move(session, taken.enrollment_id, "suspended", Change("suspended"))
    with taken.database.transaction(OrganizationScope(taken.organization_id)) as session:
        since = session.scalars(
            select(EnrollmentChange.at).where(EnrollmentChange.enrollment_id == taken.enrollment_id)
        ).one()
    refused = [get(path, learner) for path in taken.reads.values()]
    refused.append(report(taken.enrollment_id, taken.course.lessons[1].id, viewed=True))
    assert {answer.json["since"] for answer in refused} == {rfc3339(since)}


def test_after_its_end_no_progress_is_recorded(taken: Class, get: Send, report: Send) -> None:
    lesson = taken.course.lessons[1]
    taken.end_access(now() - timedelta(minutes=1))

    refused = report(taken.enrollment_id, lesson.id, viewed=True)

    assert (refused.status_code, refused.json["code"]) == (409, "access_ended")
    taken.end_access(now() + timedelta(minutes=1))
    recorded = report(taken.enrollment_id, lesson.id, viewed=True)
    assert recorded.status_code == 200
    assert recorded.json["enrollment"]["percent"] == 50


def test_after_its_end_the_learner_still_sees_how_far_they_came(
    taken: Class, get: Send, report: Send, learner: Person
) -> None:
    report(taken.enrollment_id, taken.course.lessons[1].id, viewed=True)
    taken.end_access(now() - timedelta(minutes=1))

    answer = get(f"/enrollments/{taken.enrollment_id}/progress", learner)

    assert (answer.status_code, answer.json["percent"]) == (200, 50)


def test_playlists_stop_at_its_end_though_their_links_were_given_before(
    taken: Class, client: FlaskClient, get: Send, learner: Person
) -> None:
    links = get(taken.reads["playback"], learner).json
    taken.end_access(now() - timedelta(minutes=1))

    for url in (links["master_url"], links["renditions"][0]["playlist_url"]):
        refused = client.get(url.removeprefix(ACME), base_url=ACME)
        assert (refused.status_code, refused.json["code"]) == (409, "access_ended")


def test_an_enrollment_that_is_closed_anyway_says_why(
    taken: Class, database: Database, acme: UUID, get: Send, learner: Person
) -> None:
    set_enrollment_state(database, acme, taken.enrollment_id, "suspended")
    taken.end_access(now() - timedelta(minutes=1))

    refused = get(taken.reads["outline"], learner)

    assert (refused.status_code, refused.json["code"]) == (403, "enrollment_has_no_access")


@pytest.mark.parametrize("read", ["outline", "playback"])
def test_staff_read_on(taken: Class, get: Send, teacher: Person, read: str) -> None:
    taken.end_access(now() - timedelta(minutes=1))

    assert get(taken.reads[read], teacher).status_code == 200


@pytest.mark.parametrize("read", ["outline", "playback"])
@pytest.mark.parametrize("ended", ["first", "second"])
def test_who_is_in_another_run_of_the_version_reads_by_that(
    taken: Class,
    database: Database,
    acme: UUID,
    get: Send,
    learner: Person,
    read: str,
    ended: str,
) -> None:
    second = another_run(taken)
    enroll(database, acme, second, learner)
    assert taken.course.run_id is not None
    taken.end_access(
        now() - timedelta(minutes=1), taken.course.run_id if ended == "first" else second.run_id
    )

    assert get(taken.reads[read], learner).status_code == 200


def test_a_stranger_learns_nothing_of_it(
    taken: Class, database: Database, acme: UUID, get: Send
) -> None:
    taken.end_access(now() - timedelta(minutes=1))

    assert get(taken.reads["outline"], make_user(database, acme)).status_code == 404


def complete(taken: Class) -> None:
    set_completed = {"state": "completed", "percent": 100, "completed_at": now()}
    with taken.database.transaction(OrganizationScope(taken.organization_id)) as session:
        enrollment = session.get_one(Enrollment, taken.enrollment_id)
        for name, value in set_completed.items():
            setattr(enrollment, name, value)


def another_run(taken: Class) -> MadeCourse:
    run_id = new_id()
    with taken.database.transaction(OrganizationScope(taken.organization_id)) as session:
        session.add(
            CourseRun(
                id=run_id,
                course_id=taken.course.course_id,
                version_id=taken.course.version_id,
                title="February cohort",
                starts_at=now() - timedelta(days=1),
                ends_at=now() + timedelta(days=30),
                enrollment_opens_at=now() - timedelta(days=10),
                enrollment_closes_at=now() + timedelta(days=10),
                currency="EUR",
            )
        )
        session.flush()
        session.add(RunSeats(run_id=run_id))
    return replace(taken.course, run_id=run_id)
