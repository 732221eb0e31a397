"""Published courses with videos and files, and learners enrolled in them, made directly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from lms.core.clock import now
from lms.core.ids import new_id
from lms.core.storage.base import Storage
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
from lms.courses.outline import content_hash, outline_of, rules_of
from lms.courses.queries import load_tree
from lms.enrollments.models import Enrollment
from lms.media.models import MediaAsset, TranscodingJob, Video, VideoRendition
from tenants.session import Database, OrganizationScope
from tests.factories.people import Person

PLAYLIST = """#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:6
#EXT-X-PLAYLIST-TYPE:VOD
#EXT-X-MAP:URI="media.mp4",BYTERANGE="800@0"
#EXTINF:6.000000,
#EXT-X-BYTERANGE:1000@800
media.mp4
#EXT-X-ENDLIST
"""


@dataclass(frozen=True)
class LessonPlan:
    """A lesson to make. `video_seconds` gives it a ready video, `file_name` a document."""

    completion: dict[str, Any] = field(default_factory=lambda: {"rule": "viewed"})
    required: bool = True
    weight: int = 1
    preview: bool = False
    video_seconds: float | None = None
    file_name: str | None = None
    with_renditions: bool = True
    availability: dict[str, Any] | None = None

    @property
    def kind(self) -> str:
        if self.video_seconds is not None:
            return "video"
        return "text" if self.file_name is None else "document"


@dataclass(frozen=True)
class MadeLesson:
    """A lesson's ids; `media_file_id` and `video_id` where the plan asked for them.

    `media_prefix` is below which its stored objects lie.
    """

    id: UUID
    lineage_id: UUID
    media_file_id: UUID | None
    video_id: UUID | None

    @property
    def media_prefix(self) -> str:
        return f"o/tests/{self.id}"


@dataclass(frozen=True)
class MadeCourse:
    """A course of one version with one module, and its run when it is published."""

    course_id: UUID
    version_id: UUID
    run_id: UUID | None
    lessons: list[MadeLesson]
    content_hash: str | None


def make_course(
    database: Database,
    organization_id: UUID,
    teacher: Person,
    lessons: Sequence[LessonPlan],
    *,
    published: bool = True,
    sequential: bool = False,
    run_starts_in: timedelta = timedelta(days=-1),
    storage: Storage | None = None,
) -> MadeCourse:
    """Insert a course that `teacher` owns; with `storage`, its playlists are stored too."""
    course_id, version_id, module_id, run_id = new_id(), new_id(), new_id(), new_id()
    made: list[MadeLesson] = []
    with database.transaction(OrganizationScope(organization_id)) as session:
        session.add(Course(id=course_id, instructor_id=teacher.id, title="Negotiation basics"))
        session.flush()
        session.add(CourseInstructor(course_id=course_id, user_id=teacher.id))
        version = CourseVersion(
            id=version_id,
            course_id=course_id,
            number=1,
            state="published" if published else "draft",
            published_at=now() if published else None,
        )
        session.add(version)
        session.flush()
        session.add(
            Module(
                id=module_id,
                version_id=version_id,
                lineage_id=new_id(),
                title="Before the meeting",
                sequential=sequential,
                position=1,
            )
        )
        session.flush()
        for position, plan in enumerate(lessons, start=1):
            lesson = Lesson(
                id=new_id(),
                module_id=module_id,
                version_id=version_id,
                lineage_id=new_id(),
                kind=plan.kind,
                title=f"Lesson {position}",
                content="Know your *alternative*.",
                required=plan.required,
                preview=plan.preview,
                weight=plan.weight,
                completion=plan.completion,
                availability=plan.availability,
                position=position,
            )
            session.add(lesson)
            session.flush()
            media_file_id, video_id = _add_media(session, teacher, lesson, plan, storage)
            made.append(MadeLesson(lesson.id, lesson.lineage_id, media_file_id, video_id))
        starts_at = now() + run_starts_in
        tag = _publish(session, version, teacher, run_id, starts_at) if published else None
    return MadeCourse(course_id, version_id, run_id if published else None, made, tag)


def enroll(
    database: Database,
    organization_id: UUID,
    course: MadeCourse,
    learner: Person,
    state: str = "active",
    *,
    attempt: int = 1,
    activated: bool = True,
    awaiting: str = "payment",
) -> UUID:
    """Insert an enrollment of a learner in the course's run; return its id."""
    enrollment_id = new_id()
    with database.transaction(OrganizationScope(organization_id)) as session:
        session.add(
            Enrollment(
                id=enrollment_id,
                user_id=learner.id,
                run_id=course.run_id,
                version_id=course.version_id,
                attempt=attempt,
                state=state,
                awaiting=awaiting if state == "pending" else None,
                waitlisted_at=now() if state == "waitlisted" else None,
                activated_at=now() if activated else None,
                completed_at=now() if state == "completed" else None,
                percent=100 if state == "completed" else 0,
            )
        )
    return enrollment_id


