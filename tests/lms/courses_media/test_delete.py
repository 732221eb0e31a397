"""What becomes of bytes and conversions when a file, lesson, module or course is deleted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select

from jobs import transcode as job
from jobs.ffmpeg.results import Encoded
from lms.config import Settings
from lms.courses.models import CourseVersion, MediaFile
from lms.courses.operations import versions
from lms.media.models import MediaAsset, VideoRendition
from tenants.session import Database, OrganizationScope
from tests.factories.media import DraftLesson, publish
from tests.factories.people import Person

ACME = "http://acme.localhost"
PDF = b"%PDF-1.7\n" + b"x" * 2000


def delete(uploader: Any, path: str) -> None:
    headers = {**uploader.headers, "If-Match": "*"}
    answer = uploader.client.delete(f"/api/v1/{path}", base_url=ACME, headers=headers)
    assert answer.status_code == 204, answer.json


def path_of(uploader: Any, lesson: DraftLesson, what: str) -> str:
    if what == "module":
        return f"modules/{uploader.get(f'lessons/{lesson.id}').json['module_id']}"
    return {"lesson": f"lessons/{lesson.id}", "course": f"courses/{lesson.course_id}"}[what]


def files_of(settings: Settings, key: str) -> list[Path]:
    """What is on disk of an asset."""
    assert settings.storage_path is not None
    asset_id = key.split("/")[2]
    found = settings.storage_path.rglob("*")
    return [path for path in found if asset_id in path.parts and path.is_file()]


def key_of(database: Database, acme: UUID, media_file: dict[str, Any]) -> str:
    with database.transaction(OrganizationScope(acme)) as session:
        return session.scalars(
            select(MediaAsset.storage_key)
            .join(MediaFile, MediaFile.asset_id == MediaAsset.id)
            .where(MediaFile.id == UUID(media_file["id"]))
        ).one()


@pytest.mark.parametrize("what", ["lesson", "module", "course"])
def test_what_held_the_last_use_of_a_file_takes_it_along(
    uploader: Any,
    lesson: DraftLesson,
    database: Database,
    acme: UUID,
    clip: bytes,
    settings: Settings,
    what: str,
) -> None:
    media_file = uploader.upload(clip)
    key = key_of(database, acme, media_file)
    assert files_of(settings, key)

    delete(uploader, path_of(uploader, lesson, what))

    assert files_of(settings, key) == []
    with database.transaction(OrganizationScope(acme)) as session:
        left = select(func.count()).where(MediaAsset.storage_key == key)
        assert session.scalar(left) == 0


def test_a_file_that_another_version_uses_outlives_its_lesson(
    uploader: Any,
    lesson: DraftLesson,
    teacher: Person,
    database: Database,
    acme: UUID,
) -> None:
    media_file = uploader.upload(PDF)
    publish(database, acme, lesson.version_id)
    with database.transaction(OrganizationScope(acme)) as session:
        draft: CourseVersion = versions.create_draft(
            session, teacher.actor, lesson.course_id, label="", base_version_id=lesson.version_id
        )
    (module,) = uploader.get(f"course-versions/{draft.id}/modules").json["items"]

    delete(uploader, f"modules/{module['id']}")

    link = uploader.get(f"media-files/{media_file['id']}/download").json
    assert uploader.client.get(link["url"], buffered=True).data == PDF


def test_a_conversion_stops_when_its_video_is_deleted(
    uploader: Any,
    clip: bytes,
    run_jobs: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    media_file = uploader.upload(clip)
    (queued,) = uploader.get(f"videos/{media_file['video_id']}/transcoding-jobs").json["items"]
    real, ended = job.transcode, []

    def delete_first(*args: Any, **kwargs: Any) -> Encoded:
        delete(uploader, f"media-files/{media_file['id']}")
        encoded = real(*args, **kwargs)
        ended.append(encoded)
        return encoded

    monkeypatch.setattr(job, "transcode", delete_first)
    run_jobs(UUID(queued["id"]), lease_seconds=0.01)
    assert ended == []


def test_what_was_made_of_a_video_that_is_deleted_before_it_is_published_is_removed(
    uploader: Any,
    clip: bytes,
    run_jobs: Callable[..., None],
    database: Database,
    acme: UUID,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    media_file = uploader.upload(clip)
    key = key_of(database, acme, media_file)
    (queued,) = uploader.get(f"videos/{media_file['video_id']}/transcoding-jobs").json["items"]
    real = job.transcode

    def delete_afterwards(*args: Any, **kwargs: Any) -> Encoded:
        encoded = real(*args, **kwargs)
        delete(uploader, f"media-files/{media_file['id']}")
        return encoded

    monkeypatch.setattr(job, "transcode", delete_afterwards)
    run_jobs(UUID(queued["id"]))
    assert files_of(settings, key) == []


def test_a_second_conversion_does_not_write_over_what_plays(
    uploader: Any, clip: bytes, run_jobs: Callable[..., None], database: Database, acme: UUID
) -> None:
    media_file = uploader.upload(clip)
    path = f"videos/{media_file['video_id']}/transcoding-jobs"
    keys = set()
    for _ in range(2):
        (queued, *_) = uploader.get(path).json["items"]
        run_jobs(UUID(queued["id"]))
        with database.transaction(OrganizationScope(acme)) as session:
            keys |= set(
                session.scalars(
                    select(VideoRendition.media_key).where(
                        VideoRendition.video_id == UUID(media_file["video_id"])
                    )
                )
            )
        uploader.client.post(f"/api/v1/{path}", base_url=ACME, headers=uploader.headers)
    assert len(keys) == 2
