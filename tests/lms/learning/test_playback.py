"""Playing a video: who may, with which links, and for how long."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import urljoin
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from itsdangerous import URLSafeSerializer
from sqlalchemy import update
from werkzeug.test import TestResponse

from lms.core.clock import now
from lms.core.errors import NotFoundError
from lms.core.ids import new_id
from lms.core.storage.base import InvalidSignature, Storage
from lms.learning.errors import PlaybackLinkExpiredError
from lms.learning.playback import PlaybackLink, PlaybackSigner
from lms.users.models import User
from tenants.session import Database, OrganizationScope
from tests.factories.learning import LessonPlan, MadeCourse, set_enrollment_state
from tests.factories.people import Person, make_user

ACME = "http://acme.localhost"
GLOBEX = "http://globex.localhost"
PLAYLIST_TYPE = "application/vnd.apple.mpegurl"
SECRET = "a-key-of-at-least-thirty-two-bytes!!"
Publish = Callable[..., MadeCourse]
Enrolled = Callable[..., UUID]
Send = Callable[..., TestResponse]

VIDEO = LessonPlan({"rule": "watched", "percent": 90}, video_seconds=21.0)


@pytest.fixture
def storage(app: Flask) -> Storage:
    return app.extensions["edge"].services.get(Storage)


@pytest.fixture
def course(publish: Publish, storage: Storage) -> MadeCourse:
    return publish(VIDEO, storage=storage)


@pytest.fixture
def path(course: MadeCourse) -> str:
    return f"/videos/{course.lessons[0].video_id}/playback"


def follow(client: FlaskClient, url: str, *, base_url: str = ACME) -> TestResponse:
    """Fetch a link as a player does: without a token."""
    assert url.startswith(ACME)
    return client.get(url.removeprefix(ACME), base_url=base_url)


@pytest.fixture
def enrollment_id(course: MadeCourse, enrolled: Enrolled) -> UUID:
    return enrolled(course)


@pytest.fixture
def links(enrollment_id: UUID, path: str, get: Send, learner: Person) -> dict[str, Any]:
    """What an enrolled learner gets to play the video."""
    del enrollment_id
    return get(path, learner).json


def urls_of(links: dict[str, Any]) -> list[str]:
    return [links["master_url"], *(one["playlist_url"] for one in links["renditions"])]


def test_a_learner_gets_links_for_the_videos_duration_and_an_hour(links: dict[str, Any]) -> None:
    assert (links["duration_seconds"], links["width"]) == (21.0, 1280)
    assert [one["label"] for one in links["renditions"]] == ["720p", "480p"]
    assert links["poster_url"].startswith(f"{ACME}/api/v1/files/")
    left = datetime.fromisoformat(links["expires_at"]) - now()
    assert timedelta(minutes=59) < left <= timedelta(minutes=60, seconds=21)


def test_the_master_playlist_names_each_renditions_playlist_beside_it(
    links: dict[str, Any], client: FlaskClient
) -> None:
    master = follow(client, links["master_url"])
    named = [line for line in master.text.splitlines() if not line.startswith("#")]
    assert sorted(urljoin(links["master_url"], name) for name in named) == sorted(
        one["playlist_url"] for one in links["renditions"]
    )


def test_playlists_are_readable_without_a_sign_in_from_any_origin_and_kept_by_nobody(
    links: dict[str, Any], client: FlaskClient
) -> None:
    for url in urls_of(links):
        answer = follow(client, url)
        assert (answer.status_code, answer.content_type) == (200, PLAYLIST_TYPE)
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.headers["Cache-Control"] == "private, no-store"


def test_a_renditions_playlist_names_its_media_by_an_address_that_ends_with_the_link(
    links: dict[str, Any], client: FlaskClient, storage: Storage
) -> None:
    rendition = links["renditions"][0]
    playlist = follow(client, rendition["playlist_url"]).text
    media = next(line for line in playlist.splitlines() if not line.startswith("#"))
    assert f'#EXT-X-MAP:URI="{media}"' in playlist
    claim = storage.verify(media.rsplit("/", 1)[1], method="GET", now=now())
    assert claim.key.endswith(f"/{rendition['label']}/media.mp4")
    assert claim.content_type == "video/mp4"
    late = datetime.fromisoformat(links["expires_at"]) + timedelta(seconds=2)
    with pytest.raises(InvalidSignature):
        storage.verify(media.rsplit("/", 1)[1], method="GET", now=late)


def test_a_student_who_is_not_enrolled_finds_no_video(
    path: str, get: Send, learner: Person
) -> None:
    assert get(path, learner).status_code == 404


@pytest.mark.parametrize("state", ["pending", "suspended", "withdrawn", "expired"])
def test_an_enrollment_that_is_not_live_plays_nothing_and_says_why(
    state: str, publish: Publish, enrolled: Enrolled, get: Send, learner: Person
) -> None:
    course = publish(VIDEO)
    enrolled(course, state)
    answer = get(f"/videos/{course.lessons[0].video_id}/playback", learner)
    assert (answer.status_code, answer.json["code"]) == (403, "enrollment_has_no_access")
    assert answer.json["state"] == state


@pytest.mark.parametrize("states", [("completed", "withdrawn"), ("withdrawn", "active")])
def test_a_live_enrollment_plays_whatever_became_of_others(
    states: tuple[str, str], publish: Publish, enrolled: Enrolled, get: Send, learner: Person
) -> None:
    course = publish(VIDEO)
    for attempt, state in enumerate(states, start=1):
        enrolled(course, state, attempt=attempt)
    assert get(f"/videos/{course.lessons[0].video_id}/playback", learner).status_code == 200


def test_staff_who_teach_the_course_and_admins_watch_its_drafts_too(
    publish: Publish, get: Send, teacher: Person, database: Database, acme: UUID
) -> None:
    draft = publish(VIDEO, published=False)
    path = f"/videos/{draft.lessons[0].video_id}/playback"
    assert get(path, teacher).status_code == 200
    assert get(path, make_user(database, acme, "admin")).status_code == 200
    assert get(path, make_user(database, acme, "instructor")).status_code == 404


def test_a_preview_lesson_plays_for_anyone_signed_in(
    publish: Publish, get: Send, learner: Person
) -> None:
    course = publish(LessonPlan(preview=True, video_seconds=21.0), VIDEO)
    preview, other = course.lessons
    assert get(f"/videos/{preview.video_id}/playback", learner).status_code == 200
    assert get(f"/videos/{other.video_id}/playback", learner).status_code == 404
    assert get(f"/videos/{preview.video_id}/playback").status_code == 401


def test_a_preview_of_a_draft_does_not_play(publish: Publish, get: Send, learner: Person) -> None:
    draft = publish(LessonPlan(preview=True, video_seconds=21.0), published=False)
    assert get(f"/videos/{draft.lessons[0].video_id}/playback", learner).status_code == 404


def test_a_video_without_renditions_cannot_be_played_yet(
    publish: Publish, get: Send, teacher: Person
) -> None:
    course = publish(LessonPlan(video_seconds=21.0, with_renditions=False))
    answer = get(f"/videos/{course.lessons[0].video_id}/playback", teacher)
    assert (answer.status_code, answer.json["code"]) == (409, "video_not_ready")
    assert answer.json["state"] == "processing"


def test_an_unknown_video_is_not_there(get: Send, learner: Person) -> None:
    assert get(f"/videos/{new_id()}/playback", learner).status_code == 404


def test_links_stop_at_once_when_the_enrollment_ends(
    links: dict[str, Any],
    enrollment_id: UUID,
    client: FlaskClient,
    database: Database,
    acme: UUID,
) -> None:
    set_enrollment_state(database, acme, enrollment_id, "withdrawn")
    assert {follow(client, url).status_code for url in urls_of(links)} == {403}


def test_links_stop_at_once_when_the_user_is_deactivated(
    links: dict[str, Any], learner: Person, client: FlaskClient, database: Database, acme: UUID
) -> None:
    with database.transaction(OrganizationScope(acme)) as session:
        session.execute(update(User).where(User.id == learner.id).values(deactivated_at=now()))
    assert {follow(client, url).status_code for url in urls_of(links)} == {404}


def test_links_do_not_work_on_another_organizations_host(
    links: dict[str, Any], client: FlaskClient, globex: UUID
) -> None:
    del globex
    assert {follow(client, url, base_url=GLOBEX).status_code for url in urls_of(links)} == {404}


def test_globex_finds_no_video_of_acme(
    path: str, get: Send, learner: Person, stranger: Person
) -> None:
    assert get(path, learner, base_url=GLOBEX).status_code == 401
    assert get(path, stranger, base_url=GLOBEX).status_code == 404


def test_an_altered_link_is_not_there(links: dict[str, Any], client: FlaskClient) -> None:
    head, token, name = links["master_url"].rsplit("/", 2)
    middle = len(token) // 2
    flipped = "A" if token[middle] != "A" else "B"
    altered = token[:middle] + flipped + token[middle + 1 :]
    assert follow(client, f"{head}/{altered}/{name}").status_code == 404
    assert follow(client, f"{head}/nonsense/{name}").status_code == 404


def test_a_rendition_that_the_video_does_not_have_is_not_there(
    links: dict[str, Any], client: FlaskClient
) -> None:
    url = links["master_url"].replace("master.m3u8", "9000p.m3u8")
    assert follow(client, url).status_code == 404


def test_a_playlist_that_was_replaced_meanwhile_is_not_there(
    links: dict[str, Any], course: MadeCourse, client: FlaskClient, storage: Storage
) -> None:
    storage.delete_prefix(f"{course.lessons[0].media_prefix}/")
    assert follow(client, links["renditions"][0]["playlist_url"]).status_code == 404


def link_of(organization_id: UUID, expires_at: datetime) -> PlaybackLink:
    return PlaybackLink(organization_id, new_id(), new_id(), expires_at)


def test_a_link_says_what_it_was_signed_for() -> None:
    signer, organization_id = PlaybackSigner(SECRET), new_id()
    moment = now().replace(microsecond=0)
    link = link_of(organization_id, moment + timedelta(seconds=5))
    assert signer.read(signer.sign(link), organization_id=organization_id, now=moment) == link


def test_an_expired_link_is_refused_with_its_end(
    app: Flask, acme: UUID, client: FlaskClient, learner: Person, course: MadeCourse
) -> None:
    secret = app.config["JWT_SECRET_KEY"]
    ended = now().replace(microsecond=0) - timedelta(seconds=1)
    video_id = course.lessons[0].video_id
    assert video_id is not None
    token = PlaybackSigner(secret).sign(PlaybackLink(acme, video_id, learner.id, ended))
    answer = follow(client, f"{ACME}/api/v1/playback/{token}/master.m3u8")
    assert (answer.status_code, answer.json["code"]) == (403, "playback_link_expired")


def test_a_link_ends_at_its_second() -> None:
    signer, organization_id = PlaybackSigner(SECRET), new_id()
    moment = now().replace(microsecond=0)
    token = signer.sign(link_of(organization_id, moment))
    with pytest.raises(PlaybackLinkExpiredError):
        signer.read(token, organization_id=organization_id, now=moment)


def test_a_link_signed_with_another_key_is_not_ours() -> None:
    organization_id, moment = new_id(), now()
    token = PlaybackSigner("another-key-of-at-least-32-bytes!!!!").sign(
        link_of(organization_id, moment + timedelta(hours=1))
    )
    with pytest.raises(NotFoundError):
        PlaybackSigner(SECRET).read(token, organization_id=organization_id, now=moment)


def test_a_link_of_another_organization_is_not_ours() -> None:
    signer, moment = PlaybackSigner(SECRET), now()
    token = signer.sign(link_of(new_id(), moment + timedelta(hours=1)))
    with pytest.raises(NotFoundError):
        signer.read(token, organization_id=new_id(), now=moment)


def test_what_the_same_key_signed_for_another_purpose_is_no_link() -> None:
    organization_id, moment = new_id(), now()
    parts = [organization_id.hex, new_id().hex, new_id().hex, int(moment.timestamp()) + 3600]
    options = {"key_derivation": "hmac", "digest_method": sha256}
    token = URLSafeSerializer(SECRET, salt="another", signer_kwargs=options).dumps(parts)
    with pytest.raises(NotFoundError):
        PlaybackSigner(SECRET).read(str(token), organization_id=organization_id, now=moment)
