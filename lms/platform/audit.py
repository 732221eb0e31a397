"""Writing the platform's audit log."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session
from structlog.contextvars import get_contextvars

from lms.core.ids import new_id
from lms.platform.models import PlatformAuditEvent


def record(
    session: Session,
    action: str,
    *,
    actor_id: UUID | None,
    organization_id: UUID | None = None,
    detail: dict[str, Any] | None = None,
) -> None:
    """Write one event in the transaction of what it tells about.

    Args:
        session: the platform's, or the owner's while provisioning.
        action: verb of the operation, `organization.suspend` for example.
        actor_id: the super-admin; None for the command line.
        organization_id: the organization that it was done to.
        detail: JSON-ready particulars, without personal data.
    """
    session.add(
        PlatformAuditEvent(
            id=new_id(),
            actor_id=actor_id,
            action=action,
            organization_id=organization_id,
            detail=detail,
            request_id=get_contextvars().get("request_id"),
        )
    )
