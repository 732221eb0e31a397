"""Loading who acts, for the edge: one query a request."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from lms.core.actor import Actor

FIND_ACTOR = text("""
    SELECT u.id, u.account_type
      FROM users u JOIN user_sessions s ON s.user_id = u.id
     WHERE u.id = :user_id AND u.deactivated_at IS NULL
       AND s.id = :session_id AND s.revoked_at IS NULL AND s.expires_at > now()
""")


def load_actor(session: Session, user_id: UUID, session_id: UUID) -> Actor | None:
    """Return the user of a live sign-in, or None when it ended or the user is deactivated."""
    row = session.execute(FIND_ACTOR, {"user_id": user_id, "session_id": session_id}).first()
    return None if row is None else Actor(row.id, row.account_type, session_id)
