"""Captions of videos."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

serves_previous = False
"""Whoever plays a video is told of its captions."""


def upgrade() -> None:
    """Add the table, empty."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "video_captions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("video_id", sa.Uuid(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("cues", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", moment, server_default=sa.text("now()"), nullable=False),
        *(
            sa.CheckConstraint(condition, name=op.f(f"ck_video_captions_{name}"))
            for name, condition in (
                ("kind_known", "kind IN ('subtitles', 'captions')"),
                ("label_fits_a_playlist", "label !~ '[\"\\r\\n]'"),
                ("content_is_small", "octet_length(content) <= 524288"),
                ("has_cues", "cues > 0"),
            )
        ),
        sa.ForeignKeyConstraint(
            ["video_id"],
            ["videos.id"],
            name=op.f("fk_video_captions_video_id_videos"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["created_by"], ["users.id"], name=op.f("fk_video_captions_created_by_users")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_video_captions")),
        sa.UniqueConstraint(
            "video_id", "language", "kind", name=op.f("uq_video_captions_video_id_language_kind")
        ),
        sa.UniqueConstraint("video_id", "label", name=op.f("uq_video_captions_video_id_label")),
    )
    op.execute('GRANT SELECT, INSERT, UPDATE, DELETE ON "video_captions" TO __organization_role__')
