"""What players show while somebody seeks: behind the video's links, as long as they work."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update
from werkzeug.test import TestResponse

from lms.core.clock import now
from lms.core.storage.base import InvalidSignature, Storage
from lms.media.models import Video
from tenants.session import Database, OrganizationScope
from tests.factories.learning import LessonPlan, MadeCourse, set_enrollment_state
from tests.factories.people import Person

ACME = "http://acme.localhost"
GLOBEX = "http://globex.localhost"
Publish = Callable[..., MadeCourse]
Enrolled = Callable[..., UUID]
Send = Callable[..., TestResponse]

VIDEO = LessonPlan({"rule": "watched", "percent": 90}, video_seconds=21.0)
STORED = "WEBVTT\n\n00:00:00.000 --> 00:00:02.000\nthumbnails.jpg#xywh=0,0,160,90\n"


@pytest.fixture
def storage(app: Flask) -> Storage:
    return app.extensions["edge"].services.get(Storage)


@pytest.fixture
def course(publish: Publish, storage: Storage) -> MadeCourse:
    course = publish(VIDEO, storage=storage)
    key = f"{course.lessons[0].media_prefix}/thumbnails.vtt"
    storage.write(key, STORED.encode(), content_type="text/vtt")
    return course


@pytest.fixture
def path(course: MadeCourse) -> str:
    return f"/videos/{course.lessons[0].video_id}/playback"


@pytest.fixture
def enrollment_id(course: MadeCourse, enrolled: Enrolled) -> UUID:
    return enrolled(course)


@pytest.fixture
def links(enrollment_id: UUID, path: str, get: Send, learner: Person) -> dict[str, Any]:
    """What an enrolled learner gets to play the video."""
    del enrollment_id
    return get(path, learner).json


def follow(client: FlaskClient, links: dict[str, Any], *, base_url: str = ACME) -> TestResponse:
    """Fetch the thumbnails as a player does: without a token."""
    url: str = links["thumbnails_url"]
    return client.get(url.removeprefix(ACME), base_url=base_url)


def test_thumbnails_are_readable_without_a_sign_in_from_any_origin_and_kept_by_nobody(
    links: dict[str, Any], client: FlaskClient
) -> None:
    answer = follow(client, links)
    assert (answer.status_code, answer.mimetype) == (200, "text/vtt")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Cache-Control"] == "private, no-store"


def test_a_cue_names_its_part_of_the_sheet_by_an_address_that_ends_with_the_link(
    links: dict[str, Any], course: MadeCourse, client: FlaskClient, storage: Storage
) -> None:
    cue = follow(client, links).text.splitlines()[3]
    sheet, _, part = cue.partition("#")
    assert part == "xywh=0,0,160,90"
    token = sheet.rpartition("/")[2]
    claim = storage.verify(token, method="GET", now=now())
    assert claim.key == f"{course.lessons[0].media_prefix}/thumbnails.jpg"
    assert claim.content_type == "image/jpeg"
    late = datetime.fromisoformat(links["expires_at"]) + timedelta(seconds=2)
    with pytest.raises(InvalidSignature):
        storage.verify(token, method="GET", now=late)


def test_thumbnails_stop_at_once_when_the_enrollment_ends(
    links: dict[str, Any],
    enrollment_id: UUID,
    client: FlaskClient,
    database: Database,
    acme: UUID,
) -> None:
    set_enrollment_state(database, acme, enrollment_id, "withdrawn")
    answer = follow(client, links)
    assert (answer.status_code, answer.json["code"]) == (403, "enrollment_has_no_access")


def test_thumbnails_do_not_work_on_another_organizations_host(
    links: dict[str, Any], client: FlaskClient, globex: UUID
) -> None:
    del globex
    assert follow(client, links, base_url=GLOBEX).status_code == 404


def test_a_video_converted_before_there_were_thumbnails_has_none(
    links: dict[str, Any], course: MadeCourse, client: FlaskClient, storage: Storage
) -> None:
    storage.delete_prefix(f"{course.lessons[0].media_prefix}/")
    assert follow(client, links).status_code == 404


def test_a_video_without_stills_has_no_address_of_thumbnails(
    links: dict[str, Any],
    path: str,
    get: Send,
    learner: Person,
    client: FlaskClient,
    database: Database,
    acme: UUID,
) -> None:
    with database.transaction(OrganizationScope(acme)) as session:
        session.execute(update(Video).where(Video.id == links["video_id"]).values(poster_key=None))
    assert get(path, learner).json["thumbnails_url"] is None
    assert follow(client, links).status_code == 404
