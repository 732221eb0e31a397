"""A teacher with a lesson, and a small clip."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from jobs.context import JobContext
from jobs.run import run_work
from lms.config import Settings
from lms.core.queue import Doorbell
from lms.core.storage.base import Storage
from tenants.session import STILL_SETTLING, Database, OrganizationScope
from tests.factories.media import DraftLesson, make_clip, make_lesson
from tests.factories.people import Person, make_user

ACME = "http://acme.localhost"


@pytest.fixture
def teacher(database: Database, acme: UUID, app: Flask) -> Person:
    return make_user(database, acme, "instructor", app=app)


@pytest.fixture
def lesson(database: Database, acme: UUID, teacher: Person) -> DraftLesson:
    return make_lesson(database, acme, teacher.id)


@pytest.fixture
def storage(app: Flask) -> Storage:
    return app.extensions["edge"].services.get(Storage)


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", seconds=2).read_bytes()


@pytest.fixture
def run_jobs(
    database: Database, settings: Settings, storage: Storage, acme: UUID
) -> Callable[..., None]:
    """Run the open work about one subject, in this process."""

    def run(subject_id: UUID, *, lease_seconds: float = settings.lease_seconds) -> None:
        scope = OrganizationScope(acme, STILL_SETTLING)
        context = JobContext(
            database=database,
            storage=storage,
            settings=replace(settings, lease_seconds=lease_seconds),
            doorbell=Doorbell(settings.redis_url),
            scope=scope,
            should_stop=lambda: False,
        )
        with database.transaction(scope) as session:
            work_id = session.execute(
                text(
                    "SELECT id FROM platform.work"
                    " WHERE subject_id = :id AND state IN ('waiting', 'running')"
                ),
                {"id": subject_id},
            ).scalar_one()
        run_work(context, work_id)

    return run


class Uploader:
    """The steps of an upload, as a client does them."""

    def __init__(self, client: FlaskClient, teacher: Person, lesson: DraftLesson) -> None:
        self.client = client
        self.headers = teacher.headers
        self.lesson = lesson

    def create(self, size: int, **changes: Any) -> Any:
        return self.client.post(
            f"/api/v1/lessons/{self.lesson.id}/media-files",
            base_url=ACME,
            headers=self.headers,
            json={
                "file_name": "Café 1.mp4",
                "content_type": "video/mp4",
                "size": size,
                **changes,
            },
        )

    def send(self, media_file: dict[str, Any], data: bytes) -> None:
        for part in media_file["upload"]["parts"]:
            body = data[part["offset"] : part["offset"] + part["size"]]
            answer = self.client.open(part["url"], method=part["method"], data=body)
            assert answer.status_code == 204, answer.json

    def complete(self, media_file: dict[str, Any]) -> Any:
        return self.client.post(
            f"/api/v1/media-files/{media_file['id']}/complete",
            base_url=ACME,
            headers=self.headers,
        )

    def get(self, path: str) -> Any:
        return self.client.get(f"/api/v1/{path}", base_url=ACME, headers=self.headers)

    def upload(self, data: bytes, **changes: Any) -> dict[str, Any]:
        """All of it; returns what completing answered."""
        media_file = self.create(len(data), **changes).json
        self.send(media_file, data)
        answer = self.complete(media_file)
        assert answer.status_code == 202, answer.json
        return answer.json


@pytest.fixture
def uploader(client: FlaskClient, teacher: Person, lesson: DraftLesson) -> Uploader:
    return Uploader(client, teacher, lesson)
