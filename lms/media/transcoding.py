"""Transcoding jobs and what they publish: the domain's side of the queue's work.

Functions that take a job's id are called by workers in a transaction that holds their claim.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from uuid import UUID

from sqlalchemy import and_, delete, exists, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, aliased

from lms.core import audit
from lms.core.actor import Actor
from lms.core.errors import NotFoundError
from lms.core.ids import new_id
from lms.core.queue import TRANSCODE_VIDEO, Doorbell, enqueue, withdraw
from lms.media.errors import TranscodingEndedError, TranscodingOpenError
from lms.media.models import MediaAsset, TranscodingJob, Video, VideoRendition

OPEN = ("queued", "running")
CANCELLED = "cancelled"
"""Error code of a conversion that a person ended: it failed for no fault of the file."""


@dataclass(frozen=True, slots=True)
class FinishedRendition:
    """One rendition that is stored and verified; see `VideoRendition` for the units."""

    label: str
    width: int
    height: int
    bytes: int
    bandwidth: int
    average_bandwidth: int
    codecs: str
    frame_rate: float
    media_key: str
    playlist_key: str


@dataclass(frozen=True, slots=True)
class FinishedVideo:
    """What a transcoding made. `cpu_seconds` is what it cost."""

    duration_seconds: float
    width: int
    height: int
    poster_key: str
    cpu_seconds: float
    renditions: tuple[FinishedRendition, ...]


def begin(session: Session, doorbell: Doorbell, video: Video) -> TranscodingJob:
    """Queue a video to be converted.

    Raises:
        TranscodingOpenError: it is already queued or running.
    """
    job_id = session.scalar(
        insert(TranscodingJob)
        .values(id=new_id(), video_id=video.id)
        .on_conflict_do_nothing(
            index_elements=["video_id"], index_where=text("state IN ('queued', 'running')")
        )
        .returning(TranscodingJob.id)
    )
    if job_id is None:
        raise TranscodingOpenError("This video is being converted right now; wait for its end.")
    enqueue(session, doorbell, TRANSCODE_VIDEO, job_id)
    return session.get_one(TranscodingJob, job_id)


def begin_again(session: Session, doorbell: Doorbell, video: Video) -> TranscodingJob:
    """Queue a video once more; what is published stays until the new renditions replace it.

    Args:
        session: the organization's.
        doorbell: rung after the commit.
        video: its asset is locked by the caller, so that it is not deleted meanwhile. The video is
            not: who publishes locks the job before the video, and this waits for the job.

    Raises:
        TranscodingOpenError: it is already queued or running.
    """
    job = begin(session, doorbell, video)
    session.refresh(video)
    if video.state == "failed":
        video.state = "processing"
        session.flush()
    return job


def cancel(session: Session, actor: Actor, job_id: UUID) -> TranscodingJob:
    """End a conversion without a result; a cancelled one stays as it is.

    What waits is never started. A worker in the middle of it stops at the next renewal of its
    lease, a quarter of which is the most that it takes, and publishes nothing. A video that plays
    already keeps playing.

    Args:
        session: the organization's.
        actor: who teaches a course with the video.
        job_id: the conversion.

    Raises:
        NotFoundError: it was deleted with its video meanwhile.
        TranscodingEndedError: it has succeeded or failed.
    """
    withdraw(session, TRANSCODE_VIDEO, job_id)
    job = session.get(
        TranscodingJob, job_id, with_for_update={"key_share": True}, populate_existing=True
    )
    if job is None:
        raise NotFoundError("There is no such conversion.")
    if job.error_code == CANCELLED:
        return job
    if job.state not in OPEN:
        raise TranscodingEndedError(f"This conversion has {job.state} already.", state=job.state)
    before = {"state": job.state, "progress": job.progress}
    fail(session, job_id, CANCELLED, "This conversion was cancelled. It can be started again.")
    audit.record(
        session,
        "transcoding_job.cancel",
        ("transcoding_job", job_id),
        actor_id=actor.user_id,
        before=before,
        after={"state": job.state, "error_code": job.error_code},
    )
    return job


def start(session: Session, job_id: UUID, *, fence: int) -> str | None:
    """Mark a job running under a claim.

    A failed job is claimed only when its dead letter was revived: it is opened again, and so is a
    video that had failed with it, unless another conversion of the video is open by now. One that
    was cancelled stays so: its worker may have died before it noticed.

    Returns:
        The storage key of the original; None when the job has ended or was deleted.
    """
    other = aliased(TranscodingJob)
    superseded = exists().where(
        other.video_id == TranscodingJob.video_id,
        other.id != TranscodingJob.id,
        other.state.in_(OPEN),
    )
    found = session.execute(
        update(TranscodingJob)
        .where(
            TranscodingJob.id == job_id,
            or_(
                TranscodingJob.state.in_(OPEN),
                and_(
                    TranscodingJob.state == "failed",
                    TranscodingJob.error_code.is_distinct_from(CANCELLED),
                    ~superseded,
                ),
            ),
        )
        .values(
            state="running",
            attempt=TranscodingJob.attempt + 1,
            fence=fence,
            error_code=None,
            error_message=None,
            finished_at=None,
            started_at=func.coalesce(TranscodingJob.started_at, func.now()),
        )
        .returning(TranscodingJob.video_id)
    ).scalar()
    if found is None:
        return None
    session.execute(
        update(Video).where(Video.id == found, Video.state == "failed").values(state="processing")
    )
    return session.scalar(
        select(MediaAsset.storage_key)
        .join(Video, Video.asset_id == MediaAsset.id)
        .where(Video.id == found)
    )


def advance(session: Session, job_id: UUID, percent: int) -> bool:
    """Record progress; it never runs backwards, not even in a second attempt.

    Returns:
        False when it does not run any more: it was cancelled, or deleted with its video.
    """
    found = session.execute(
        update(TranscodingJob)
        .where(TranscodingJob.id == job_id, TranscodingJob.state == "running")
        .values(progress=func.greatest(TranscodingJob.progress, percent))
        .returning(TranscodingJob.id)
    ).scalar()
    return found is not None


def succeed(session: Session, job_id: UUID, finished: FinishedVideo) -> bool:
    """Publish: replace the video's renditions and mark it ready, all or nothing.

    Returns:
        False when the job was deleted or cancelled meanwhile: nothing was published.
    """
    job = session.get(TranscodingJob, job_id, with_for_update=True)
    if job is None or job.state not in OPEN:
        return False
    session.execute(delete(VideoRendition).where(VideoRendition.video_id == job.video_id))
    session.add_all(
        VideoRendition(id=new_id(), video_id=job.video_id, job_id=job.id, **asdict(rendition))
        for rendition in finished.renditions
    )
    video = session.get_one(Video, job.video_id, with_for_update=True)
    video.state = "ready"
    video.duration_seconds = finished.duration_seconds
    video.width, video.height = finished.width, finished.height
    video.poster_key = finished.poster_key
    video.published_job_id = job.id
    job.state, job.progress = "succeeded", 100
    job.cpu_seconds = finished.cpu_seconds
    job.finished_at = session.scalar(select(func.now()))
    session.flush()
    return True


def fail(session: Session, job_id: UUID, code: str, message: str) -> None:
    """End a job without a result. A video that plays already keeps playing.

    Args:
        session: the organization's.
        job_id: the job; nothing happens when it has ended or was deleted.
        code: stable snake_case.
        message: for the teacher.
    """
    job = session.get(TranscodingJob, job_id, with_for_update={"key_share": True})
    if job is None or job.state not in OPEN:
        return
    job.state, job.error_code, job.error_message = "failed", code, message
    job.finished_at = session.scalar(select(func.now()))
    session.execute(
        update(Video)
        .where(Video.id == job.video_id, Video.published_job_id.is_(None))
        .values(state="failed")
    )
    session.flush()
