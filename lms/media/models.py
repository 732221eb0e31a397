"""Bytes in storage, and the videos made from them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Float, ForeignKey, Index, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from tenants.base import TenantBase

ASSET_STATES = ("awaiting_upload", "checking", "ready", "failed")
VIDEO_STATES = ("processing", "ready", "failed")
JOB_STATES = ("queued", "running", "succeeded", "failed")


class MediaAsset(TenantBase):
    """Uploaded bytes. Lessons' media files refer to an asset, and copies of a version share it.

    `size` is in bytes, `sha256` in hex. `kind` is decided by content once the bytes are there.
    """

    __tablename__ = "media_assets"
    __table_args__ = (
        CheckConstraint(
            "state IN ('awaiting_upload', 'checking', 'ready', 'failed')", name="state_known"
        ),
        CheckConstraint("size >= 0", name="size_not_negative"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str]
    content_type: Mapped[str]
    size: Mapped[int]
    sha256: Mapped[str | None]
    storage_key: Mapped[str] = mapped_column(unique=True)
    upload_id: Mapped[str | None]
    state: Mapped[str] = mapped_column(server_default="awaiting_upload")
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    created_by: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Video(TenantBase):
    """The playable side of a video asset. `duration_seconds` and size are known once probed."""

    __tablename__ = "videos"
    __table_args__ = (
        CheckConstraint("state IN ('processing', 'ready', 'failed')", name="state_known"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    asset_id: Mapped[UUID] = mapped_column(ForeignKey("media_assets.id"), unique=True)
    state: Mapped[str] = mapped_column(server_default="processing")
    duration_seconds: Mapped[float | None] = mapped_column(Float)
    width: Mapped[int | None]
    height: Mapped[int | None]
    poster_key: Mapped[str | None]
    published_job_id: Mapped[UUID | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class VideoRendition(TenantBase):
    """One resolution of a video: a fragmented MP4 and a byte-range playlist.

    `bytes` is the object's size; `bandwidth` (peak) and `average_bandwidth` are bits per second.
    """

    __tablename__ = "video_renditions"
    __table_args__ = (
        UniqueConstraint("video_id", "label"),
        CheckConstraint("bytes > 0 AND bandwidth > 0 AND average_bandwidth > 0", name="positive"),
        CheckConstraint("width > 0 AND height > 0", name="has_a_picture"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    video_id: Mapped[UUID] = mapped_column(ForeignKey("videos.id", ondelete="CASCADE"))
    job_id: Mapped[UUID] = mapped_column(ForeignKey("transcoding_jobs.id"))
    label: Mapped[str]
    width: Mapped[int]
    height: Mapped[int]
    bytes: Mapped[int]
    bandwidth: Mapped[int]
    average_bandwidth: Mapped[int]
    codecs: Mapped[str]
    frame_rate: Mapped[float] = mapped_column(Float)
    media_key: Mapped[str]
    playlist_key: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class TranscodingJob(TenantBase):
    """The domain's side of one transcoding: what people see. The queue's side is `platform.work`.

    `progress` is percent and never runs backwards; `fence` is the claim that made the outcome;
    `cpu_seconds` is what the encoder and its probes used.
    """

    __tablename__ = "transcoding_jobs"
    __table_args__ = (
        CheckConstraint(
            "state IN ('queued', 'running', 'succeeded', 'failed')", name="state_known"
        ),
        CheckConstraint("progress BETWEEN 0 AND 100", name="progress_percent"),
        Index(
            "uq_transcoding_jobs_open",
            "video_id",
            unique=True,
            postgresql_where=text("state IN ('queued', 'running')"),
        ),
        Index("ix_transcoding_jobs_video_id", "video_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    video_id: Mapped[UUID] = mapped_column(ForeignKey("videos.id"))
    state: Mapped[str] = mapped_column(server_default="queued")
    attempt: Mapped[int] = mapped_column(server_default="0")
    fence: Mapped[int] = mapped_column(server_default="0")
    progress: Mapped[int] = mapped_column(server_default="0")
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    cpu_seconds: Mapped[float | None] = mapped_column(Float)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
