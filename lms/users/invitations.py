"""Invitations: how a person without a password gets their first one.

The token is shown once, to the one who invites; only its SHA-256 is stored.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from lms.core import queue
from lms.core.clock import now
from lms.core.ids import new_id
from lms.core.queue import Doorbell
from lms.users.errors import InvalidInvitationError
from lms.users.models import Invitation
from lms.users.sign_in import Credentials

LIFETIME = timedelta(days=7)

FIND_OPEN = text("""
    SELECT i.user_id, u.email
      FROM invitations i JOIN users u ON u.id = i.user_id
     WHERE i.token_hash = :token_hash AND i.accepted_at IS NULL AND i.expires_at > now()
       AND u.deactivated_at IS NULL
""")
REPLACE = text("""
    DELETE FROM invitations WHERE user_id = :user_id AND accepted_at IS NULL
""")
# The account is locked first, as it is when an admin invites again.
JOIN = text("""
    UPDATE users u
       SET password_hash = :password_hash, name = COALESCE(:name, u.name), version = u.version + 1
      FROM invitations i
     WHERE i.token_hash = :token_hash AND u.id = i.user_id
       AND u.password_hash IS NULL AND u.deactivated_at IS NULL
 RETURNING u.id
""")
ACCEPT = text("""
    UPDATE invitations SET accepted_at = now()
     WHERE token_hash = :token_hash AND accepted_at IS NULL AND expires_at > now()
 RETURNING id
""")


@dataclass(frozen=True, slots=True)
class IssuedInvitation:
    """What the one who invites passes on.

    Attributes:
        token: the secret, shown once.
        expires_at: UTC.
    """

    token: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Invitee:
    """Whom an open invitation is for."""

    user_id: UUID
    email: str


def issue(session: Session, user_id: UUID, *, created_by: UUID | None) -> IssuedInvitation:
    """Make an invitation of seven days; it replaces the open ones of the same person.

    Args:
        session: the organization's.
        user_id: whom it is for.
        created_by: the inviting user; None for the platform.
    """
    session.execute(REPLACE, {"user_id": user_id})
    issued = IssuedInvitation(secrets.token_urlsafe(32), now() + LIFETIME)
    session.add(
        Invitation(
            id=new_id(),
            user_id=user_id,
            token_hash=_digest(issued.token),
            expires_at=issued.expires_at,
            created_by=created_by,
        )
    )
    return issued


def find_invitee(session: Session, token: str) -> Invitee:
    """Return whom an open invitation is for.

    Raises:
        InvalidInvitationError: unknown, used, replaced, expired, or for somebody deactivated.
    """
    row = session.execute(FIND_OPEN, {"token_hash": _digest(token)}).first()
    if row is None:
        raise InvalidInvitationError
    return Invitee(row.user_id, row.email)


def accept(
    session: Session, doorbell: Doorbell, token: str, password_hash: str, *, name: str | None
) -> Credentials:
    """Use an invitation up and set the first password; seats that waited for it become active.

    Args:
        session: the organization's.
        doorbell: of the queue that enrolls who was invited.
        token: as issued.
        password_hash: made outside the transaction.
        name: replaces the name that the inviting admin gave, unless None.

    Returns:
        Credentials with which the first sign-in can begin.

    Raises:
        InvalidInvitationError: it does not hold, or was used or replaced a moment ago.
    """
    token_hash = _digest(token)
    joined = session.execute(
        JOIN, {"token_hash": token_hash, "password_hash": password_hash, "name": name}
    ).first()
    accepted = session.execute(ACCEPT, {"token_hash": token_hash}).first()
    if joined is None or accepted is None:
        raise InvalidInvitationError
    queue.enqueue(session, doorbell, queue.ENROLL_INVITED, joined.id)
    return Credentials(joined.id, password_hash)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
