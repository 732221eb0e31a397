"""Writing the audit log of an organization."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session
from structlog.contextvars import get_contextvars

from lms.core.ids import new_id
from lms.core.models import AuditEvent


def record(
    session: Session,
    action: str,
    subject: tuple[str, UUID],
    *,
    actor_id: UUID | None,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """Write one audit event in the transaction of what it tells about.

    Args:
        session: the organization's session.
        action: verb of the operation, `user.deactivate` for example.
        subject: type and id of what was changed.
        actor_id: the user, or None for the platform and its jobs.
        before: JSON-ready state before.
        after: JSON-ready state after.
    """
    session.add(
        AuditEvent(
            id=new_id(),
            actor_id=actor_id,
            action=action,
            subject_type=subject[0],
            subject_id=subject[1],
            before=before,
            after=after,
            request_id=get_contextvars().get("request_id"),
        )
    )
