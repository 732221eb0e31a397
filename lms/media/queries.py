"""Reading what was made of videos. Who may, was decided when the video was found."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from lms.core.pagination import DEFAULT_LIMIT, Page, paginate
from lms.media.models import TranscodingJob, Video, VideoRendition


def list_renditions(
    session: Session, video: Video, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None
) -> Page[VideoRendition]:
    """Return a page of a video's published renditions."""
    query = select(VideoRendition).where(VideoRendition.video_id == video.id)
    return paginate(session, query, VideoRendition.id, limit=limit, cursor=cursor)


def list_transcoding_jobs(
    session: Session, video: Video, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None
) -> Page[TranscodingJob]:
    """Return a page of a video's conversions, the newest first."""
    query = select(TranscodingJob).where(TranscodingJob.video_id == video.id)
    return paginate(
        session, query, TranscodingJob.id, limit=limit, cursor=cursor, newest_first=True
    )
