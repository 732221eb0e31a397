"""Captions of videos: text, small enough to live in the database."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from tenants.base import TenantBase

CAPTION_KINDS = ("subtitles", "captions")


class VideoCaption(TenantBase):
    """What is said in a video, in one language; `captions` also tell what is to be heard.

    `language` is a canonical BCP 47 tag, `content` a whole WebVTT file as `captions.files` writes
    it, `label` what people choose by. Captions hang on the video, which versions of a course share,
    so they change for all of these at once.
    """

    __tablename__ = "video_captions"
    __table_args__ = (
        UniqueConstraint("video_id", "language", "kind"),
        UniqueConstraint("video_id", "label"),
        CheckConstraint("kind IN ('subtitles', 'captions')", name="kind_known"),
        CheckConstraint("label !~ '[\"\\r\\n]'", name="label_fits_a_playlist"),
        CheckConstraint("octet_length(content) <= 524288", name="content_is_small"),
        CheckConstraint("cues > 0", name="has_cues"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    video_id: Mapped[UUID] = mapped_column(ForeignKey("videos.id", ondelete="CASCADE"))
    language: Mapped[str]
    kind: Mapped[str]
    label: Mapped[str]
    content: Mapped[str]
    cues: Mapped[int]
    created_by: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    version: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - SQLAlchemy's declarative form
