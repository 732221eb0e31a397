"""Finding who acts, for the edge: one query a request."""

from __future__ import annotations

from lms.core.actor import Actor, ActorQuery

FIND_USER = ActorQuery(
    """
    SELECT u.id, u.account_type
      FROM users u JOIN user_sessions s ON s.user_id = u.id
     WHERE u.id = $1 AND u.deactivated_at IS NULL
       AND s.id = $2 AND s.revoked_at IS NULL AND s.expires_at > now()
    """,
    lambda row, session_id: Actor(row[0], row[1], session_id),
)
"""The user of a live sign-in."""
