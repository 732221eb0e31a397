"""A file's way into a lesson over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from flask import Flask

from lms.core.clock import now
from lms.core.storage.base import ObjectNotFound, Storage, StorageError
from lms.core.storage.local import LocalStorage
from lms.core.storage.parts import MIN_PART_SIZE
from lms.courses.models import MediaFile
from tenants.session import Database, OrganizationScope
from tests.factories.media import DraftLesson, make_lesson, publish, sha256_of
from tests.factories.people import Person, make_user

ACME = "http://acme.localhost"
PDF = b"%PDF-1.7\n" + b"x" * 2000


def test_a_video_is_uploaded_converted_and_its_renditions_listed(
    uploader: Any, clip: bytes, run_jobs: Callable[[UUID], None]
) -> None:
    media_file = uploader.upload(clip)
    assert (media_file["kind"], media_file["state"]) == ("video", "ready")
    video_path = f"videos/{media_file['video_id']}"
    (job,) = uploader.get(f"{video_path}/transcoding-jobs").json["items"]
    assert job["state"] == "queued"

    run_jobs(UUID(job["id"]))

    video = uploader.get(video_path).json
    assert (video["state"], video["width"], video["height"]) == ("ready", 320, 240)
    assert video["duration_seconds"] == pytest.approx(2, abs=0.2)
    (rendition,) = uploader.get(f"{video_path}/renditions").json["items"]
    assert (rendition["label"], rendition["width"]) == ("240p", 320)
    (job,) = uploader.get(f"{video_path}/transcoding-jobs").json["items"]
    assert (job["state"], job["progress"], job["attempt"]) == ("succeeded", 100, 1)


def test_an_upload_is_resumed_with_what_is_still_missing(uploader: Any) -> None:
    data = PDF + b"y" * MIN_PART_SIZE
    media_file = uploader.create(len(data)).json
    first, second = media_file["upload"]["parts"]
    uploader.client.put(first["url"], data=data[: first["size"]])

    seen = uploader.get(f"media-files/{media_file['id']}").json

    assert seen["upload"]["received_parts"] == [1]
    assert seen["upload"]["received_bytes"] == first["size"]
    assert [part["number"] for part in seen["upload"]["parts"]] == [second["number"]]
    refused = uploader.complete(media_file)
    assert (refused.status_code, refused.json["code"]) == (409, "upload_incomplete")
    assert refused.json["missing"] == [2]
    uploader.send(seen, data)
    assert uploader.complete(media_file).json["state"] == "ready"


def test_completing_twice_answers_the_same_and_queues_one_conversion(
    uploader: Any, clip: bytes
) -> None:
    first = uploader.upload(clip)
    again = uploader.complete(first)
    assert (again.status_code, again.json) == (202, first)
    jobs = uploader.get(f"videos/{first['video_id']}/transcoding-jobs").json["items"]
    assert len(jobs) == 1


def test_a_file_is_what_its_content_says_not_its_name(uploader: Any) -> None:
    media_file = uploader.upload(PDF, file_name="film.mp4")
    assert (media_file["kind"], media_file["content_type"]) == ("document", "application/pdf")
    assert media_file["video_id"] is None


def test_what_lessons_cannot_use_fails_with_words_for_the_teacher(uploader: Any) -> None:
    media_file = uploader.upload(b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n")
    assert (media_file["state"], media_file["error_code"]) == ("failed", "unsupported_file_type")
    assert "Please upload" in media_file["error_message"]


def test_a_store_that_refuses_us_for_a_while_costs_no_upload(
    uploader: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    media_file = uploader.create(len(PDF)).json
    uploader.send(media_file, PDF)

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise StorageError("the store refuses: AccessDenied")

    with monkeypatch.context() as rights:
        rights.setattr(LocalStorage, "complete_upload", refuse)
        refused = uploader.complete(media_file)
    assert (refused.status_code, refused.json["code"]) == (503, "storage_unavailable")
    assert uploader.complete(media_file).json["state"] == "ready"


def test_a_wrong_checksum_of_a_small_file_fails_at_once(uploader: Any) -> None:
    media_file = uploader.upload(PDF, sha256=sha256_of(b"other"))
    assert (media_file["state"], media_file["error_code"]) == ("failed", "checksum_mismatch")
    assert uploader.upload(PDF, sha256=sha256_of(PDF))["state"] == "ready"


@pytest.mark.parametrize(("honest", "state"), [(True, "ready"), (False, "failed")])
def test_the_checksum_of_a_large_file_is_compared_by_a_job(
    uploader: Any,
    run_jobs: Callable[[UUID], None],
    asset_id_of: Callable[[dict[str, Any]], UUID],
    honest: bool,
    state: str,
) -> None:
    data = PDF + b"z" * MIN_PART_SIZE
    media_file = uploader.upload(data, sha256=sha256_of(data if honest else PDF))
    assert media_file["state"] == "checking"

    run_jobs(asset_id_of(media_file))

    assert uploader.get(f"media-files/{media_file['id']}").json["state"] == state


@pytest.fixture
def asset_id_of(database: Database, acme: UUID) -> Callable[[dict[str, Any]], UUID]:
    def find(media_file: dict[str, Any]) -> UUID:
        with database.transaction(OrganizationScope(acme)) as session:
            return session.get_one(MediaFile, UUID(media_file["id"])).asset_id

    return find


def test_a_file_that_is_too_large_is_refused_before_anything_is_stored(
    uploader: Any, app: Flask
) -> None:
    refused = uploader.create(2**50)
    assert (refused.status_code, refused.json["code"]) == (413, "file_too_large")


def test_a_published_version_takes_and_gives_up_no_files(
    uploader: Any, database: Database, acme: UUID, lesson: DraftLesson
) -> None:
    media_file = uploader.upload(PDF)
    publish(database, acme, lesson.version_id)
    refused = uploader.create(100)
    assert (refused.status_code, refused.json["code"]) == (409, "version_published")
    path = f"/api/v1/media-files/{media_file['id']}"
    kept = uploader.client.delete(path, base_url=ACME, headers=uploader.headers)
    assert (kept.status_code, kept.json["code"]) == (409, "version_published")


def test_only_who_teaches_the_course_reaches_its_files(
    uploader: Any, database: Database, acme: UUID, app: Flask, client: Any
) -> None:
    media_file = uploader.upload(PDF)
    path = f"/api/v1/media-files/{media_file['id']}"
    statuses = {}
    for account_type in ("student", "instructor", "admin"):
        person = make_user(database, acme, account_type, app=app)
        answer = client.get(path, base_url=ACME, headers=person.headers)
        statuses[account_type] = answer.status_code
    assert statuses == {"student": 403, "instructor": 404, "admin": 200}


def test_a_deleted_file_takes_its_bytes_and_renditions_with_it(
    uploader: Any, clip: bytes, run_jobs: Callable[[UUID], None], storage: Storage
) -> None:
    media_file = uploader.upload(clip)
    (job,) = uploader.get(f"videos/{media_file['video_id']}/transcoding-jobs").json["items"]
    run_jobs(UUID(job["id"]))
    path = f"/api/v1/media-files/{media_file['id']}"
    url = uploader.get(f"media-files/{media_file['id']}/download").json["url"]
    assert uploader.client.get(url, buffered=True).status_code == 200

    gone = uploader.client.delete(path, base_url=ACME, headers=uploader.headers)

    assert gone.status_code == 204
    assert uploader.get(f"media-files/{media_file['id']}").status_code == 404
    assert uploader.get(f"videos/{media_file['video_id']}").status_code == 404
    assert uploader.client.get(url, buffered=True).status_code == 404


def test_the_download_carries_the_users_name_and_the_detected_type(uploader: Any) -> None:
    media_file = uploader.upload(PDF, file_name="Résumé.pdf", content_type="text/html")
    link = uploader.get(f"media-files/{media_file['id']}/download").json
    answer = uploader.client.get(link["url"], buffered=True)
    assert answer.data == PDF
    assert answer.headers["Content-Type"] == "application/pdf"
    assert answer.headers["Content-Disposition"] == (
        "attachment; filename=\"Resume.pdf\"; filename*=UTF-8''R%C3%A9sum%C3%A9.pdf"
    )
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_file_that_is_not_complete_cannot_be_downloaded(uploader: Any) -> None:
    media_file = uploader.create(100).json
    refused = uploader.get(f"media-files/{media_file['id']}/download")
    assert (refused.status_code, refused.json["code"]) == (409, "media_not_ready")


def test_a_conversion_can_be_asked_for_again_once_the_first_has_ended(
    uploader: Any, clip: bytes, run_jobs: Callable[[UUID], None]
) -> None:
    media_file = uploader.upload(clip)
    path = f"/api/v1/videos/{media_file['video_id']}/transcoding-jobs"

    def ask() -> Any:
        return uploader.client.post(path, base_url=ACME, headers=uploader.headers)

    refused = ask()
    assert (refused.status_code, refused.json["code"]) == (409, "transcoding_open")
    (job,) = uploader.get(f"videos/{media_file['video_id']}/transcoding-jobs").json["items"]
    run_jobs(UUID(job["id"]))
    again = ask()
    assert (again.status_code, again.json["state"]) == (202, "queued")
    run_jobs(UUID(again.json["id"]))
    renditions = uploader.get(f"videos/{media_file['video_id']}/renditions").json["items"]
    assert [rendition["label"] for rendition in renditions] == ["240p"]


def test_a_broken_video_fails_for_good_with_words_for_the_teacher(
    uploader: Any, run_jobs: Callable[[UUID], None]
) -> None:
    media_file = uploader.upload(b"\0\0\0\x18ftypmp42" + b"\0" * 5000)
    (job,) = uploader.get(f"videos/{media_file['video_id']}/transcoding-jobs").json["items"]
    run_jobs(UUID(job["id"]))
    (job,) = uploader.get(f"videos/{media_file['video_id']}/transcoding-jobs").json["items"]
    assert job["state"] == "failed"
    assert job["error_code"] in ("not_a_video", "unreadable", "no_video")
    assert job["error_message"]
    assert uploader.get(f"videos/{media_file['video_id']}").json["state"] == "failed"


def test_a_lesson_of_another_organization_is_not_found(
    uploader: Any, database: Database, globex: UUID, app: Flask
) -> None:
    stranger: Person = make_user(database, globex, "admin", app=app)
    there = make_lesson(database, globex, stranger.id)
    answer = uploader.client.post(
        f"/api/v1/lessons/{there.id}/media-files",
        base_url=ACME,
        headers=uploader.headers,
        json={"file_name": "a", "content_type": "a/b", "size": 1},
    )
    assert answer.status_code == 404


def test_the_stored_key_has_nothing_of_the_users_file_name(uploader: Any, storage: Storage) -> None:
    media_file = uploader.create(10, file_name="../../etc/passwd").json
    url = media_file["upload"]["parts"][0]["url"]
    assert isinstance(storage, LocalStorage)
    claim = storage.verify(url.rpartition("/")[2], method="PUT", now=now())
    assert "passwd" not in claim.key
    assert claim.key.endswith("/original")
    with pytest.raises(ObjectNotFound):
        storage.stat(claim.key)
