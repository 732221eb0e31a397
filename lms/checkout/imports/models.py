"""Imports of learners into runs, and what became of each row of their files."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from tenants.base import TenantBase

Mode = Literal["all_or_nothing", "partial"]
MODES: tuple[Mode, ...] = ("all_or_nothing", "partial")
STATES = ("queued", "running", "done", "failed")
OUTCOMES = ("pending", "enrolled", "invited", "refused")
ROWS_REFUSED = "rows_refused"
GAVE_UP = "gave_up"
FAILURES = (ROWS_REFUSED, GAVE_UP)


class LearnerImport(TenantBase):
    """A file of learners whom staff enroll in a run, worked off in the background.

    `by_admin` is what its maker was when they asked; the work goes by what they are when it is
    done. The counts are of rows by outcome; a row is pending until it is counted. `checked_at` is
    when all rows were looked at, before anything was done.
    """

    __tablename__ = "learner_imports"
    __table_args__ = (
        CheckConstraint("mode IN ('all_or_nothing', 'partial')", name="mode_known"),
        CheckConstraint("state IN ('queued', 'running', 'done', 'failed')", name="state_known"),
        CheckConstraint("failure IN ('rows_refused', 'gave_up')", name="failure_known"),
        CheckConstraint("(state = 'failed') = (failure IS NOT NULL)", name="failed_says_why"),
        CheckConstraint(
            "(state IN ('done', 'failed')) = (finished_at IS NOT NULL)", name="finished_has_a_date"
        ),
        CheckConstraint(
            "enrolled >= 0 AND invited >= 0 AND refused >= 0"
            " AND enrolled + invited + refused <= rows_total",
            name="counts_no_row_twice",
        ),
        Index("ix_learner_imports_run_id", "run_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    run_id: Mapped[UUID] = mapped_column(ForeignKey("course_runs.id"))
    mode: Mapped[str]
    dry_run: Mapped[bool]
    reason: Mapped[str]
    by_admin: Mapped[bool]
    ignored_columns: Mapped[list[Any]]
    state: Mapped[str] = mapped_column(server_default="queued")
    failure: Mapped[str | None]
    rows_total: Mapped[int]
    enrolled: Mapped[int] = mapped_column(server_default="0")
    invited: Mapped[int] = mapped_column(server_default="0")
    refused: Mapped[int] = mapped_column(server_default="0")
    created_by: Mapped[UUID]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[datetime | None]
    checked_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    @property
    def rows_done(self) -> int:
        """How many rows are no longer pending."""
        return self.enrolled + self.invited + self.refused


class LearnerImportRow(TenantBase):
    """One row of a file, and what became of it.

    `email` and `name` are as written, cut; once checked the address is normalised. They are
    personal data, kept nowhere else of an import. Ids rise in the file's order.
    """

    __tablename__ = "learner_import_rows"
    __table_args__ = (
        CheckConstraint(
            "outcome IN ('pending', 'enrolled', 'invited', 'refused')", name="outcome_known"
        ),
        CheckConstraint(
            "(outcome = 'refused') = (code IS NOT NULL) AND (code IS NULL) = (message IS NULL)",
            name="refused_says_why",
        ),
        UniqueConstraint("import_id", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    import_id: Mapped[UUID] = mapped_column(ForeignKey("learner_imports.id"))
    line: Mapped[int]
    email: Mapped[str]
    name: Mapped[str]
    outcome: Mapped[str] = mapped_column(server_default=text("'pending'"))
    code: Mapped[str | None]
    message: Mapped[str | None]
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    enrollment_id: Mapped[UUID | None] = mapped_column(ForeignKey("enrollments.id"))
