"""Tables that every domain of an organization writes: idempotency keys and the audit log."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, PrimaryKeyConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from tenants.base import INSERT_ONLY, TenantBase


class IdempotencyKey(TenantBase):
    """A client's promise that repeating a request means the same request.

    The row is inserted first; a second request with the same key waits on the unique index. The
    response is stored in the transaction of its effect. `subject_id` is chosen with the row, so a
    retry after a crash resumes the same payment. `claimed_until` keeps others with the key out
    while a request in steps runs.
    """

    __tablename__ = "idempotency_keys"
    __table_args__ = (
        PrimaryKeyConstraint("user_id", "operation", "key"),
        CheckConstraint("length(key) BETWEEN 1 AND 255", name="key_length"),
        CheckConstraint("(status IS NULL) = (body IS NULL)", name="stored_whole"),
    )

    user_id: Mapped[UUID]
    operation: Mapped[str]
    key: Mapped[str]
    request_hash: Mapped[str]
    subject_id: Mapped[UUID]
    status: Mapped[int | None]
    body: Mapped[str | None]
    content_type: Mapped[str | None]
    headers: Mapped[dict[str, Any] | None]
    claimed_until: Mapped[datetime]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class AuditEvent(TenantBase):
    """Who did what to which thing, with the state before and after. Never changed: by grant."""

    __tablename__ = "audit_events"
    __table_args__ = ({"info": INSERT_ONLY},)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=func.now())
    actor_id: Mapped[UUID | None]
    action: Mapped[str]
    subject_type: Mapped[str]
    subject_id: Mapped[UUID]
    before: Mapped[dict[str, Any] | None]
    after: Mapped[dict[str, Any] | None]
    request_id: Mapped[str | None]
