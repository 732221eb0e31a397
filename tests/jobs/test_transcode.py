"""A conversion from its row of work to what is stored and published."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import select

from jobs.context import JobContext
from jobs.run import run_work
from lms.compose import create_storage
from lms.config import Settings
from lms.core.queue import Doorbell
from lms.media.models import Video
from lms.media.thumbnails import CUES, SHEET, key_beside
from tenants.models import Work
from tenants.session import Database, OrganizationScope
from tests.factories.media import add_video, make_clip, make_lesson
from tests.factories.people import make_user


@pytest.fixture
def context(database: Database, settings: Settings, acme: UUID) -> JobContext:
    return JobContext(
        database=database,
        storage=create_storage(settings),
        settings=settings,
        doorbell=Doorbell(settings.redis_url),
        scope=OrganizationScope(acme),
        should_stop=lambda: False,
    )


def convert(app: Flask, context: JobContext, clip: Path) -> Video:
    """Upload a clip and do the work that follows."""
    organization_id = context.scope.id
    teacher = make_user(context.database, organization_id, "instructor", app=app)
    video_id, job_id = add_video(
        context.database,
        organization_id,
        storage=context.storage,
        doorbell=context.doorbell,
        lesson=make_lesson(context.database, organization_id, teacher.id),
        creator_id=teacher.id,
        source=clip,
    )
    with context.database.transaction(context.scope) as session:
        work_id = session.scalars(select(Work.id).where(Work.subject_id == job_id)).one()
    run_work(context, work_id)
    with context.database.transaction(context.scope) as session:
        return session.get_one(Video, video_id)


def test_thumbnails_are_stored_beside_the_poster(
    app: Flask, context: JobContext, tmp_path: Path
) -> None:
    video = convert(app, context, make_clip(tmp_path / "clip.mp4", seconds=3, size="160x120"))
    assert video.state == "ready"
    assert video.poster_key
    cues = context.storage.read(key_beside(video.poster_key, CUES)).decode()
    assert [line for line in cues.splitlines() if line.startswith(SHEET)] == [
        f"{SHEET}#xywh=0,0,160,120",
        f"{SHEET}#xywh=160,0,160,120",
    ]
    sheet = context.storage.read(key_beside(video.poster_key, SHEET))
    assert sheet.startswith(b"\xff\xd8\xff")
