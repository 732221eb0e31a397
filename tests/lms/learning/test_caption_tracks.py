"""Captions as learners' players get them: named in the playback, behind its links."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urljoin
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from webvtt import WebVTT
from werkzeug.test import TestResponse

from lms.core.ids import new_id
from lms.media.captions.models import VideoCaption
from tenants.session import Database, OrganizationScope
from tests.factories.learning import LessonPlan, MadeCourse, set_enrollment_state
from tests.factories.people import Person
from tests.factories.statements import counted

ACME = "http://acme.localhost"
GLOBEX = "http://globex.localhost"
CONTENT = "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\nGood morning.\n"
VIDEO = LessonPlan({"rule": "watched", "percent": 90}, video_seconds=20.5)
Publish = Callable[..., MadeCourse]
Enrolled = Callable[..., UUID]
Send = Callable[..., TestResponse]
AddCaption = Callable[..., UUID]


@pytest.fixture
def add_caption(database: Database, acme: UUID, teacher: Person) -> AddCaption:
    """Insert a caption of a video."""

    def add(
        video_id: UUID, language: str, label: str, kind: str = "subtitles", content: str = CONTENT
    ) -> UUID:
        caption_id = new_id()
        with database.transaction(OrganizationScope(acme)) as session:
            session.add(
                VideoCaption(
                    id=caption_id,
                    video_id=video_id,
                    language=language,
                    kind=kind,
                    label=label,
                    content=content,
                    cues=1,
                    created_by=teacher.id,
                )
            )
        return caption_id

    return add


@pytest.fixture
def course(publish: Publish) -> MadeCourse:
    return publish(VIDEO)


@pytest.fixture
def video_id(course: MadeCourse) -> UUID:
    found = course.lessons[0].video_id
    assert found is not None
    return found


@pytest.fixture
def enrollment_id(course: MadeCourse, enrolled: Enrolled) -> UUID:
    return enrolled(course)


@pytest.fixture
def english_id(add_caption: AddCaption, video_id: UUID) -> UUID:
    return add_caption(video_id, "en", "English")


@pytest.fixture
def links(
    enrollment_id: UUID, english_id: UUID, video_id: UUID, get: Send, learner: Person
) -> dict[str, Any]:
    """What an enrolled learner gets to play the video, which has an English caption."""
    del enrollment_id, english_id
    return get(f"/videos/{video_id}/playback", learner).json


def follow(client: FlaskClient, url: str, *, base_url: str = ACME) -> TestResponse:
    """Fetch a link as a player does: without a token."""
    assert url.startswith(ACME)
    return client.get(url.removeprefix(ACME), base_url=base_url)


def media_lines(playlist: str) -> list[dict[str, str]]:
    """The attributes of each EXT-X-MEDIA."""
    return [
        dict(re.findall(r'([A-Z-]+)=("[^"]*"|[^,]*)', line.removeprefix("#EXT-X-MEDIA:")))
        for line in playlist.splitlines()
        if line.startswith("#EXT-X-MEDIA:")
    ]


def test_the_playback_names_captions_by_their_labels_for_players_that_take_tracks(
    links: dict[str, Any],
    add_caption: AddCaption,
    video_id: UUID,
    get: Send,
    learner: Person,
) -> None:
    add_caption(video_id, "de", "Deutsch", "captions")
    german, english = get(f"/videos/{video_id}/playback", learner).json["captions"]
    assert (german["language"], german["kind"], german["label"]) == ("de", "captions", "Deutsch")
    assert english["label"] == "English"
    assert links["captions"][0]["url"].endswith(".vtt")


def test_the_master_playlist_names_them_as_hls_wants_it(
    links: dict[str, Any], english_id: UUID, client: FlaskClient
) -> None:
    master = follow(client, links["master_url"]).text
    (track,) = media_lines(master)
    assert track == {
        "TYPE": "SUBTITLES",
        "GROUP-ID": '"subtitles"',
        "NAME": '"English"',
        "LANGUAGE": '"en"',
        "DEFAULT": "NO",
        "AUTOSELECT": "YES",
        "FORCED": "NO",
        "URI": f'"captions/{english_id}.m3u8"',
    }
    variants = [line for line in master.splitlines() if line.startswith("#EXT-X-STREAM-INF")]
    assert len(variants) == 2
    assert all(line.endswith(',SUBTITLES="subtitles"') for line in variants)
    assert (
        urljoin(links["master_url"], track["URI"].strip('"'))
        == (links["captions"][0]["playlist_url"])
    )


def test_captions_for_who_does_not_hear_are_marked_as_such(
    links: dict[str, Any], add_caption: AddCaption, video_id: UUID, client: FlaskClient
) -> None:
    add_caption(video_id, "en", "English (CC)", "captions")
    marks = [
        (track["NAME"], track.get("CHARACTERISTICS"))
        for track in media_lines(follow(client, links["master_url"]).text)
    ]
    assert marks == [
        ('"English"', None),
        (
            '"English (CC)"',
            (
                '"public.accessibility.transcribes-spoken-dialog,'
                'public.accessibility.describes-music-and-sound"'
            ),
        ),
    ]


def test_a_video_without_captions_is_listed_as_before(
    course: MadeCourse, enrollment_id: UUID, get: Send, learner: Person, client: FlaskClient
) -> None:
    del enrollment_id
    links = get(f"/videos/{course.lessons[0].video_id}/playback", learner).json
    assert links["captions"] == []
    master = follow(client, links["master_url"]).text
    assert "SUBTITLES" not in master


def test_a_track_is_one_segment_of_webvtt_as_long_as_the_video(
    links: dict[str, Any], client: FlaskClient
) -> None:
    caption = links["captions"][0]
    playlist = follow(client, caption["playlist_url"])
    assert playlist.content_type == "application/vnd.apple.mpegurl"
    assert playlist.text.splitlines() == [
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        "#EXT-X-TARGETDURATION:21",
        "#EXT-X-PLAYLIST-TYPE:VOD",
        "#EXTINF:20.500,",
        caption["url"].rpartition("/")[2],
        "#EXT-X-ENDLIST",
    ]


def test_the_segment_says_that_its_times_begin_with_the_video(
    links: dict[str, Any], client: FlaskClient
) -> None:
    segment = follow(client, links["captions"][0]["url"])
    assert segment.content_type == "text/vtt"
    assert segment.text == CONTENT.replace(
        "WEBVTT\n", "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n"
    )
    (cue,) = WebVTT.from_string(segment.text, strict=True).captions
    assert cue.text == "Good morning."


def test_captions_are_readable_from_any_origin_kept_by_nobody_and_no_page_of_ours(
    links: dict[str, Any], client: FlaskClient
) -> None:
    caption = links["captions"][0]
    for url in (caption["url"], caption["playlist_url"]):
        headers = follow(client, url).headers
        assert headers["Access-Control-Allow-Origin"] == "*"
        assert headers["Cache-Control"] == "private, no-store"
        assert headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_links_to_captions_stop_at_once_when_the_enrollment_ends(
    links: dict[str, Any],
    enrollment_id: UUID,
    client: FlaskClient,
    database: Database,
    acme: UUID,
) -> None:
    set_enrollment_state(database, acme, enrollment_id, "withdrawn")
    caption = links["captions"][0]
    answers = [follow(client, caption[name]) for name in ("url", "playlist_url")]
    assert [answer.status_code for answer in answers] == [403, 403]


def test_links_to_captions_do_not_work_on_another_organizations_host(
    links: dict[str, Any], client: FlaskClient, globex: UUID
) -> None:
    del globex
    caption = links["captions"][0]
    for name in ("url", "playlist_url"):
        assert follow(client, caption[name], base_url=GLOBEX).status_code == 404


def test_a_link_opens_the_captions_of_its_own_video_alone(
    links: dict[str, Any], publish: Publish, add_caption: AddCaption, client: FlaskClient
) -> None:
    other = publish(VIDEO).lessons[0].video_id
    assert other is not None
    caption = links["captions"][0]
    own_id = re.findall(r"captions/([0-9a-f-]{36})", caption["url"])[0]
    other_id = str(add_caption(other, "en", "English"))
    for name in ("url", "playlist_url"):
        foreign = caption[name].replace(own_id, other_id)
        assert follow(client, foreign).status_code == 404


def test_playing_a_video_of_many_captions_takes_as_many_statements_as_of_one(
    links: dict[str, Any],
    add_caption: AddCaption,
    video_id: UUID,
    get: Send,
    learner: Person,
    client: FlaskClient,
    app: Flask,
) -> None:
    def sent() -> tuple[int, int]:
        with counted(app) as playback:
            get(f"/videos/{video_id}/playback", learner)
        with counted(app) as master:
            follow(client, links["master_url"])
        return len(playback), len(master)

    of_one = sent()
    for language in ("de", "fr", "it", "pt"):
        add_caption(video_id, language, language)
    assert sent() == of_one
