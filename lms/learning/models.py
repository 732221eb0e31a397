"""What learners did, lesson by lesson."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Float, ForeignKey, func, text
from sqlalchemy.dialects.postgresql import INT4MULTIRANGE
from sqlalchemy.dialects.postgresql.ranges import MultiRange
from sqlalchemy.orm import Mapped, mapped_column

from tenants.base import TenantBase


class LessonProgress(TenantBase):
    """Progress of one enrollment in one lesson, kept by lineage so that it survives an upgrade.

    `watched` holds whole seconds of the video as intervals: skipping ahead does not count,
    re-watching does not double. `dwell_seconds` is time spent, `position_seconds` where to resume.
    `completed_at` is written once.
    """

    __tablename__ = "lesson_progress"
    __table_args__ = (
        CheckConstraint(
            "(completed_at IS NULL) = (completed_how IS NULL)", name="completed_says_how"
        ),
        CheckConstraint("position_seconds >= 0", name="position_not_negative"),
    )

    enrollment_id: Mapped[UUID] = mapped_column(ForeignKey("enrollments.id"), primary_key=True)
    lesson_lineage_id: Mapped[UUID] = mapped_column(primary_key=True)
    position_seconds: Mapped[float] = mapped_column(Float, server_default="0")
    watched: Mapped[MultiRange[int]] = mapped_column(
        INT4MULTIRANGE, server_default=text("'{}'::int4multirange")
    )
    dwell_seconds: Mapped[int] = mapped_column(server_default="0")
    completed_at: Mapped[datetime | None]
    completed_how: Mapped[str | None]
    first_activity_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_activity_at: Mapped[datetime] = mapped_column(server_default=func.now())
