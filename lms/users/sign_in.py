"""Sign-ins: begun with a password, carried on by rotating refresh tokens, ended or revoked.

A sign-in is a row of `user_sessions`. Its `refresh_id` is the one refresh token that holds; using
an older one is taken for theft and ends the sign-in (RFC 9700, 4.14.2).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from lms.core.actor import Actor
from lms.core.errors import UnauthenticatedError
from lms.core.ids import new_id
from lms.users import passwords
from lms.users.emails import normalize_email
from lms.users.errors import (
    CredentialsChangedError,
    InvalidCredentialsError,
    InvalidEmailError,
    RefreshTokenReusedError,
)

T = TypeVar("T")

FIND_CREDENTIALS = text("""
    SELECT id, password_hash FROM users WHERE email = :email AND deactivated_at IS NULL
""")
# The row is locked, so that a deactivation at the same time comes before or after as a whole.
START_SESSION = text("""
    INSERT INTO user_sessions (id, user_id, refresh_id, expires_at)
    SELECT :session_id, u.id, :refresh_id, now() + make_interval(secs => :lifetime)
      FROM users u
     WHERE u.id = :user_id AND u.deactivated_at IS NULL AND u.password_hash = :password_hash
       FOR SHARE
 RETURNING id
""")
REPLACE_HASH = text("""
    UPDATE users SET password_hash = :new WHERE id = :user_id AND password_hash = :old
""")
ROTATE = text("""
    UPDATE user_sessions s SET refresh_id = :next
      FROM users u
     WHERE s.id = :session_id AND s.refresh_id = :presented
       AND s.revoked_at IS NULL AND s.expires_at > now()
       AND u.id = s.user_id AND u.deactivated_at IS NULL
 RETURNING s.user_id
""")
WAS_REPLACED = text("""
    SELECT 1 FROM user_sessions
     WHERE id = :session_id AND refresh_id <> :presented AND revoked_at IS NULL
""")
REVOKE = text("""
    UPDATE user_sessions SET revoked_at = now(), revoked_reason = :reason
     WHERE id = :session_id AND revoked_at IS NULL
""")
REVOKE_ALL = text("""
    UPDATE user_sessions SET revoked_at = now(), revoked_reason = :reason
     WHERE user_id = :user_id AND revoked_at IS NULL
""")


@dataclass(frozen=True, slots=True)
class Credentials:
    """What is stored to check a password against.

    Attributes:
        owner_id: user or super-admin.
        password_hash: argon2id; None until an invitation is accepted.
        rehashed: set once the right password was given and its hash should be renewed.
    """

    owner_id: UUID
    password_hash: str | None
    rehashed: str | None = None


@dataclass(frozen=True, slots=True)
class SignIn:
    """A live sign-in: whose, which, and the id of the one refresh token that holds."""

    user_id: UUID
    session_id: UUID
    refresh_id: UUID


def find_credentials(session: Session, email: str) -> Credentials | None:
    """Return what an active user's password is checked against; None when there is no such user.

    Args:
        session: the organization's.
        email: as typed.
    """
    try:
        normalized = normalize_email(email)
    except InvalidEmailError:
        return None
    row = session.execute(FIND_CREDENTIALS, {"email": normalized}).first()
    return None if row is None else Credentials(row.id, row.password_hash)


def check_password(found: Credentials | None, password: str) -> Credentials:
    """Check a password, outside any transaction; unknown accounts cost the same time.

    Returns:
        The credentials, with a renewed hash when today's parameters are stronger.

    Raises:
        InvalidCredentialsError: no account, no password yet, or the wrong one.
        TooManySignInsError: no turn to hash.
    """
    stored = None if found is None else found.password_hash
    matches = passwords.verify_password(password, stored)
    if found is None or stored is None or not matches:
        raise InvalidCredentialsError
    if passwords.needs_rehash(stored):
        return Credentials(found.owner_id, stored, passwords.hash_password(password))
    return found


def with_password(
    transaction: Callable[[], AbstractContextManager[Session]],
    password: str,
    *,
    find: Callable[[Session], Credentials | None],
    start: Callable[[Session, Credentials], T],
) -> T:
    """Sign in with a password, which is checked between two short transactions.

    Another sign-in may renew the hash in between; the password is then checked once more, against
    the renewed one. Once is enough: a renewed hash is not renewed again.

    Args:
        transaction: opens one transaction of the side that is signed in to.
        password: as typed.
        find: reads what to check it against.
        start: begins the sign-in with credentials that hold.

    Raises:
        InvalidCredentialsError: no such account, the wrong password, or deactivated meanwhile.
        TooManySignInsError: no turn to hash.
    """

    def attempt() -> T:
        with transaction() as session:
            found = find(session)
        checked = check_password(found, password)
        with transaction() as session:
            return start(session, checked)

    try:
        return attempt()
    except CredentialsChangedError:
        return attempt()


def start_session(session: Session, credentials: Credentials, *, lifetime: int) -> SignIn:
    """Begin a sign-in with credentials that were checked just before.

    Args:
        session: the organization's.
        credentials: from `check_password`.
        lifetime: seconds until a new sign-in with the password is needed.

    Raises:
        CredentialsChangedError: deactivated, or the hash was replaced, in the meantime.
    """
    current = credentials.password_hash
    if credentials.rehashed is not None:
        # Before the row is locked in share mode: two that renew after sharing it would deadlock.
        renewed = {"new": credentials.rehashed, "old": current, "user_id": credentials.owner_id}
        session.execute(REPLACE_HASH, renewed)
        current = credentials.rehashed
    started = SignIn(credentials.owner_id, new_id(), new_id())
    inserted = session.execute(
        START_SESSION,
        {
            "session_id": started.session_id,
            "refresh_id": started.refresh_id,
            "user_id": started.user_id,
            "password_hash": current,
            "lifetime": lifetime,
        },
    )
    if inserted.first() is None:
        raise CredentialsChangedError
    return started


def rotate(session: Session, session_id: UUID, presented: UUID) -> SignIn:
    """Exchange a refresh token for the next one.

    Args:
        session: the organization's.
        session_id: the sign-in that the token names.
        presented: the token's own id.

    Raises:
        RefreshTokenReusedError: it was exchanged before; the sign-in is revoked, on record.
        UnauthenticatedError: the sign-in has ended or the user is deactivated.
    """
    keys = {"session_id": session_id, "presented": presented}
    following = new_id()
    user_id = session.execute(ROTATE, {**keys, "next": following}).scalar()
    if user_id is not None:
        return SignIn(user_id, session_id, following)
    if session.execute(WAS_REPLACED, keys).first() is not None:
        raise RefreshTokenReusedError(
            "This refresh token was used before, so its sign-in has been ended; sign in again.",
            record=lambda fresh: end_session(fresh, session_id, reason="refresh_token_reused"),
        )
    raise UnauthenticatedError("This sign-in has ended; sign in again.")


def sign_out(session: Session, actor: Actor) -> None:
    """End the sign-in that the actor came with; their other ones go on."""
    end_session(session, actor.session_id, reason="logout")


def end_session(session: Session, session_id: UUID, *, reason: str) -> None:
    """Revoke one sign-in: its access tokens end at once, its refresh tokens for good."""
    session.execute(REVOKE, {"session_id": session_id, "reason": reason})


def end_all_sessions(session: Session, user_id: UUID, *, reason: str) -> None:
    """Revoke every sign-in of a user."""
    session.execute(REVOKE_ALL, {"user_id": user_id, "reason": reason})
