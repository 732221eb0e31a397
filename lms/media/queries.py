"""Reading videos and what was made of them."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from lms.core.errors import NotFoundError
from lms.core.pagination import DEFAULT_LIMIT, Page, paginate
from lms.media.models import TranscodingJob, Video, VideoRendition


def get_video(session: Session, video_id: UUID) -> Video:
    """Return a video.

    Raises:
        NotFoundError: there is none.
    """
    video = session.get(Video, video_id)
    if video is None:
        raise NotFoundError("There is no such video.")
    return video


def list_renditions(
    session: Session, video_id: UUID, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None
) -> Page[VideoRendition]:
    """Return a page of a video's published renditions.

    Raises:
        NotFoundError: there is no such video.
    """
    get_video(session, video_id)
    query = select(VideoRendition).where(VideoRendition.video_id == video_id)
    return paginate(session, query, VideoRendition.id, limit=limit, cursor=cursor)


def list_transcoding_jobs(
    session: Session, video_id: UUID, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None
) -> Page[TranscodingJob]:
    """Return a page of a video's conversions, the newest first.

    Raises:
        NotFoundError: there is no such video.
    """
    get_video(session, video_id)
    query = select(TranscodingJob).where(TranscodingJob.video_id == video_id)
    return paginate(
        session, query, TranscodingJob.id, limit=limit, cursor=cursor, newest_first=True
    )
