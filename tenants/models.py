"""Shared tables: organizations, their domains, the queue of work and what it costs."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Date, Float, ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from tenants.base import PlatformBase

ORGANIZATION_STATES = ("provisioning", "active", "suspended", "deleting")
WORK_STATES = ("waiting", "running", "done", "failed")


class Organization(PlatformBase):
    """A company with an academy of its own.

    `revision` is the tenant migration its schema is at; it changes in the same transaction as the
    schema. `settings` holds what front ends and jobs read (the transcoding ladder, for example).
    """

    __tablename__ = "organizations"
    __table_args__ = (
        CheckConstraint(
            "state IN ('provisioning', 'active', 'suspended', 'deleting')", name="state_known"
        ),
        CheckConstraint("slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'", name="slug_host_label"),
        CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency_iso4217"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    state: Mapped[str] = mapped_column(server_default="provisioning")
    revision: Mapped[str]
    currency: Mapped[str]
    time_zone: Mapped[str] = mapped_column(server_default="UTC")
    locale: Mapped[str] = mapped_column(server_default="en")
    settings: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    version: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    suspended_at: Mapped[datetime | None]
    suspended_reason: Mapped[str | None]

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - SQLAlchemy's declarative form


class OrganizationDomain(PlatformBase):
    """A custom host of an organization. Only verified domains resolve."""

    __tablename__ = "organization_domains"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("platform.organizations.id"))
    host: Mapped[str] = mapped_column(unique=True)
    verified_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class SpareSchema(PlatformBase):
    """A schema with role, tables and grants that no organization has yet; see `tenants.spares`.

    `id` becomes the organization's, `revision` is the tenant migration that it is at, `login_role`
    who may change into its role. The owner's alone: no role is granted anything on it.
    """

    __tablename__ = "spare_schemas"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    revision: Mapped[str]
    login_role: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Work(PlatformBase):
    """One thing to be done: the only queue. Redis merely rings when rows arrive.

    A row is written in the business transaction. The dispatcher hands due rows to RQ
    (`handed_out_at`, `handout`), a worker claims by compare-and-set: `fence` grows by one and
    `lease_until` is set on PostgreSQL's clock. Whoever finishes must still hold that fence, so
    two workers can never both publish. `claims` counts them since the work was last (re)started by
    a person: work that takes its workers down with it is given up.
    """

    __tablename__ = "work"
    __table_args__ = (
        CheckConstraint("state IN ('waiting', 'running', 'done', 'failed')", name="state_known"),
        CheckConstraint("queue IN ('media', 'default')", name="queue_known"),
        CheckConstraint(
            "(state = 'running') = (lease_until IS NOT NULL)", name="running_has_a_lease"
        ),
        Index(
            "ix_work_due",
            *("queue", "organization_id", "due_at", "id"),
            postgresql_where=text("state = 'waiting' AND handed_out_at IS NULL"),
        ),
        Index("ix_work_leases", "lease_until", postgresql_where=text("state = 'running'")),
        Index("ix_work_organization", "organization_id", "state", "queue"),
        Index(
            "uq_work_open_subject",
            "organization_id",
            "kind",
            "subject_id",
            unique=True,
            postgresql_where=text("state IN ('waiting', 'running')"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organization_id: Mapped[UUID]
    queue: Mapped[str]
    kind: Mapped[str]
    subject_id: Mapped[UUID]
    state: Mapped[str] = mapped_column(server_default="waiting")
    due_at: Mapped[datetime] = mapped_column(server_default=func.now())
    handout: Mapped[int] = mapped_column(server_default="0")
    handed_out_at: Mapped[datetime | None]
    lease_until: Mapped[datetime | None]
    fence: Mapped[int] = mapped_column(server_default="0")
    claims: Mapped[int] = mapped_column(server_default="0")
    attempts: Mapped[int] = mapped_column(server_default="0")
    max_attempts: Mapped[int] = mapped_column(server_default="4")
    error: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]


class TranscodingSettings(PlatformBase):
    """What an organization's admins chose for the conversion of its videos.

    Its role reaches its own row alone. `ladder` holds short sides in pixels, the largest first;
    what is NULL, or without a row, is as the platform has it.
    """

    __tablename__ = "transcoding_settings"
    __table_args__ = (CheckConstraint("longest_video_seconds > 0", name="longest_video_positive"),)

    organization_id: Mapped[UUID] = mapped_column(
        ForeignKey("platform.organizations.id"), primary_key=True
    )
    ladder: Mapped[list[Any] | None]
    longest_video_seconds: Mapped[int | None]
    version: Mapped[int] = mapped_column(server_default="1")


class CpuUsage(PlatformBase):
    """CPU time that an organization's jobs took, by the day (UTC) on which a claim ended.

    What an organization costs outlives its rows of work. Its role reaches its own rows alone.
    """

    __tablename__ = "cpu_usage"
    __table_args__ = (CheckConstraint("seconds >= 0", name="seconds_not_negative"),)

    organization_id: Mapped[UUID] = mapped_column(
        ForeignKey("platform.organizations.id"), primary_key=True
    )
    day: Mapped[date] = mapped_column(Date(), primary_key=True)
    seconds: Mapped[float] = mapped_column(Float())
