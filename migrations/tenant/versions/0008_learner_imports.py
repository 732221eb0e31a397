"""Files of learners whom staff enroll in a run, and what became of each of their rows."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

serves_previous = False
"""Whoever imports, or asks what became of an import, needs the tables."""

TABLES = ("learner_imports", "learner_import_rows")


def upgrade() -> None:
    """Add them, empty."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "learner_imports",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("dry_run", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("by_admin", sa.Boolean(), nullable=False),
        sa.Column("ignored_columns", postgresql.JSONB(), nullable=False),
        sa.Column("state", sa.Text(), server_default="queued", nullable=False),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("rows_total", sa.BigInteger(), nullable=False),
        sa.Column("enrolled", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("invited", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("refused", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column("created_at", moment, server_default=sa.text("now()"), nullable=False),
        sa.Column("started_at", moment, nullable=True),
        sa.Column("checked_at", moment, nullable=True),
        sa.Column("finished_at", moment, nullable=True),
        *_checks(
            "learner_imports",
            mode_known="mode IN ('all_or_nothing', 'partial')",
            state_known="state IN ('queued', 'running', 'done', 'failed')",
            failure_known="failure IN ('rows_refused', 'gave_up')",
            failed_says_why="(state = 'failed') = (failure IS NOT NULL)",
            finished_has_a_date="(state IN ('done', 'failed')) = (finished_at IS NOT NULL)",
            counts_no_row_twice="enrolled >= 0 AND invited >= 0 AND refused >= 0"
            " AND enrolled + invited + refused <= rows_total",
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["course_runs.id"], name=op.f("fk_learner_imports_run_id_course_runs")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_learner_imports")),
    )
    op.create_index("ix_learner_imports_run_id", "learner_imports", ["run_id"])
    op.create_table(
        "learner_import_rows",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("import_id", sa.Uuid(), nullable=False),
        sa.Column("line", sa.BigInteger(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), server_default=sa.text("'pending'"), nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("enrollment_id", sa.Uuid(), nullable=True),
        *_checks(
            "learner_import_rows",
            outcome_known="outcome IN ('pending', 'enrolled', 'invited', 'refused')",
            refused_says_why="(outcome = 'refused') = (code IS NOT NULL)"
            " AND (code IS NULL) = (message IS NULL)",
        ),
        *(
            sa.ForeignKeyConstraint(
                [column], [f"{table}.id"], name=op.f(f"fk_learner_import_rows_{column}_{table}")
            )
            for column, table in (
                ("import_id", "learner_imports"),
                ("user_id", "users"),
                ("enrollment_id", "enrollments"),
            )
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_learner_import_rows")),
        sa.UniqueConstraint("import_id", "id", name=op.f("uq_learner_import_rows_import_id_id")),
    )
    for table in TABLES:
        op.execute(f'GRANT SELECT, INSERT, UPDATE, DELETE ON "{table}" TO __organization_role__')


def _checks(table: str, **conditions: str) -> list[sa.CheckConstraint]:
    return [
        sa.CheckConstraint(condition, name=op.f(f"ck_{table}_{name}"))
        for name, condition in conditions.items()
    ]
