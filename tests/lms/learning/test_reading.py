"""Reading a version's content, an enrollment's progress, and downloads."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, event, text
from werkzeug.test import TestResponse

from lms.core.clock import now
from lms.core.ids import new_id
from lms.core.storage.base import Storage
from lms.courses import outline
from lms.learning import queries
from lms.learning.outline_schemas import OutlineOut
from tenants import names
from tenants.session import Database
from tests.factories.learning import LessonPlan, MadeCourse
from tests.factories.people import Person, make_user

ACME = "http://acme.localhost"
GLOBEX = "http://globex.localhost"
Publish = Callable[..., MadeCourse]
Enrolled = Callable[..., UUID]
Send = Callable[..., TestResponse]

DOCUMENT = LessonPlan(file_name="Übersicht 2027.pdf")


@pytest.fixture
def admin(database: Database, acme: UUID, client: FlaskClient) -> Person:
    del client
    return make_user(database, acme, "admin")


@pytest.fixture
def other_teacher(database: Database, acme: UUID, client: FlaskClient) -> Person:
    del client
    return make_user(database, acme, "instructor")


def test_an_enrolled_learner_reads_the_frozen_outline(
    publish: Publish, enrolled: Enrolled, get: Send, learner: Person
) -> None:
    course = publish(LessonPlan(), LessonPlan(video_seconds=20.5))
    enrolled(course)
    answer = get(f"/course-versions/{course.version_id}/outline", learner)
    assert answer.status_code == 200
    assert answer.json["published"] is True
    first, video = answer.json["modules"][0]["lessons"]
    assert first["content"] == "Know your *alternative*."
    assert video["media"][0]["video_id"] == str(course.lessons[1].video_id)


def test_the_frozen_outline_is_what_the_document_describes(
    publish: Publish, enrolled: Enrolled, get: Send, learner: Person
) -> None:
    course = publish(LessonPlan(), LessonPlan(video_seconds=20.5), DOCUMENT)
    enrolled(course)
    answer = get(f"/course-versions/{course.version_id}/outline", learner).json
    assert OutlineOut().dump(OutlineOut().load(answer)) == answer


def test_learners_get_the_content_as_html(
    publish: Publish, enrolled: Enrolled, get: Send, learner: Person
) -> None:
    course = publish(LessonPlan())
    enrolled(course)
    answer = get(f"/course-versions/{course.version_id}/outline", learner).json
    (lesson,) = answer["modules"][0]["lessons"]
    assert lesson["content_html"] == "<p>Know your <em>alternative</em>.</p>\n"


def test_another_renderer_changes_drafts_and_nothing_that_was_published(
    publish: Publish, get: Send, teacher: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen, draft = publish(LessonPlan()), publish(LessonPlan(), published=False)
    monkeypatch.setattr(outline, "to_html", lambda _markdown: "<p>Another</p>")
    shown = [
        get(f"/course-versions/{course.version_id}/outline", teacher).json["modules"][0]["lessons"]
        for course in (frozen, draft)
    ]
    assert [lesson["content_html"] for (lesson,) in shown] == [
        "<p>Know your <em>alternative</em>.</p>\n",
        "<p>Another</p>",
    ]


@pytest.mark.parametrize("content", ["Know your *alternative*.", '"content_html": "<p>x</p>"'])
def test_what_was_published_before_there_was_html_has_none(
    publish: Publish,
    enrolled: Enrolled,
    get: Send,
    learner: Person,
    admin_engine: Engine,
    acme: UUID,
    content: str,
) -> None:
    course = publish(LessonPlan(), LessonPlan(video_seconds=20.5))
    enrolled(course)
    table = f"{names.quote(names.schema_name(acme))}.published_versions"
    with admin_engine.begin() as connection:
        (stored,) = connection.execute(
            text(f"SELECT outline FROM {table} WHERE version_id = :id"), {"id": course.version_id}
        ).one()
        for lesson in stored["modules"][0]["lessons"]:
            del lesson["content_html"]
            lesson["content"] = content
        connection.execute(
            text(f"UPDATE {table} SET outline = CAST(:outline AS jsonb) WHERE version_id = :id"),
            {"id": course.version_id, "outline": json.dumps(stored)},
        )
    answer = get(f"/course-versions/{course.version_id}/outline", learner)
    lessons = answer.json["modules"][0]["lessons"]
    assert [lesson["content_html"] for lesson in lessons] == [None, None]
    assert [lesson["content"] for lesson in lessons] == [content, content]
    assert answer.headers["ETag"] == f'"{course.content_hash}"'
    assert OutlineOut().dump(OutlineOut().load(answer.json)) == answer.json


def test_a_published_outline_is_kept_and_asked_again_by_its_hash(
    publish: Publish, enrolled: Enrolled, get: Send, learner: Person, client: FlaskClient
) -> None:
    course = publish(LessonPlan())
    enrolled(course)
    path = f"/course-versions/{course.version_id}/outline"
    first = get(path, learner)
    assert first.headers["ETag"] == f'"{course.content_hash}"'
    assert first.headers["Cache-Control"].startswith("private, max-age=")
    assert first.headers["Vary"] == "Authorization"
    headers = {**learner.headers, "If-None-Match": first.headers["ETag"]}
    again = client.get(f"/api/v1{path}", base_url=ACME, headers=headers)
    assert (again.status_code, again.data) == (304, b"")


def test_the_outline_costs_one_statement_beside_host_scope_and_actor(
    publish: Publish, enrolled: Enrolled, get: Send, learner: Person, app: Flask
) -> None:
    course = publish(*[LessonPlan(video_seconds=20.5)] * 3)
    enrolled(course)
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        sent.append(statement)

    engine = app.extensions["edge"].database.events
    event.listen(engine, "before_cursor_execute", note)
    try:
        get(f"/course-versions/{course.version_id}/outline", learner)
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert len(sent) == 1 + 1


def test_a_student_without_an_enrollment_finds_no_outline(
    publish: Publish, get: Send, learner: Person
) -> None:
    course = publish(LessonPlan())
    assert get(f"/course-versions/{course.version_id}/outline", learner).status_code == 404


def test_an_enrollment_that_is_not_live_closes_the_outline_and_says_why(
    publish: Publish, enrolled: Enrolled, get: Send, learner: Person
) -> None:
    course = publish(LessonPlan())
    enrolled(course, "suspended")
    answer = get(f"/course-versions/{course.version_id}/outline", learner)
    assert (answer.status_code, answer.json["state"]) == (403, "suspended")
    assert answer.json["remedy"]


@pytest.mark.parametrize("states", [("completed", "withdrawn"), ("withdrawn", "active")])
def test_a_live_enrollment_reads_the_outline_whatever_became_of_others(
    states: tuple[str, str], publish: Publish, enrolled: Enrolled, get: Send, learner: Person
) -> None:
    course = publish(LessonPlan())
    for attempt, state in enumerate(states, start=1):
        enrolled(course, state, attempt=attempt)
    assert get(f"/course-versions/{course.version_id}/outline", learner).status_code == 200


def test_staff_who_teach_the_course_read_its_draft_and_nobody_keeps_it(
    publish: Publish, get: Send, teacher: Person, admin: Person
) -> None:
    draft = publish(LessonPlan(), published=False)
    for person in (teacher, admin):
        answer = get(f"/course-versions/{draft.version_id}/outline", person)
        assert (answer.status_code, answer.json["published"]) == (200, False)
        assert answer.json["modules"][0]["lessons"][0]["id"] == str(draft.lessons[0].id)
        assert answer.headers["Cache-Control"] == "private, no-cache"


def test_a_draft_that_did_not_change_is_not_rendered_again(
    publish: Publish,
    get: Send,
    teacher: Person,
    client: FlaskClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = f"/course-versions/{publish(LessonPlan(), published=False).version_id}/outline"
    headers = {**teacher.headers, "If-None-Match": get(path, teacher).headers["ETag"]}

    def render(markdown: str) -> str:
        raise AssertionError(markdown)

    monkeypatch.setattr(outline, "to_html", render)
    again = client.get(f"/api/v1{path}", base_url=ACME, headers=headers)
    assert (again.status_code, again.data) == (304, b"")


def test_another_renderer_gives_a_draft_another_tag(
    publish: Publish, get: Send, teacher: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"/course-versions/{publish(LessonPlan(), published=False).version_id}/outline"
    before = get(path, teacher).headers["ETag"]
    monkeypatch.setattr(queries, "RENDERER", "another")
    assert get(path, teacher).headers["ETag"] != before


def test_a_draft_is_not_there_for_students_and_other_instructors(
    publish: Publish, get: Send, learner: Person, other_teacher: Person
) -> None:
    draft = publish(LessonPlan(), published=False)
    for person in (learner, other_teacher):
        assert get(f"/course-versions/{draft.version_id}/outline", person).status_code == 404


def test_an_unknown_version_has_no_outline(get: Send, learner: Person, admin: Person) -> None:
    for person in (learner, admin):
        assert get(f"/course-versions/{new_id()}/outline", person).status_code == 404


def test_globex_finds_nothing_of_acmes_content(
    publish: Publish, enrolled: Enrolled, get: Send, learner: Person, stranger: Person
) -> None:
    course = publish(DOCUMENT)
    enrollment_id = enrolled(course)
    for path in (
        f"/course-versions/{course.version_id}/outline",
        f"/enrollments/{enrollment_id}/progress",
        f"/enrollments/{enrollment_id}/media-files/{course.lessons[0].media_file_id}/download",
    ):
        assert get(path, learner, base_url=GLOBEX).status_code == 401
        assert get(path, stranger, base_url=GLOBEX).status_code == 404


def test_progress_tells_lesson_by_lesson_what_was_done(
    publish: Publish, enrolled: Enrolled, get: Send, report: Send, learner: Person
) -> None:
    course = publish(LessonPlan(), LessonPlan({"rule": "watched", "percent": 90}, video_seconds=20))
    enrollment_id = enrolled(course)
    report(enrollment_id, course.lessons[0].id, viewed=True)
    report(enrollment_id, course.lessons[1].id, watched=[[0, 10]], position_seconds=10)
    progress = get(f"/enrollments/{enrollment_id}/progress", learner).json
    assert (progress["state"], progress["percent"]) == ("active", 50)
    text, video = progress["lessons"]
    assert text["completed_how"] == "viewed"
    assert text["watched_percent"] is None
    assert video["lesson_lineage_id"] == str(course.lessons[1].lineage_id)
    assert (video["watched_seconds"], video["watched_percent"]) == (10, 50)
    assert video["position_seconds"] == 10
    assert video["module"]["title"] == "Before the meeting"
    assert video["completed_at"] is None


def test_progress_names_the_next_lesson_until_everything_is_done(
    publish: Publish, enrolled: Enrolled, get: Send, report: Send, learner: Person
) -> None:
    course = publish(LessonPlan(required=False), LessonPlan())
    enrollment_id = enrolled(course)
    named = []
    for lesson in (course.lessons[1], course.lessons[0], None):
        following = get(f"/enrollments/{enrollment_id}/progress", learner).json["next_lesson"]
        named.append(following and following["lesson_id"])
        if lesson is not None:
            report(enrollment_id, lesson.id, viewed=True)
    assert named == [str(course.lessons[1].id), str(course.lessons[0].id), None]


def test_progress_is_open_to_staff_of_the_course_and_closed_to_everyone_else(
    publish: Publish,
    enrolled: Enrolled,
    get: Send,
    request: pytest.FixtureRequest,
) -> None:
    path = f"/enrollments/{enrolled(publish(LessonPlan()))}/progress"
    seen = {
        who: get(path, request.getfixturevalue(who)).status_code
        for who in ("teacher", "admin", "other_teacher")
    }
    assert seen == {"teacher": 200, "admin": 200, "other_teacher": 404}


def test_another_students_progress_is_not_there(
    publish: Publish, enrolled: Enrolled, get: Send, database: Database, acme: UUID
) -> None:
    path = f"/enrollments/{enrolled(publish(LessonPlan()))}/progress"
    assert get(path, make_user(database, acme)).status_code == 404


def test_a_learner_downloads_a_file_under_its_own_name(
    publish: Publish, enrolled: Enrolled, get: Send, learner: Person, app: Flask
) -> None:
    course = publish(DOCUMENT)
    lesson = course.lessons[0]
    storage = app.extensions["edge"].services.get(Storage)
    storage.write(f"o/tests/{lesson.id}/original", b"%PDF-1.7", content_type="application/pdf")
    answer = get(
        f"/enrollments/{enrolled(course)}/media-files/{lesson.media_file_id}/download", learner
    )
    assert answer.status_code == 200
    assert now() < datetime.fromisoformat(answer.json["expires_at"]) < now() + timedelta(hours=1)
    token = answer.json["url"].rsplit("/", 1)[1]
    claim = storage.verify(token, method="GET", now=now())
    assert claim.download_name == "Übersicht 2027.pdf"
    assert claim.key == f"o/tests/{lesson.id}/original"


def test_a_file_of_another_course_is_not_in_the_enrollment(
    publish: Publish, enrolled: Enrolled, get: Send, learner: Person
) -> None:
    course, other = publish(DOCUMENT), publish(DOCUMENT)
    path = f"/enrollments/{enrolled(course)}/media-files/{other.lessons[0].media_file_id}/download"
    assert get(path, learner).status_code == 404


def test_an_enrollment_that_is_not_live_downloads_nothing_and_says_why(
    publish: Publish, enrolled: Enrolled, get: Send, learner: Person
) -> None:
    course = publish(DOCUMENT)
    enrollment_id = enrolled(course, "withdrawn")
    answer = get(
        f"/enrollments/{enrollment_id}/media-files/{course.lessons[0].media_file_id}/download",
        learner,
    )
    assert (answer.status_code, answer.json["code"]) == (403, "enrollment_has_no_access")


def test_nobody_downloads_through_another_students_enrollment(
    publish: Publish, enrolled: Enrolled, get: Send, admin: Person
) -> None:
    course = publish(DOCUMENT)
    path = f"/enrollments/{enrolled(course)}/media-files/{course.lessons[0].media_file_id}/download"
    assert get(path, admin).status_code == 404
