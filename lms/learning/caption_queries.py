"""Captions as players get them. Who may, was decided when the video was found."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from lms.core.errors import NotFoundError
from lms.media.captions.models import VideoCaption


def list_captions(session: Session, video_id: UUID) -> Sequence[Row[UUID, str, str, str]]:
    """Return id, language, kind and label of a video's captions, with one query.

    In the order in which people look for them: by their labels.
    """
    return session.execute(
        select(VideoCaption.id, VideoCaption.language, VideoCaption.kind, VideoCaption.label)
        .where(VideoCaption.video_id == video_id)
        .order_by(VideoCaption.label, VideoCaption.id)
    ).all()


def find_caption(session: Session, video_id: UUID, caption_id: UUID) -> VideoCaption:
    """Return a caption of a video.

    Raises:
        NotFoundError: it was deleted, or is another video's.
    """
    caption = session.scalar(
        select(VideoCaption).where(VideoCaption.id == caption_id, VideoCaption.video_id == video_id)
    )
    if caption is None:
        raise NotFoundError("This video has no such caption; load its playback again.")
    return caption
