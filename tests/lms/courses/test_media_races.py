"""Deleting files and lessons while others use them: transactions held open when it matters."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from uuid import UUID

import pytest

from lms.config import Settings
from lms.core.errors import NotFoundError
from lms.core.ids import new_id
from lms.core.queue import Doorbell
from lms.courses import media_operations
from lms.courses.models import MediaFile
from lms.courses.operations import content
from lms.courses.videos import taught_video
from lms.media import transcoding
from lms.media.models import MediaAsset, Video
from tenants.session import Database, OrganizationScope
from tests.factories.media import FINISHED, DraftLesson, make_lesson
from tests.lms.courses.conftest import Api, wait_until_blocked


@dataclass(frozen=True)
class Filmed:
    """A lesson with a video that is being converted."""

    lesson: DraftLesson
    file_id: UUID
    video_id: UUID
    job_id: UUID


@pytest.fixture
def scope(acme: UUID) -> OrganizationScope:
    return OrganizationScope(acme)


@pytest.fixture
def doorbell(settings: Settings) -> Doorbell:
    return Doorbell(settings.redis_url)


@pytest.fixture
def filmed(
    database: Database, scope: OrganizationScope, doorbell: Doorbell, instructor: Api
) -> Filmed:
    lesson = make_lesson(database, scope.id, instructor.person.id)
    asset_id, file_id = new_id(), new_id()
    with database.transaction(scope) as session:
        session.add(
            MediaAsset(
                id=asset_id,
                kind="video",
                content_type="video/mp4",
                size=1,
                storage_key=f"o/{scope.id}/{asset_id}/original",
                state="ready",
                created_by=instructor.person.id,
            )
        )
        session.flush()
        session.add(MediaFile(id=file_id, lesson_id=lesson.id, asset_id=asset_id, file_name="a"))
        video = Video(id=new_id(), asset_id=asset_id)
        session.add(video)
        session.flush()
        job = transcoding.begin(session, doorbell, video)
        assert transcoding.start(session, job.id, fence=1) is not None
        return Filmed(lesson, file_id, video.id, job.id)


def test_a_file_is_deleted_while_its_video_is_published(
    instructor: Api,
    database: Database,
    scope: OrganizationScope,
    thread: ThreadPoolExecutor,
    filmed: Filmed,
) -> None:
    with database.transaction(scope) as session:
        assert transcoding.succeed(session, filmed.job_id, FINISHED)
        deleting = thread.submit(instructor.delete, f"/media-files/{filmed.file_id}")
        wait_until_blocked(database, scope.id, deleting)
    assert deleting.result(timeout=10).status_code == 204


def test_a_file_is_deleted_while_its_video_is_queued_once_more(
    instructor: Api,
    database: Database,
    scope: OrganizationScope,
    thread: ThreadPoolExecutor,
    filmed: Filmed,
    doorbell: Doorbell,
) -> None:
    with database.transaction(scope) as session:
        transcoding.succeed(session, filmed.job_id, FINISHED)
    with database.transaction(scope) as session:
        video = taught_video(session, instructor.person.actor, filmed.video_id, hold=True)
        transcoding.begin_again(session, doorbell, video)
        deleting = thread.submit(instructor.delete, f"/media-files/{filmed.file_id}")
        wait_until_blocked(database, scope.id, deleting)
    assert deleting.result(timeout=10).status_code == 204


def test_a_video_is_queued_once_more_while_its_first_conversion_is_published(
    instructor: Api,
    database: Database,
    scope: OrganizationScope,
    thread: ThreadPoolExecutor,
    filmed: Filmed,
) -> None:
    with database.transaction(scope) as session:
        transcoding.succeed(session, filmed.job_id, FINISHED)
        again = thread.submit(instructor.post, f"/videos/{filmed.video_id}/transcoding-jobs")
        wait_until_blocked(database, scope.id, again)
    assert again.result(timeout=10).status_code == 202


def test_a_file_for_a_lesson_that_is_deleted_meanwhile_is_not_added(
    instructor: Api,
    database: Database,
    scope: OrganizationScope,
    thread: ThreadPoolExecutor,
    filmed: Filmed,
) -> None:
    def add() -> None:
        with database.transaction(scope) as session:
            media_operations.add_file(
                session,
                instructor.person.actor,
                filmed.lesson.id,
                asset_id=new_id(),
                key=f"o/{scope.id}/late/original",
                upload_id="late",
                file_name="late",
                content_type="a/b",
                size=1,
                sha256=None,
            )

    with database.transaction(scope) as session:
        content.delete_lesson(session, instructor.person.actor, filmed.lesson.id, expected=None)
        adding = thread.submit(add)
        wait_until_blocked(database, scope.id, adding)
    with pytest.raises(NotFoundError):
        adding.result(timeout=10)


def test_a_file_of_a_lesson_that_is_deleted_meanwhile_is_not_found(
    instructor: Api,
    database: Database,
    scope: OrganizationScope,
    thread: ThreadPoolExecutor,
    filmed: Filmed,
) -> None:
    with database.transaction(scope) as session:
        content.delete_lesson(session, instructor.person.actor, filmed.lesson.id, expected=None)
        deleting = thread.submit(instructor.delete, f"/media-files/{filmed.file_id}")
        wait_until_blocked(database, scope.id, deleting)
    assert deleting.result(timeout=10).status_code == 404


def test_who_cancels_a_conversion_while_it_is_published_is_told_that_it_has_ended(
    instructor: Api,
    database: Database,
    scope: OrganizationScope,
    thread: ThreadPoolExecutor,
    filmed: Filmed,
) -> None:
    with database.transaction(scope) as session:
        assert transcoding.succeed(session, filmed.job_id, FINISHED)
        late = thread.submit(instructor.post, f"/transcoding-jobs/{filmed.job_id}/cancel")
        wait_until_blocked(database, scope.id, late)
    refused = late.result(timeout=10)
    assert (refused.status_code, refused.json["code"]) == (409, "transcoding_ended")
    assert instructor.get(f"/videos/{filmed.video_id}").json["state"] == "ready"


def test_a_conversion_that_is_cancelled_while_it_would_be_published_publishes_nothing(
    instructor: Api,
    database: Database,
    scope: OrganizationScope,
    thread: ThreadPoolExecutor,
    filmed: Filmed,
) -> None:
    def publish() -> bool:
        with database.transaction(scope) as session:
            return transcoding.succeed(session, filmed.job_id, FINISHED)

    with database.transaction(scope) as session:
        transcoding.cancel(session, instructor.person.actor, filmed.job_id)
        late = thread.submit(publish)
        wait_until_blocked(database, scope.id, late)
    assert late.result(timeout=10) is False
    assert instructor.get(f"/videos/{filmed.video_id}/renditions").json["items"] == []


def test_who_cancels_a_conversion_while_its_video_is_deleted_finds_none(
    instructor: Api,
    database: Database,
    scope: OrganizationScope,
    thread: ThreadPoolExecutor,
    filmed: Filmed,
) -> None:
    with database.transaction(scope) as session:
        content.delete_lesson(session, instructor.person.actor, filmed.lesson.id, expected=None)
        late = thread.submit(instructor.post, f"/transcoding-jobs/{filmed.job_id}/cancel")
        wait_until_blocked(database, scope.id, late)
    assert late.result(timeout=10).status_code == 404