def set_enrollment_state(
    database: Database, organization_id: UUID, enrollment_id: UUID, state: str
) -> None:
    """Put an enrollment into a state, past the rules."""
    with database.transaction(OrganizationScope(organization_id)) as session:
        session.get_one(Enrollment, enrollment_id).state = state


def read_enrollment(database: Database, organization_id: UUID, enrollment_id: UUID) -> Enrollment:
    """Return the stored row."""
    with database.transaction(OrganizationScope(organization_id)) as session:
        return session.get_one(Enrollment, enrollment_id)


def _publish(
    session: Session, version: CourseVersion, teacher: Person, run_id: UUID, starts_at: datetime
) -> str:
    session.flush()
    tree = load_tree(session, version)
    outline, rules = outline_of(tree), rules_of(tree)
    tag = content_hash(outline, rules)
    session.add(
        PublishedVersion(
            version_id=version.id,
            course_id=version.course_id,
            content_hash=tag,
            outline=outline,
            rules=rules,
            published_by=teacher.id,
        )
    )
    session.flush()
    session.add(
        CourseRun(
            id=run_id,
            course_id=version.course_id,
            version_id=version.id,
            title="January cohort",
            starts_at=starts_at,
            ends_at=now() + timedelta(days=30),
            enrollment_opens_at=now() - timedelta(days=10),
            enrollment_closes_at=now() + timedelta(days=10),
            currency="EUR",
        )
    )
    session.flush()
    session.add(RunSeats(run_id=run_id))
    return tag


def _add_media(
    session: Session, teacher: Person, lesson: Lesson, plan: LessonPlan, storage: Storage | None
) -> tuple[UUID | None, UUID | None]:
    if plan.video_seconds is None and plan.file_name is None:
        return None, None
    is_video = plan.video_seconds is not None
    asset = MediaAsset(
        id=new_id(),
        kind="video" if is_video else "document",
        content_type="video/mp4" if is_video else "application/pdf",
        size=1800,
        storage_key=f"o/tests/{lesson.id}/original",
        state="ready",
        created_by=teacher.id,
    )
    session.add(asset)
    session.flush()
    file_name = plan.file_name or "talk.mp4"
    media_file = MediaFile(id=new_id(), lesson_id=lesson.id, asset_id=asset.id, file_name=file_name)
    session.add(media_file)
    session.flush()
    if plan.video_seconds is None:
        return media_file.id, None
    prefix = f"o/tests/{lesson.id}"
    return media_file.id, _add_video(session, asset, prefix, plan, storage)


def _add_video(
    session: Session, asset: MediaAsset, prefix: str, plan: LessonPlan, storage: Storage | None
) -> UUID:
    video = Video(
        id=new_id(),
        asset_id=asset.id,
        state="ready" if plan.with_renditions else "processing",
        duration_seconds=plan.video_seconds,
        width=1280,
        height=720,
        poster_key=f"{prefix}/poster.jpg",
    )
    session.add(video)
    session.flush()
    job = TranscodingJob(id=new_id(), video_id=video.id, state="succeeded", progress=100)
    session.add(job)
    session.flush()
    sizes = [("720p", 1280, 720), ("480p", 854, 480)] if plan.with_renditions else []
    for label, width, height in sizes:
        session.add(
            VideoRendition(
                id=new_id(),
                video_id=video.id,
                job_id=job.id,
                label=label,
                width=width,
                height=height,
                bytes=1800,
                bandwidth=height * 4000,
                average_bandwidth=height * 3000,
                codecs="avc1.64001f,mp4a.40.2",
                frame_rate=25.0,
                media_key=f"{prefix}/{label}/media.mp4",
                playlist_key=f"{prefix}/{label}/media.m3u8",
            )
        )
        if storage is not None:
            storage.write(
                f"{prefix}/{label}/media.m3u8",
                PLAYLIST.encode(),
                content_type="application/vnd.apple.mpegurl",
            )
    session.flush()
    return video.id
