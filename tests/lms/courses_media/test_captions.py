"""Captions of a lesson's video, as those who teach the course keep them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from json import dumps
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from lms.core.ids import new_id
from lms.core.models import AuditEvent
from lms.courses import caption_operations
from lms.media.captions.models import VideoCaption
from tenants.session import Database, OrganizationScope
from tests.factories.media import DraftLesson, publish
from tests.factories.people import Person, make_user

ACME = "http://acme.localhost"
WEBVTT = "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\nGood morning.\n"
SRT = "1\r\n00:00:01,000 --> 00:00:02,000\r\nGood morning.\r\n"
ENGLISH = {"language": "en", "kind": "subtitles", "label": "English", "content": WEBVTT}
GERMAN = {**ENGLISH, "language": "de", "label": "Deutsch"}
Send = Callable[..., TestResponse]


@pytest.fixture
def send(client: FlaskClient, teacher: Person) -> Send:
    """Send a request as the teacher, or as another person."""

    def sent(
        method: str, path: str, json: Any = None, *, person: Person = teacher, **headers: str
    ) -> TestResponse:
        return client.open(
            f"/api/v1{path}",
            method=method,
            base_url=ACME,
            headers={**person.headers, **headers},
            data=None if json is None else dumps(json, ensure_ascii=False).encode(),
            content_type="application/json",
        )

    return sent


@pytest.fixture
def video_id(uploader: Any, clip: bytes) -> str:
    """A video that is not converted yet."""
    return uploader.upload(clip)["video_id"]


@pytest.fixture
def path(video_id: str) -> str:
    return f"/videos/{video_id}/captions"


@pytest.fixture
def english(send: Send, path: str) -> dict[str, Any]:
    """The first caption, version 1."""
    return send("POST", path, ENGLISH).json


def path_of(caption: dict[str, Any]) -> str:
    return f"/video-captions/{caption['id']}"


def test_a_caption_is_kept_as_webvtt_with_what_people_choose_it_by(
    send: Send, path: str, video_id: str
) -> None:
    added = send("POST", path, {**ENGLISH, "content": SRT, "language": "en_us"})
    assert added.status_code == 201, added.json
    assert added.headers["ETag"] == '"1"'
    expected = {**ENGLISH, "language": "en-US", "video_id": video_id, "cues": 1}
    assert {name: added.json[name] for name in expected} == expected
    assert send("GET", path_of(added.json)).json == added.json


def test_captions_are_listed_without_their_texts(
    send: Send, path: str, english: dict[str, Any]
) -> None:
    send("POST", path, GERMAN)
    first = send("GET", f"{path}?limit=1").json
    assert first["items"] == [{k: v for k, v in english.items() if k != "content"}]
    (second,) = send("GET", f"{path}?limit=1&cursor={first['next_cursor']}").json["items"]
    assert second["label"] == "Deutsch"


def test_a_file_that_is_no_captions_is_refused_with_words_for_the_teacher(
    send: Send, path: str
) -> None:
    answer = send("POST", path, {**ENGLISH, "content": "WEBVTT\n\n00:01 --> 00:02\nx"})
    assert (answer.status_code, answer.json["code"]) == (422, "invalid_captions")
    assert answer.json["line"] == 3
    (error,) = answer.json["errors"]
    assert error["pointer"] == "/content"
    assert error["message"].startswith('Line 3, "00:01 --> 00:02", does not begin a cue.')


def test_a_file_with_nul_is_refused(send: Send, path: str) -> None:
    answer = send("POST", path, {**ENGLISH, "content": WEBVTT + "\0"})
    assert (answer.status_code, answer.json["code"]) == (400, "malformed_body")


@pytest.mark.parametrize("text", ["é" * 300_000, "e" * 600_000])
def test_a_file_of_more_bytes_than_are_taken_is_refused(send: Send, path: str, text: str) -> None:
    content = WEBVTT + text
    answer = send("POST", path, {**ENGLISH, "content": content})
    assert (answer.status_code, answer.json["code"]) == (413, "captions_too_large")
    assert answer.json["limit_bytes"] == 512 * 1024


@pytest.mark.parametrize(
    ("member", "value", "message"),
    [
        ("language", "jp", 'There is no language "jp". Give a BCP 47 tag, such as en or pt-BR.'),
        ("kind", "chapters", "Must be one of: subtitles, captions."),
        ("label", 'The "best"', "A label has no double quotes."),
        ("label", " ", "Length must be between 1 and 80."),
    ],
)
def test_what_is_wrong_beside_the_file_is_named(
    send: Send, path: str, member: str, value: str, message: str
) -> None:
    answer = send("POST", path, {**ENGLISH, member: value})
    assert answer.status_code == 422
    assert answer.json["errors"] == [{"pointer": f"/{member}", "message": message}]


def test_a_video_has_one_caption_of_a_language_and_kind(
    send: Send, path: str, english: dict[str, Any]
) -> None:
    again = send("POST", path, {**ENGLISH, "language": "eng", "label": "Also English"})
    assert (again.status_code, again.json["code"]) == (409, "caption_exists")
    assert again.json["caption_id"] == english["id"]
    other_kind = {**ENGLISH, "kind": "captions", "label": "English (for deaf people)"}
    assert send("POST", path, other_kind).status_code == 201


def test_people_never_choose_between_two_captions_of_one_label(
    send: Send, path: str, english: dict[str, Any]
) -> None:
    answer = send("POST", path, {**GERMAN, "label": "English"})
    assert (answer.status_code, answer.json["code"]) == (409, "caption_label_taken")
    assert answer.json["caption_id"] == english["id"]


def test_a_video_has_so_many_captions_and_no_more(
    send: Send, path: str, english: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    del english
    monkeypatch.setattr(caption_operations, "MAX_CAPTIONS", 1)
    answer = send("POST", path, GERMAN)
    assert (answer.status_code, answer.json["code"]) == (409, "too_many_captions")


def test_one_change_replaces_the_text_and_keeps_the_rest(
    send: Send, english: dict[str, Any]
) -> None:
    content = SRT + "\n2\n00:00:02,000 --> 00:00:03,000\nGood night.\n"
    changed = send("PATCH", path_of(english), {"content": content}, **{"If-Match": '"1"'})
    assert (changed.status_code, changed.headers["ETag"]) == (200, '"2"')
    assert changed.json["content"].endswith("Good night.\n")
    assert changed.json | {"content": WEBVTT, "cues": 1} == english
    assert changed.json["cues"] == 2


def test_a_change_must_know_what_it_changes(send: Send, english: dict[str, Any]) -> None:
    change = {"label": "English (UK)"}
    assert send("PATCH", path_of(english), change).status_code == 428
    assert send("PATCH", path_of(english), change, **{"If-Match": '"1"'}).status_code == 200
    assert send("PATCH", path_of(english), change, **{"If-Match": '"1"'}).status_code == 412
    assert send("DELETE", path_of(english), **{"If-Match": '"1"'}).status_code == 412


@pytest.mark.parametrize(
    ("change", "code"),
    [({"language": "de"}, "caption_exists"), ({"label": "Deutsch"}, "caption_label_taken")],
)
def test_a_change_to_what_another_caption_has_is_refused(
    send: Send, path: str, english: dict[str, Any], change: dict[str, str], code: str
) -> None:
    german = send("POST", path, GERMAN).json
    answer = send("PATCH", path_of(english), change, **{"If-Match": '"1"'})
    assert (answer.status_code, answer.json["code"]) == (409, code)
    assert answer.json["caption_id"] == german["id"]


def test_a_deleted_caption_is_gone_and_may_be_added_again(
    send: Send, path: str, english: dict[str, Any]
) -> None:
    assert send("DELETE", path_of(english), **{"If-Match": '"1"'}).status_code == 204
    assert send("GET", path_of(english)).status_code == 404
    assert send("POST", path, ENGLISH).status_code == 201


def test_captions_of_a_published_version_may_still_change(
    send: Send,
    path: str,
    english: dict[str, Any],
    lesson: DraftLesson,
    database: Database,
    acme: UUID,
) -> None:
    publish(database, acme, lesson.version_id)
    assert send("POST", path, GERMAN).status_code == 201
    changed = send("PATCH", path_of(english), {"label": "UK"}, **{"If-Match": "*"})
    assert changed.status_code == 200


def test_who_does_not_teach_the_course_finds_no_captions(
    send: Send, path: str, english: dict[str, Any], database: Database, acme: UUID
) -> None:
    colleague = make_user(database, acme, "instructor")
    student = make_user(database, acme)
    for person, status in ((colleague, 404), (student, 403)):
        answers = [
            send("GET", path, person=person),
            send("POST", path, GERMAN, person=person),
            send("POST", path, {**GERMAN, "content": "no captions"}, person=person),
            send("GET", path_of(english), person=person),
            send("PATCH", path_of(english), {"label": "x"}, person=person, **{"If-Match": "*"}),
            send("DELETE", path_of(english), person=person, **{"If-Match": "*"}),
        ]
        assert [answer.status_code for answer in answers] == [status] * 6
    assert send("GET", path, person=make_user(database, acme, "admin")).status_code == 200


def test_what_is_not_there_is_404(send: Send, path: str) -> None:
    assert send("POST", f"/videos/{new_id()}/captions", ENGLISH).status_code == 404
    assert send("GET", f"/video-captions/{new_id()}").status_code == 404
    assert send("GET", path).json["items"] == []


def test_changes_of_captions_are_on_record_without_their_texts(
    send: Send, english: dict[str, Any], teacher: Person, database: Database, acme: UUID
) -> None:
    send("PATCH", path_of(english), {"label": "UK", "content": SRT}, **{"If-Match": "*"})
    send("DELETE", path_of(english), **{"If-Match": "*"})
    told = {"video_id": english["video_id"], "language": "en", "kind": "subtitles", "cues": 1}
    with database.transaction(OrganizationScope(acme)) as session:
        events = session.scalars(
            select(AuditEvent)
            .where(AuditEvent.subject_id == UUID(english["id"]))
            .order_by(AuditEvent.id)
        ).all()
        assert [(one.action, one.before, one.after) for one in events] == [
            ("video_caption.create", None, told | {"label": "English"}),
            ("video_caption.update", told | {"label": "English"}, told | {"label": "UK"}),
            ("video_caption.delete", told | {"label": "UK"}, None),
        ]
        assert {one.actor_id for one in events} == {teacher.id}


def test_captions_go_with_their_video(
    send: Send, uploader: Any, english: dict[str, Any], database: Database, acme: UUID
) -> None:
    assert send("DELETE", f"/lessons/{uploader.lesson.id}", **{"If-Match": "*"}).status_code == 204
    with database.transaction(OrganizationScope(acme)) as session:
        left = select(func.count()).where(VideoCaption.id == UUID(english["id"]))
        assert session.scalar(left) == 0


def test_of_many_who_add_the_same_caption_at_once_one_does(
    app: Flask, path: str, teacher: Person, database: Database, acme: UUID
) -> None:
    start = threading.Barrier(4)

    def add(_: int) -> int:
        start.wait()
        answer = app.test_client().post(
            f"/api/v1{path}", base_url=ACME, headers=teacher.headers, json=ENGLISH
        )
        return answer.status_code

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(add, range(4))) == [201, 409, 409, 409]
    with database.transaction(OrganizationScope(acme)) as session:
        video_id = UUID(path.split("/")[2])
        count = select(func.count()).where(VideoCaption.video_id == video_id)
        assert session.scalar(count) == 1
