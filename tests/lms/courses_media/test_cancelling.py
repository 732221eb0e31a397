"""Cancelling a conversion: it ends, nothing is published, and it can be started again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, text

from jobs import transcode as job
from jobs.ffmpeg.results import Encoded
from lms.config import Settings
from lms.core.models import AuditEvent
from tenants.session import Database, OrganizationScope
from tests.factories.people import Person, make_user

ACME = "http://acme.localhost"
Run = Callable[..., None]


@pytest.fixture
def video_id(uploader: Any, clip: bytes) -> str:
    """A video whose first conversion waits."""
    return uploader.upload(clip)["video_id"]


@pytest.fixture
def job_id(uploader: Any, video_id: str) -> UUID:
    return newest(uploader, video_id)


def newest(uploader: Any, video_id: str) -> UUID:
    return UUID(uploader.get(f"videos/{video_id}/transcoding-jobs").json["items"][0]["id"])


def post(uploader: Any, path: str, person: Person | None = None) -> Any:
    headers = uploader.headers if person is None else person.headers
    return uploader.client.post(f"/api/v1/{path}", base_url=ACME, headers=headers)


def cancel(uploader: Any, job_id: UUID) -> Any:
    return post(uploader, f"transcoding-jobs/{job_id}/cancel")


def work_states(database: Database, acme: UUID, job_id: UUID) -> list[str]:
    query = text("SELECT state FROM platform.work WHERE subject_id = :id")
    with database.transaction(OrganizationScope(acme)) as session:
        return list(session.scalars(query, {"id": job_id}))


def test_what_waits_ends_at_once_and_is_never_started(
    uploader: Any, job_id: UUID, video_id: str, database: Database, acme: UUID
) -> None:
    answer = cancel(uploader, job_id)
    assert answer.status_code == 200
    assert (answer.json["state"], answer.json["error_code"]) == ("failed", "cancelled")
    assert answer.json["finished_at"] is not None
    assert work_states(database, acme, job_id) == ["done"]
    assert uploader.get(f"videos/{video_id}").json["state"] == "failed"


def test_cancelling_twice_is_the_same_as_once(uploader: Any, job_id: UUID) -> None:
    first = cancel(uploader, job_id)
    again = cancel(uploader, job_id)
    assert (again.status_code, again.json) == (200, first.json)


def test_a_running_encode_stops_publishes_nothing_and_leaves_no_files(
    uploader: Any,
    job_id: UUID,
    video_id: str,
    run_jobs: Run,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    database: Database,
    acme: UUID,
) -> None:
    real, ended = job.transcode, []

    def cancel_first(*args: Any, **kwargs: Any) -> Encoded:
        assert cancel(uploader, job_id).json["error_code"] == "cancelled"
        encoded = real(*args, **kwargs)
        ended.append(encoded)
        return encoded

    monkeypatch.setattr(job, "transcode", cancel_first)
    run_jobs(job_id, lease_seconds=0.01)
    assert ended == []
    assert uploader.get(f"videos/{video_id}/renditions").json["items"] == []
    assert work_states(database, acme, job_id) == ["done"]
    assert made_by(settings, job_id) == []


def test_what_was_encoded_before_the_cancelling_is_not_published_either(
    uploader: Any,
    job_id: UUID,
    video_id: str,
    run_jobs: Run,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = job.transcode

    def cancel_afterwards(*args: Any, **kwargs: Any) -> Encoded:
        encoded = real(*args, **kwargs)
        cancel(uploader, job_id)
        return encoded

    monkeypatch.setattr(job, "transcode", cancel_afterwards)
    run_jobs(job_id)
    assert uploader.get(f"videos/{video_id}/renditions").json["items"] == []
    assert made_by(settings, job_id) == []


def made_by(settings: Settings, job_id: UUID) -> list[Path]:
    """Files that a conversion left in the store."""
    root = settings.storage_path
    assert root is not None
    return [path for path in root.rglob("*") if str(job_id) in str(path) and path.is_file()]


def test_a_video_that_plays_plays_on_when_its_next_conversion_is_cancelled(
    uploader: Any, job_id: UUID, video_id: str, run_jobs: Run
) -> None:
    run_jobs(job_id)
    before = uploader.get(f"videos/{video_id}/renditions").json
    again = post(uploader, f"videos/{video_id}/transcoding-jobs").json["id"]
    cancel(uploader, UUID(again))
    assert uploader.get(f"videos/{video_id}").json["state"] == "ready"
    assert uploader.get(f"videos/{video_id}/renditions").json == before


def test_a_cancelled_video_is_converted_when_it_is_asked_for_again(
    uploader: Any, job_id: UUID, video_id: str, run_jobs: Run
) -> None:
    cancel(uploader, job_id)
    again = post(uploader, f"videos/{video_id}/transcoding-jobs")
    assert (again.status_code, again.json["state"]) == (202, "queued")
    assert uploader.get(f"videos/{video_id}").json["state"] == "processing"
    run_jobs(UUID(again.json["id"]))
    assert uploader.get(f"videos/{video_id}").json["state"] == "ready"


def test_a_cancelled_conversion_whose_worker_died_is_not_begun_again(
    uploader: Any, job_id: UUID, video_id: str, run_jobs: Run, database: Database, acme: UUID
) -> None:
    cancel(uploader, job_id)
    with database.transaction(OrganizationScope(acme)) as session:
        session.execute(
            text("UPDATE platform.work SET state = 'waiting' WHERE subject_id = :id"),
            {"id": job_id},
        )
    run_jobs(job_id)
    found = uploader.get(f"transcoding-jobs/{job_id}").json
    assert (found["state"], found["error_code"], found["attempt"]) == ("failed", "cancelled", 0)
    assert uploader.get(f"videos/{video_id}").json["state"] == "failed"


def test_what_has_ended_cannot_be_cancelled(uploader: Any, job_id: UUID, run_jobs: Run) -> None:
    run_jobs(job_id)
    refused = cancel(uploader, job_id)
    assert (refused.status_code, refused.json["code"]) == (409, "transcoding_ended")
    assert uploader.get(f"transcoding-jobs/{job_id}").json["state"] == "succeeded"


def test_cancelling_is_on_record(
    uploader: Any, job_id: UUID, teacher: Person, database: Database, acme: UUID
) -> None:
    cancel(uploader, job_id)
    cancel(uploader, job_id)
    with database.transaction(OrganizationScope(acme)) as session:
        (event,) = session.scalars(select(AuditEvent).where(AuditEvent.subject_id == job_id)).all()
    assert (event.action, event.actor_id) == ("transcoding_job.cancel", teacher.id)
    assert event.before == {"state": "queued", "progress": 0}
    assert event.after == {"state": "failed", "error_code": "cancelled"}


def test_only_who_teaches_the_course_sees_and_cancels_it(
    uploader: Any, job_id: UUID, database: Database, acme: UUID, app: Flask, client: FlaskClient
) -> None:
    statuses = {}
    for account_type in ("student", "instructor", "admin"):
        person = make_user(database, acme, account_type, app=app)
        seen = client.get(
            f"/api/v1/transcoding-jobs/{job_id}", base_url=ACME, headers=person.headers
        )
        cancelled = post(uploader, f"transcoding-jobs/{job_id}/cancel", person)
        statuses[account_type] = (seen.status_code, cancelled.status_code)
    assert statuses == {"student": (403, 403), "instructor": (404, 404), "admin": (200, 200)}
