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

    `version_id` is the run's pinned version, `percent` what progress last computed. A pending one
    says for what it is `awaiting`; `hold_until` is the moment at which an unpaid seat is given
    back, `offered_until` that of the offer which it was. While waitlisted, its place is that of
    `waitlisted_at`; `autopay_amount` is up to what price, in minor units of the run's currency, the
    learner agreed to be charged from the wallet when a seat comes free, with `autopay_coupon`.
    `accepts_waitlist`: money that comes too late for the seat waits for another. `access_ends_at`
    is this learner's own end of access, which goes before the run's.
    """

    __tablename__ = "enrollments"
    __table_args__ = (
        UniqueConstraint("user_id", "run_id", "attempt"),
        CheckConstraint(
            "state IN ('pending', 'waitlisted', 'active', 'completed', 'withdrawn', 'suspended',"
            " 'expired', 'cancelled', 'transferred')",
            name="state_known",
        ),
        CheckConstraint(
            "awaiting IN ('payment', 'offer', 'approval', 'invitation')", name="awaiting_known"
        ),
        CheckConstraint(
            "(state = 'pending') = (awaiting IS NOT NULL)", name="pending_says_for_what"
        ),
        CheckConstraint(
            "state <> 'waitlisted' OR waitlisted_at IS NOT NULL", name="waiting_has_a_date"
        ),
        CheckConstraint("autopay_amount >= 0", name="autopay_not_negative"),
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
        Index(
            "ix_enrollments_waitlist",
            "run_id",
            "waitlisted_at",
            "id",
            postgresql_where=text("state = 'waitlisted'"),
        ),
        Index(
            "ix_enrollments_pending",
            "run_id",
            "hold_until",
            postgresql_where=text("state = 'pending'"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    run_id: Mapped[UUID] = mapped_column(ForeignKey("course_runs.id"))
    version_id: Mapped[UUID] = mapped_column(ForeignKey("published_versions.version_id"))
    payment_id: Mapped[UUID | None] = mapped_column(ForeignKey("payments.id"), unique=True)
    attempt: Mapped[int] = mapped_column(server_default="1")
    state: Mapped[str]
    percent: Mapped[int] = mapped_column(server_default="0")
    awaiting: Mapped[str | None]
    hold_until: Mapped[datetime | None]
    waitlisted_at: Mapped[datetime | None]
    accepts_waitlist: Mapped[bool] = mapped_column(server_default=text("false"))
    autopay_amount: Mapped[int | None]
    autopay_coupon: Mapped[str | None]
    approved_at: Mapped[datetime | None]
    offered_until: Mapped[datetime | None]
    access_ends_at: Mapped[datetime | None]
    transferred_from_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("enrollments.id"), unique=True
    )
    activated_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    completed_rules_hash: Mapped[str | None]
    ended_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    @property
    def pay_automatically(self) -> bool:
        """Whether the learner agreed to be charged from the wallet for a seat that comes free."""
        return self.autopay_amount is not None


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
