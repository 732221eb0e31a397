"""Files and videos of lessons that do not open yet."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from lms.core.storage.base import Storage
from tenants.session import Database
from tests.factories.learning import (
    LessonPlan,
    MadeCourse,
    set_enrollment_state,
)
from tests.factories.people import Person, make_user
from tests.lms.learning.locking import after, moved

Publish = Callable[..., MadeCourse]
Enrolled = Callable[..., UUID]
Send = Callable[..., TestResponse]


def test_a_file_of_a_locked_lesson_is_downloaded_once_it_opens(
    publish: Publish,
    enrolled: Enrolled,
    get: Send,
    learner: Person,
    app: Flask,
    database: Database,
    acme: UUID,
) -> None:
    plan = LessonPlan(file_name="Week 2.pdf", availability=after("run_start", 7))
    course = publish(plan)
    lesson = course.lessons[0]
    app.extensions["edge"].services.get(Storage).write(
        f"{lesson.media_prefix}/original", b"%PDF-1.7", content_type="application/pdf"
    )
    path = f"/enrollments/{enrolled(course)}/media-files/{lesson.media_file_id}/download"
    answer = get(path, learner)
    assert (answer.status_code, answer.json["code"]) == (409, "lesson_locked")
    assert answer.json["reason"] == "not_yet_available"
    moved(database, acme, course, 7)
    assert get(path, learner).status_code == 200


@pytest.fixture
def second_video(publish: Publish) -> MadeCourse:
    """A text, and then a video that is open once it was read."""
    return publish(LessonPlan(), LessonPlan(video_seconds=20.0), sequential=True)


def test_the_video_of_a_locked_lesson_plays_once_it_opens(
    second_video: MadeCourse, enrolled: Enrolled, report: Send, get: Send, learner: Person
) -> None:
    enrollment_id = enrolled(second_video)
    path = f"/videos/{second_video.lessons[1].video_id}/playback"
    answer = get(path, learner)
    assert (answer.status_code, answer.json["code"]) == (409, "lesson_locked")
    assert answer.json["lessons"] == [str(second_video.lessons[0].id)]
    report(enrollment_id, second_video.lessons[0].id, viewed=True)
    assert get(path, learner).status_code == 200


def test_playlists_are_locked_as_their_video_is(
    publish: Publish,
    enrolled: Enrolled,
    get: Send,
    learner: Person,
    client: FlaskClient,
    app: Flask,
    database: Database,
    acme: UUID,
) -> None:
    storage = app.extensions["edge"].services.get(Storage)
    plan = LessonPlan(video_seconds=20.0, availability=after("run_start", 0))
    course = publish(plan, storage=storage)
    enrolled(course)
    links = get(f"/videos/{course.lessons[0].video_id}/playback", learner).json
    moved(database, acme, course, -7)
    for url in (links["master_url"], links["renditions"][0]["playlist_url"]):
        answer = client.get(
            url.removeprefix("http://acme.localhost"), base_url="http://acme.localhost"
        )
        assert (answer.status_code, answer.json["code"]) == (409, "lesson_locked")


def test_of_two_enrollments_with_a_video_one_in_which_it_is_open_plays_it(
    second_video: MadeCourse,
    enrolled: Enrolled,
    get: Send,
    report: Send,
    learner: Person,
    database: Database,
    acme: UUID,
) -> None:
    first = enrolled(second_video)
    report(first, second_video.lessons[0].id, viewed=True)
    report(first, second_video.lessons[1].id, watched=[[0, 5]])
    set_enrollment_state(database, acme, first, "withdrawn")
    path = f"/videos/{second_video.lessons[1].video_id}/playback"
    again = enrolled(second_video, attempt=2)
    assert get(path, learner).json["code"] == "lesson_locked"
    report(again, second_video.lessons[0].id, viewed=True)
    assert get(path, learner).status_code == 200


def test_staff_who_teach_the_course_play_what_is_locked_for_learners(
    second_video: MadeCourse, get: Send, teacher: Person
) -> None:
    path = f"/videos/{second_video.lessons[1].video_id}/playback"
    assert get(path, teacher).status_code == 200


def test_a_preview_plays_for_everyone_whatever_it_waits_for(
    publish: Publish, get: Send, database: Database, acme: UUID
) -> None:
    plan = LessonPlan(preview=True, video_seconds=20.0, availability=after("run_start", 90))
    path = f"/videos/{publish(plan).lessons[0].video_id}/playback"
    assert get(path, make_user(database, acme)).status_code == 200
