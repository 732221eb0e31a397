"""What twin organizations teach: a course with its content, its media and a run."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from lms.core.clock import now
from lms.courses.models import (
    Course,
    CourseInstructor,
    CourseRun,
    CourseVersion,
    Lesson,
    MediaFile,
    Module,
    PublishedVersion,
    RunSeats,
)
from lms.media.captions.models import VideoCaption
from lms.media.models import MediaAsset, TranscodingJob, Video, VideoRendition

if TYPE_CHECKING:
    from tests.factories.twins import TwinIds


def course(ids: TwinIds, canary: str) -> list[Any]:
    """A course with a published version and a draft."""
    return [
        Course(
            id=ids.course_id,
            instructor_id=ids.instructor_id,
            title=f"Course {canary}",
            summary=canary,
        ),
        CourseInstructor(course_id=ids.course_id, user_id=ids.instructor_id),
        CourseVersion(
            id=ids.version_id,
            course_id=ids.course_id,
            number=1,
            label=canary,
            state="published",
            published_at=now(),
        ),
        CourseVersion(id=ids.draft_id, course_id=ids.course_id, number=2, label=canary),
    ]


def content(ids: TwinIds, canary: str) -> list[Any]:
    """A module with a lesson, in the draft."""
    return [
        Module(
            id=ids.module_id,
            version_id=ids.draft_id,
            lineage_id=ids.lineage_id,
            title=f"Module {canary}",
            position=0,
        ),
        Lesson(
            id=ids.lesson_id,
            module_id=ids.module_id,
            version_id=ids.draft_id,
            lineage_id=ids.lineage_id,
            kind="video",
            title=f"Lesson {canary}",
            content=canary,
            completion={"rule": "watched", "percent": 90},
            position=0,
        ),
    ]


def media(ids: TwinIds, canary: str, organization_id: UUID, mark: int) -> list[Any]:
    """A video of the lesson, ready to be played."""
    root = f"o/{organization_id}/{ids.asset_id}"
    return [
        MediaAsset(
            id=ids.asset_id,
            kind="video",
            content_type="video/mp4",
            size=1000,
            storage_key=f"{root}/original",
            state="ready",
            created_by=ids.instructor_id,
        ),
        MediaFile(
            id=ids.media_file_id,
            lesson_id=ids.lesson_id,
            asset_id=ids.asset_id,
            file_name=f"{canary}.mp4",
        ),
        Video(
            id=ids.video_id,
            asset_id=ids.asset_id,
            state="ready",
            duration_seconds=20.0,
            width=mark,
            height=720,
            poster_key=f"{root}/poster.jpg",
        ),
        TranscodingJob(
            id=ids.job_id,
            video_id=ids.video_id,
            state="succeeded",
            progress=100,
            error_message=canary,
        ),
        VideoRendition(
            id=ids.rendition_id,
            video_id=ids.video_id,
            job_id=ids.job_id,
            label="720p",
            width=1280,
            height=720,
            bytes=1000,
            bandwidth=1000,
            average_bandwidth=1000,
            codecs=f"avc1.{canary}",
            frame_rate=25.0,
            media_key=f"{root}/720p.mp4",
            playlist_key=f"{root}/720p.m3u8",
        ),
        VideoCaption(
            id=ids.caption_id,
            video_id=ids.video_id,
            language="en",
            kind="subtitles",
            label=canary,
            content=f"WEBVTT\n\n00:00:01.000 --> 00:00:02.000\n{canary}\n",
            cues=1,
            created_by=ids.instructor_id,
        ),
    ]


def published(ids: TwinIds, canary: str) -> PublishedVersion:
    """What learners read of the published version."""
    media = {
        "media_file_id": str(ids.media_file_id),
        "kind": "video",
        "content_type": "video/mp4",
        "file_name": f"{canary}.mp4",
        "size": 1000,
        "video_id": str(ids.video_id),
        "duration_seconds": 20.0,
    }
    completion = {"rule": "watched", "percent": 90}
    lesson = {
        "id": str(ids.lesson_id),
        "lineage_id": str(ids.lineage_id),
        "kind": "video",
        "title": f"Lesson {canary}",
        "content": canary,
        "estimated_seconds": 60,
        "required": True,
        "preview": False,
        "weight": 1,
        "completion": completion,
        "media": [media],
    }
    module = {
        "id": str(ids.module_id),
        "lineage_id": str(ids.lineage_id),
        "title": f"Module {canary}",
        "summary": "",
        "lessons": [lesson],
    }
    version = {
        "id": str(ids.version_id),
        "course_id": str(ids.course_id),
        "number": 1,
        "label": canary,
    }
    rule = {
        "required": True,
        "weight": 1,
        "completion": completion,
        "kind": "video",
        "duration_seconds": 20.0,
    }
    return PublishedVersion(
        version_id=ids.version_id,
        course_id=ids.course_id,
        content_hash=canary,
        outline={"version": version, "modules": [module]},
        rules={
            "lessons": {str(ids.lineage_id): rule},
            "lineages": {str(ids.lesson_id): str(ids.lineage_id)},
            "required_weight": 1,
        },
        published_by=ids.instructor_id,
    )


def run(ids: TwinIds, canary: str, mark: int) -> list[Any]:
    """A run that takes enrollments, and its seats."""
    return [
        CourseRun(
            id=ids.run_id,
            course_id=ids.course_id,
            version_id=ids.version_id,
            title=f"Run {canary}",
            enrollment_opens_at=now() - timedelta(days=1),
            enrollment_closes_at=now() + timedelta(days=1),
            starts_at=now() + timedelta(days=2),
            ends_at=now() + timedelta(days=9),
            price_amount=mark,
            currency="EUR",
        ),
        RunSeats(run_id=ids.run_id, taken=1, waitlisted=mark),
    ]
