"""Accounts of an organization's people, their invitations and signed-in sessions."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from tenants.base import TenantBase

ACCOUNT_TYPES = ("student", "instructor", "admin")


class User(TenantBase):
    """A person in one organization. `email` is stored normalised and in lower case.

    `password_hash` (argon2id) is absent until an invitation is accepted. A deactivated user keeps
    their history and can do nothing.
    """

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint(
            "account_type IN ('student', 'instructor', 'admin')", name="account_type_known"
        ),
        CheckConstraint("email = lower(email)", name="email_lower_case"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    account_type: Mapped[str]
    password_hash: Mapped[str | None]
    deactivated_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - SQLAlchemy's declarative form


class Invitation(TenantBase):
    """A single-use, expiring way for a user to set their first password. Only its hash is kept."""

    __tablename__ = "invitations"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), index=True)
    token_hash: Mapped[str] = mapped_column(unique=True)
    expires_at: Mapped[datetime]
    accepted_at: Mapped[datetime | None]
    created_by: Mapped[UUID | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class UserSession(TenantBase):
    """A family of refresh tokens. Each refresh replaces `refresh_id`; an old one revokes all."""

    __tablename__ = "user_sessions"
    __table_args__ = (
        Index("ix_user_sessions_live", "user_id", postgresql_where=text("revoked_at IS NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    refresh_id: Mapped[UUID]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    revoked_reason: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
