"""The domain's side of a conversion."""

from __future__ import annotations

from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import select

from lms.config import Settings
from lms.core.ids import new_id
from lms.core.queue import Doorbell
from lms.media import transcoding
from lms.media.models import MediaAsset, TranscodingJob, Video, VideoRendition
from tenants.session import Database, OrganizationScope
from tests.factories.media import FINISHED
from tests.factories.people import make_user


@pytest.fixture
def scope(acme: UUID) -> OrganizationScope:
    return OrganizationScope(acme)


@pytest.fixture
def doorbell(settings: Settings) -> Doorbell:
    return Doorbell(settings.redis_url)


@pytest.fixture
def job_id(database: Database, scope: OrganizationScope, app: Flask, doorbell: Doorbell) -> UUID:
    """A running conversion at its first attempt."""
    teacher = make_user(database, scope.id, "instructor", app=app)
    asset_id = new_id()
    with database.transaction(scope) as session:
        session.add(
            MediaAsset(
                id=asset_id,
                kind="video",
                content_type="video/mp4",
                size=1,
                storage_key=f"o/{scope.id}/{asset_id}/original",
                state="ready",
                created_by=teacher.id,
            )
        )
        session.flush()
        video = Video(id=new_id(), asset_id=asset_id)
        session.add(video)
        session.flush()
        job = transcoding.begin(session, doorbell, video)
        assert transcoding.start(session, job.id, fence=1) is not None
        return job.id


def job(database: Database, scope: OrganizationScope, job_id: UUID) -> TranscodingJob:
    with database.transaction(scope) as session:
        return session.get_one(TranscodingJob, job_id)


def test_progress_never_runs_backwards(
    database: Database, scope: OrganizationScope, job_id: UUID
) -> None:
    with database.transaction(scope) as session:
        transcoding.advance(session, job_id, 40)
    with database.transaction(scope) as session:
        transcoding.start(session, job_id, fence=2)
        transcoding.advance(session, job_id, 5)
    found = job(database, scope, job_id)
    assert (found.progress, found.attempt, found.fence) == (40, 2, 2)


def test_new_renditions_replace_all_older_ones(
    database: Database, scope: OrganizationScope, job_id: UUID, doorbell: Doorbell
) -> None:
    with database.transaction(scope) as session:
        transcoding.succeed(session, job_id, FINISHED)
        video_id = session.get_one(TranscodingJob, job_id).video_id
    with database.transaction(scope) as session:
        second = transcoding.begin_again(session, doorbell, session.get_one(Video, video_id))
        transcoding.start(session, second.id, fence=1)
        transcoding.succeed(session, second.id, FINISHED)
    with database.transaction(scope) as session:
        renditions = session.scalars(
            select(VideoRendition.job_id).where(VideoRendition.video_id == video_id)
        ).all()
        assert renditions == [second.id]
        assert session.get_one(Video, video_id).published_job_id == second.id


def test_a_video_that_plays_keeps_playing_when_a_later_conversion_fails(
    database: Database, scope: OrganizationScope, job_id: UUID, doorbell: Doorbell
) -> None:
    with database.transaction(scope) as session:
        transcoding.succeed(session, job_id, FINISHED)
        video_id = session.get_one(TranscodingJob, job_id).video_id
        second = transcoding.begin_again(session, doorbell, session.get_one(Video, video_id))
        transcoding.fail(session, second.id, "unreadable", "Damaged.")
    with database.transaction(scope) as session:
        assert session.get_one(Video, video_id).state == "ready"
        assert session.get_one(TranscodingJob, second.id).error_message == "Damaged."


def test_what_has_succeeded_is_not_started_again(
    database: Database, scope: OrganizationScope, job_id: UUID
) -> None:
    with database.transaction(scope) as session:
        transcoding.succeed(session, job_id, FINISHED)
    with database.transaction(scope) as session:
        assert transcoding.start(session, job_id, fence=2) is None
    assert job(database, scope, job_id).state == "succeeded"


def test_a_failed_conversion_publishes_nothing(
    database: Database, scope: OrganizationScope, job_id: UUID
) -> None:
    with database.transaction(scope) as session:
        transcoding.fail(session, job_id, "unreadable", "Damaged.")
    with database.transaction(scope) as session:
        transcoding.succeed(session, job_id, FINISHED)
    assert job(database, scope, job_id).state == "failed"


def test_a_revived_dead_letter_opens_its_conversion_and_video_again(
    database: Database, scope: OrganizationScope, job_id: UUID
) -> None:
    with database.transaction(scope) as session:
        transcoding.fail(session, job_id, "internal", "Please try again later.")
    with database.transaction(scope) as session:
        assert transcoding.start(session, job_id, fence=2) is not None
    found = job(database, scope, job_id)
    assert (found.state, found.error_code, found.finished_at) == ("running", None, None)
    with database.transaction(scope) as session:
        assert session.get_one(Video, found.video_id).state == "processing"


def test_a_dead_letter_that_was_superseded_stays_dead(
    database: Database, scope: OrganizationScope, job_id: UUID, doorbell: Doorbell
) -> None:
    with database.transaction(scope) as session:
        transcoding.fail(session, job_id, "internal", "Please try again later.")
        video_id = session.get_one(TranscodingJob, job_id).video_id
        transcoding.begin_again(session, doorbell, session.get_one(Video, video_id))
    with database.transaction(scope) as session:
        assert transcoding.start(session, job_id, fence=2) is None
