"""Courses, their versions and content, and the runs that deliver them."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from tenants.base import INSERT_ONLY, TenantBase

LESSON_KINDS = ("text", "video", "document", "audio", "link", "live_session")
AVAILABLE_AFTER = ("run_start", "activation")
COMPLETION_RULES = ("viewed", "dwell", "watched", "marked_by_learner", "marked_by_staff")
RUN_STATES = ("draft", "scheduled", "archived", "cancelled")


class Course(TenantBase):
    """What is taught. Belongs to one instructor; others may co-teach."""

    __tablename__ = "courses"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    instructor_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), index=True)
    title: Mapped[str]
    summary: Mapped[str] = mapped_column(server_default="")
    language: Mapped[str] = mapped_column(server_default="en")
    version: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - SQLAlchemy's declarative form


class CourseInstructor(TenantBase):
    """Who may edit and run a course: its owner and co-instructors."""

    __tablename__ = "course_instructors"

    course_id: Mapped[UUID] = mapped_column(
        ForeignKey("courses.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True, index=True)


class CourseVersion(TenantBase):
    """One state of a course's content: draft, then published (frozen), then archived.

    `number` counts up per course. At most one draft per course.
    """

    __tablename__ = "course_versions"
    __table_args__ = (
        UniqueConstraint("course_id", "number"),
        UniqueConstraint("id", "course_id"),
        CheckConstraint("state IN ('draft', 'published', 'archived')", name="state_known"),
        CheckConstraint("(state = 'draft') = (published_at IS NULL)", name="published_has_a_date"),
        Index(
            "uq_course_versions_draft",
            "course_id",
            unique=True,
            postgresql_where=text("state = 'draft'"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    course_id: Mapped[UUID] = mapped_column(ForeignKey("courses.id", ondelete="CASCADE"))
    number: Mapped[int]
    label: Mapped[str] = mapped_column(server_default="")
    state: Mapped[str] = mapped_column(server_default="draft")
    base_version_id: Mapped[UUID | None] = mapped_column(ForeignKey("course_versions.id"))
    published_at: Mapped[datetime | None]
    archived_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - SQLAlchemy's declarative form


class PublishedVersion(TenantBase):
    """The frozen content that runs and learners read: one JSON document per published version.

    The organization's role may insert and read, nothing else, so what learners see cannot change.
    `outline` holds modules, lessons and media by id and kind; `rules` what completion needs per
    lesson lineage; `content_hash` is the SHA-256 of the canonical JSON of both.
    """

    __tablename__ = "published_versions"
    __table_args__ = (
        ForeignKeyConstraint(
            ["version_id", "course_id"], ["course_versions.id", "course_versions.course_id"]
        ),
        UniqueConstraint("version_id", "course_id"),
        {"info": INSERT_ONLY},
    )

    version_id: Mapped[UUID] = mapped_column(primary_key=True)
    course_id: Mapped[UUID]
    content_hash: Mapped[str]
    outline: Mapped[dict[str, Any]]
    rules: Mapped[dict[str, Any]]
    published_by: Mapped[UUID]
    published_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Module(TenantBase):
    """A part of a version. `lineage_id` stays the same when a version is copied.

    In a `sequential` one each lesson opens once the required ones before it are done.
    """

    __tablename__ = "modules"
    __table_args__ = (
        UniqueConstraint("version_id", "lineage_id"),
        UniqueConstraint("id", "version_id"),
        Index("ix_modules_order", "version_id", "position"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    version_id: Mapped[UUID] = mapped_column(ForeignKey("course_versions.id", ondelete="CASCADE"))
    lineage_id: Mapped[UUID]
    title: Mapped[str]
    summary: Mapped[str] = mapped_column(server_default="")
    sequential: Mapped[bool] = mapped_column(server_default=text("false"))
    position: Mapped[int]
    version: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - SQLAlchemy's declarative form


class Lesson(TenantBase):
    """What is learned in one sitting.

    `content` is Markdown. `completion` is `{"rule": ...}` with the rule's own numbers:
    `{"rule": "watched", "percent": 90}`, `{"rule": "dwell", "seconds": 60}`. `weight` counts in
    the percentage only when `required`. `estimated_seconds` is for planning. `availability` is
    `{"after": "run_start" | "activation", "days": ...}`, None when it is open from the start.
    """

    __tablename__ = "lessons"
    __table_args__ = (
        UniqueConstraint("version_id", "lineage_id"),
        ForeignKeyConstraint(
            ["module_id", "version_id"], ["modules.id", "modules.version_id"], ondelete="CASCADE"
        ),
        CheckConstraint(
            "kind IN ('text', 'video', 'document', 'audio', 'link', 'live_session')",
            name="kind_known",
        ),
        CheckConstraint("weight BETWEEN 1 AND 1000", name="weight_range"),
        Index("ix_lessons_order", "module_id", "position"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    module_id: Mapped[UUID]
    version_id: Mapped[UUID]
    lineage_id: Mapped[UUID]
    kind: Mapped[str]
    title: Mapped[str]
    content: Mapped[str] = mapped_column(server_default="")
    estimated_seconds: Mapped[int] = mapped_column(server_default="0")
    required: Mapped[bool] = mapped_column(server_default=text("true"))
    preview: Mapped[bool] = mapped_column(server_default=text("false"))
    weight: Mapped[int] = mapped_column(server_default="1")
    completion: Mapped[dict[str, Any]]
    availability: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    position: Mapped[int]
    version: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - SQLAlchemy's declarative form


class MediaFile(TenantBase):
    """A file of one lesson. The bytes, and a video's renditions, hang on the shared asset."""

    __tablename__ = "media_files"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    lesson_id: Mapped[UUID] = mapped_column(
        ForeignKey("lessons.id", ondelete="CASCADE"), index=True
    )
    asset_id: Mapped[UUID] = mapped_column(ForeignKey("media_assets.id"), index=True)
    file_name: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class CourseRun(TenantBase):
    """A scheduled delivery of one published version to one cohort.

    `price_amount` is in minor units of `currency`, 0 is free. `refund_policy` is a list of
    `{"until": RFC 3339, "percent": 0..100}`. The phase (upcoming, enrollment open, ...) is derived
    from the dates by the database's clock and stored nowhere. Learners may read the content until
    `access_ends_at`, or for ever when that is None.
    """

    __tablename__ = "course_runs"
    __table_args__ = (
        ForeignKeyConstraint(
            ["version_id", "course_id"],
            ["published_versions.version_id", "published_versions.course_id"],
            name="fk_course_runs_published_version",
        ),
        CheckConstraint(
            "state IN ('draft', 'scheduled', 'archived', 'cancelled')", name="state_known"
        ),
        CheckConstraint("starts_at < ends_at", name="starts_before_it_ends"),
        CheckConstraint(
            "enrollment_opens_at < enrollment_closes_at", name="enrollment_opens_before_it_closes"
        ),
        CheckConstraint("price_amount >= 0", name="price_not_negative"),
        CheckConstraint("capacity > 0", name="capacity_positive"),
        CheckConstraint("access_ends_at >= ends_at", name="access_ends_after_it"),
        CheckConstraint(
            "(state = 'cancelled') = (cancelled_at IS NOT NULL)", name="cancelled_has_a_date"
        ),
        CheckConstraint(
            "num_nonnulls(cancelled_at, cancelled_by, cancel_reason) IN (0, 3)",
            name="cancelled_by_somebody_for_a_reason",
        ),
        Index("ix_course_runs_course_id", "course_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    course_id: Mapped[UUID] = mapped_column(ForeignKey("courses.id"))
    version_id: Mapped[UUID]
    title: Mapped[str]
    state: Mapped[str] = mapped_column(server_default="scheduled")
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    enrollment_opens_at: Mapped[datetime]
    enrollment_closes_at: Mapped[datetime]
    access_ends_at: Mapped[datetime | None]
    capacity: Mapped[int | None]
    price_amount: Mapped[int] = mapped_column(server_default="0")
    currency: Mapped[str]
    time_zone: Mapped[str] = mapped_column(server_default="UTC")
    refund_policy: Mapped[list[Any]] = mapped_column(server_default=text("'[]'::jsonb"))
    approval_required: Mapped[bool] = mapped_column(server_default=text("false"))
    cancelled_at: Mapped[datetime | None]
    cancelled_by: Mapped[UUID | None]
    cancel_reason: Mapped[str | None]
    version: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - SQLAlchemy's declarative form


class RunSeats(TenantBase):
    """The counter of a run's seats, a row of its own so that enrolling never changes the run.

    `taken` = pending + active + suspended + completed enrollments, `waitlisted` those that wait for
    a seat: one that comes free is theirs, so nobody else takes it. The check makes overselling
    impossible whatever the code does.
    """

    __tablename__ = "run_seats"
    __table_args__ = (
        CheckConstraint("taken >= 0", name="taken_not_negative"),
        CheckConstraint("taken <= capacity", name="never_oversold"),
        CheckConstraint("waitlisted >= 0", name="waitlisted_not_negative"),
    )

    run_id: Mapped[UUID] = mapped_column(
        ForeignKey("course_runs.id", ondelete="CASCADE"), primary_key=True
    )
    capacity: Mapped[int | None]
    taken: Mapped[int] = mapped_column(server_default="0")
    waitlisted: Mapped[int] = mapped_column(server_default="0")
