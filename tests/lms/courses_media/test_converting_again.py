"""Converting a video again, with what the organization's admins have chosen meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tenants.session import Database
from tests.factories.people import make_user

ACME = "http://acme.localhost"
Choose = Callable[..., None]


@pytest.fixture
def choose(client: FlaskClient, database: Database, acme: UUID, app: Flask) -> Iterator[Choose]:
    """Choose transcoding settings as an admin, for this test only."""
    admin = make_user(database, acme, "admin", app=app)

    def change(**members: Any) -> None:
        answer = client.patch(
            "/api/v1/transcoding-settings",
            base_url=ACME,
            headers={**admin.headers, "If-Match": "*"},
            json=members,
        )
        assert answer.status_code == 200

    yield change
    change(ladder=None, longest_video_seconds=None)


def labels(uploader: Any, video_id: str) -> list[str]:
    items = uploader.get(f"videos/{video_id}/renditions").json["items"]
    return [one["label"] for one in items]


def convert_again(uploader: Any, video_id: str) -> UUID:
    answer = uploader.client.post(
        f"/api/v1/videos/{video_id}/transcoding-jobs", base_url=ACME, headers=uploader.headers
    )
    assert answer.status_code == 202
    return UUID(answer.json["id"])


@pytest.fixture
def playing(uploader: Any, clip: bytes, run_jobs: Callable[[UUID], None]) -> str:
    """Id of a video that plays, in the one size of its clip that the default ladder gives."""
    video_id = uploader.upload(clip)["video_id"]
    (job,) = uploader.get(f"videos/{video_id}/transcoding-jobs").json["items"]
    run_jobs(UUID(job["id"]))
    assert labels(uploader, video_id) == ["240p"]
    return video_id


def test_a_new_ladder_replaces_all_renditions_at_once_and_labels_that_fall_away_are_gone(
    uploader: Any, playing: str, choose: Choose, run_jobs: Callable[[UUID], None]
) -> None:
    choose(ladder=[200, 144])
    job_id = convert_again(uploader, playing)
    assert labels(uploader, playing) == ["240p"]
    run_jobs(job_id)
    assert labels(uploader, playing) == ["200p", "144p"]


def test_old_renditions_play_until_the_new_ones_are_published(
    uploader: Any, playing: str, choose: Choose, run_jobs: Callable[[UUID], None]
) -> None:
    choose(ladder=[144])
    job_id = convert_again(uploader, playing)

    def heights() -> list[int]:
        links = uploader.get(f"videos/{playing}/playback").json
        for one in links["renditions"]:
            assert uploader.client.get(one["playlist_url"], buffered=True).status_code == 200
        return [one["height"] for one in links["renditions"]]

    assert heights() == [240]
    run_jobs(job_id)
    assert heights() == [144]


def test_a_video_that_is_longer_than_chosen_is_refused_in_words_and_plays_on(
    uploader: Any, playing: str, choose: Choose, run_jobs: Callable[[UUID], None]
) -> None:
    choose(longest_video_seconds=1)
    run_jobs(convert_again(uploader, playing))
    job = uploader.get(f"videos/{playing}/transcoding-jobs").json["items"][0]
    assert (job["state"], job["error_code"]) == ("failed", "too_long")
    assert "at most 0:00:01" in job["error_message"]
    assert uploader.get(f"videos/{playing}").json["state"] == "ready"
    assert labels(uploader, playing) == ["240p"]
