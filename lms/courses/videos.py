"""Finding a lesson's video, and its conversions, for those who teach its course."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.orm import Session

from lms.core.actor import Actor
from lms.core.errors import NotFoundError
from lms.courses.models import CourseVersion, Lesson, MediaFile
from lms.courses.queries import taught_by
from lms.media.models import MediaAsset, TranscodingJob, Video


def in_a_taught_lesson(actor: Actor) -> ColumnElement[bool]:
    """Return the condition that `Video` is a lesson's in a course that the actor teaches."""
    return (
        exists()
        .where(
            MediaFile.asset_id == Video.asset_id,
            Lesson.id == MediaFile.lesson_id,
            CourseVersion.id == Lesson.version_id,
            taught_by(actor, CourseVersion.course_id),
        )
        .correlate(Video)
    )


def taught_video(session: Session, actor: Actor, video_id: UUID, *, hold: bool = False) -> Video:
    """Return the video of a lesson in a course that the actor teaches.

    Args:
        session: the organization's.
        actor: who asks.
        video_id: the video; versions of a course share it.
        hold: keep it from being deleted or converted by others until the transaction ends.

    Raises:
        NotFoundError: there is none, or the actor teaches no course with it.
    """
    in_a_lesson = in_a_taught_lesson(actor)
    query = select(Video).where(Video.id == video_id, in_a_lesson)
    if hold:
        # The asset is what deleting locks first; the video is read again once it is ours.
        session.scalar(
            select(MediaAsset.id)
            .join(Video, Video.asset_id == MediaAsset.id)
            .where(Video.id == video_id, in_a_lesson)
            .with_for_update(of=MediaAsset)
        )
    video = session.scalar(query)
    if video is None:
        raise NotFoundError("There is no such video.")
    return video


def taught_transcoding_job(session: Session, actor: Actor, job_id: UUID) -> TranscodingJob:
    """Return a conversion of the video of a lesson in a course that the actor teaches.

    Raises:
        NotFoundError: there is none, or the actor teaches no course with its video.
    """
    job = session.scalar(
        select(TranscodingJob)
        .join(Video, Video.id == TranscodingJob.video_id)
        .where(TranscodingJob.id == job_id, in_a_taught_lesson(actor))
    )
    if job is None:
        raise NotFoundError("There is no such conversion.")
    return job
