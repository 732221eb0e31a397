"""Super-admins: loading who acts, signing in, and making the first one."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from lms.core.actor import PlatformActor

FIND_ADMIN = text("""
    SELECT a.id
      FROM platform.admins a JOIN platform.admin_sessions s ON s.admin_id = a.id
     WHERE a.id = :admin_id AND a.deactivated_at IS NULL
       AND s.id = :session_id AND s.revoked_at IS NULL AND s.expires_at > now()
""")


def load_platform_actor(session: Session, admin_id: UUID, session_id: UUID) -> PlatformActor | None:
    """Return the super-admin of a live sign-in, or None when it ended."""
    row = session.execute(FIND_ADMIN, {"admin_id": admin_id, "session_id": session_id}).first()
    return None if row is None else PlatformActor(row.id, session_id)
