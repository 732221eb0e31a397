"""Courses with one draft lesson, and uploads into it, made directly in the database."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import imageio_ffmpeg
from sqlalchemy import select

from lms.core.clock import now
from lms.core.ids import new_id
from lms.core.queue import Doorbell
from lms.core.storage.base import Storage
from lms.courses.models import Course, CourseInstructor, CourseVersion, Lesson, MediaFile, Module
from lms.media import operations, uploads
from lms.media.models import MediaAsset, TranscodingJob, Video
from lms.media.transcoding import FinishedRendition, FinishedVideo
from tenants.session import Database, OrganizationScope

RENDITION = FinishedRendition(
    label="360p",
    width=640,
    height=360,
    bytes=1000,
    bandwidth=800,
    average_bandwidth=700,
    codecs="avc1.64001e",
    frame_rate=25.0,
    media_key="m",
    playlist_key="p",
)
FINISHED = FinishedVideo(
    duration_seconds=10.0,
    width=640,
    height=360,
    poster_key="poster",
    cpu_seconds=1.5,
    renditions=(RENDITION,),
)


@dataclass(frozen=True)
class DraftLesson:
    """A lesson in a draft, and who teaches its course."""

    id: UUID
    version_id: UUID
    course_id: UUID


def make_lesson(
    database: Database, organization_id: UUID, instructor_id: UUID, *, state: str = "draft"
) -> DraftLesson:
    """Insert a course, a version in `state`, a module and a video lesson."""
    course_id, version_id, module_id, lesson_id = (new_id() for _ in range(4))
    with database.transaction(OrganizationScope(organization_id)) as session:
        session.add(Course(id=course_id, instructor_id=instructor_id, title="Cooking"))
        session.flush()
        session.add(CourseInstructor(course_id=course_id, user_id=instructor_id))
        session.add(CourseVersion(id=version_id, course_id=course_id, number=1))
        session.flush()
        session.add(
            Module(
                id=module_id, version_id=version_id, lineage_id=new_id(), title="One", position=1
            )
        )
        session.flush()
        session.add(
            Lesson(
                id=lesson_id,
                module_id=module_id,
                version_id=version_id,
                lineage_id=new_id(),
                kind="video",
                title="Knives",
                completion={"rule": "watched", "percent": 90},
                position=1,
            )
        )
    if state != "draft":
        publish(database, organization_id, version_id)
    return DraftLesson(lesson_id, version_id, course_id)


def publish(database: Database, organization_id: UUID, version_id: UUID) -> None:
    """Freeze a version, as far as its own row is concerned."""
    with database.transaction(OrganizationScope(organization_id)) as session:
        version = session.get_one(CourseVersion, version_id)
        version.published_at = now()
        version.state = "published"


def add_video(
    database: Database,
    organization_id: UUID,
    *,
    storage: Storage,
    doorbell: Doorbell,
    lesson: DraftLesson,
    creator_id: UUID,
    source: Path,
) -> tuple[UUID, UUID]:
    """Store a clip as a completed upload; returns the ids of its video and transcoding job."""
    asset_id = new_id()
    key = operations.storage_key(organization_id, asset_id)
    storage.upload_file(source, key, content_type="application/octet-stream")
    size = source.stat().st_size
    with database.transaction(OrganizationScope(organization_id)) as session:
        session.add(
            MediaAsset(
                id=asset_id,
                kind="unknown",
                content_type="video/mp4",
                size=size,
                storage_key=key,
                upload_id="done",
                created_by=creator_id,
            )
        )
        session.flush()
        session.add(
            MediaFile(id=new_id(), lesson_id=lesson.id, asset_id=asset_id, file_name="clip.mp4")
        )
    inspection = uploads.complete(storage, key=key, upload_id="done", size=size, sha256=None)
    with database.transaction(OrganizationScope(organization_id)) as session:
        operations.settle_upload(session, doorbell, asset_id, inspection)
        video_id = session.scalars(select(Video.id).where(Video.asset_id == asset_id)).one()
        job_id = session.scalars(
            select(TranscodingJob.id).where(TranscodingJob.video_id == video_id)
        ).one()
        return video_id, job_id


def make_clip(path: Path, *, seconds: float, size: str = "320x240", rate: int = 15) -> Path:
    """Encode a test picture with a tone."""
    subprocess.run(
        [
            imageio_ffmpeg.get_ffmpeg_exe(),
            *("-nostdin", "-loglevel", "error", "-y"),
            *("-f", "lavfi", "-i", f"testsrc2=size={size}:rate={rate}:duration={seconds}"),
            *("-f", "lavfi", "-i", f"sine=duration={seconds}"),
            *("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"),
            *("-c:a", "aac", "-movflags", "+faststart", str(path)),
        ],
        check=True,
        timeout=120,
    )
    return path


def sha256_of(data: bytes) -> str:
    """Return the checksum in hex."""
    return hashlib.sha256(data).hexdigest()
