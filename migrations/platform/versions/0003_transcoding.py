"""What organizations chose for the conversion of their videos, and the CPU time that it took."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

OWN_ROWS = "current_user = 'o_' || replace(organization_id::text, '-', '')"


def upgrade() -> None:
    """Create both tables; an organization's role reaches its own rows alone."""
    op.create_table(
        "transcoding_settings",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("ladder", postgresql.JSONB(), nullable=True),
        sa.Column("longest_video_seconds", sa.BigInteger(), nullable=True),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.CheckConstraint(
            "longest_video_seconds > 0",
            name=op.f("ck_transcoding_settings_longest_video_positive"),
        ),
        _organization("transcoding_settings"),
        sa.PrimaryKeyConstraint("organization_id", name=op.f("pk_transcoding_settings")),
        schema="platform",
    )
    op.create_table(
        "cpu_usage",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.CheckConstraint("seconds >= 0", name=op.f("ck_cpu_usage_seconds_not_negative")),
        _organization("cpu_usage"),
        sa.PrimaryKeyConstraint("organization_id", "day", name=op.f("pk_cpu_usage")),
        schema="platform",
    )
    for table in ("transcoding_settings", "cpu_usage"):
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON platform.{table} TO platform")
        op.execute(f"GRANT SELECT, INSERT, UPDATE ON platform.{table} TO tenants")
        op.execute(f"ALTER TABLE platform.{table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY everything ON platform.{table} TO platform USING (true)")
        op.execute(f"CREATE POLICY own_rows ON platform.{table} TO tenants USING ({OWN_ROWS})")


def _organization(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["organization_id"],
        ["platform.organizations.id"],
        name=op.f(f"fk_{table}_organization_id_organizations"),
    )
