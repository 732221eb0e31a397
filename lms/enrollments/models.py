"""Enrollments of users in course runs, and the history of their states."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from tenants.base import INSERT_ONLY, TenantBase

LIVE_STATES = ("pending", "waitlisted", "active", "suspended", "completed")
SEATED_STATES = ("pending", "active", "suspended", "completed")


class Enrollment(TenantBase):
    """A user's place in a run. One live enrollment per user and run; a new one counts `attempt`.

    `version_id` is the run's pinned version, `percent` what progress last computed, `hold_until`
    the moment at which an unpaid seat is given back.
    """

    __tablename__ = "enrollments"
    __table_args__ = (
        UniqueConstraint("user_id", "run_id", "attempt"),
        CheckConstraint(
            "state IN ('pending', 'waitlisted', 'active', 'completed', 'withdrawn', 'suspended',"
            " 'expired', 'cancelled', 'transferred')",
            name="state_known",
        ),
        CheckConstraint("percent BETWEEN 0 AND 100", name="percent_range"),
        CheckConstraint("state <> 'completed' OR completed_at IS NOT NULL", name="completed_dated"),
        Index(
            "uq_enrollments_live",
            "user_id",
            "run_id",
            unique=True,
            postgresql_where=text(
                "state IN ('pending', 'waitlisted', 'active', 'suspended', 'completed')"
            ),
        ),
        Index("ix_enrollments_run_id", "run_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    run_id: Mapped[UUID] = mapped_column(ForeignKey("course_runs.id"))
    version_id: Mapped[UUID] = mapped_column(ForeignKey("published_versions.version_id"))
    payment_id: Mapped[UUID | None] = mapped_column(ForeignKey("payments.id"), unique=True)
    attempt: Mapped[int] = mapped_column(server_default="1")
    state: Mapped[str]
    percent: Mapped[int] = mapped_column(server_default="0")
    hold_until: Mapped[datetime | None]
    activated_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    completed_rules_hash: Mapped[str | None]
    ended_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class EnrollmentChange(TenantBase):
    """One step of an enrollment's life: who, when, why. Insert-only by grant."""

    __tablename__ = "enrollment_changes"
    __table_args__ = (
        Index("ix_enrollment_changes_enrollment_id", "enrollment_id"),
        {"info": INSERT_ONLY},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    enrollment_id: Mapped[UUID] = mapped_column(ForeignKey("enrollments.id"))
    from_state: Mapped[str | None]
    to_state: Mapped[str]
    actor_id: Mapped[UUID | None]
    reason: Mapped[str]
    at: Mapped[datetime] = mapped_column(server_default=func.now())
