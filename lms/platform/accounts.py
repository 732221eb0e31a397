"""Super-admins: loading who acts, signing in and out, and making the first one.

Their sign-ins last as long as one access token: whoever can reach every organization gives the
password again.
"""

from __future__ import annotations

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from lms.core.actor import ActorQuery, PlatformActor
from lms.core.ids import new_id
from lms.platform import audit
from lms.platform.models import PlatformAdmin
from lms.users import passwords
from lms.users.emails import normalize_email
from lms.users.errors import CredentialsChangedError, InvalidEmailError
from lms.users.sign_in import Credentials

FIND_ADMIN = ActorQuery(
    """
    SELECT a.id
      FROM platform.admins a JOIN platform.admin_sessions s ON s.admin_id = a.id
     WHERE a.id = $1 AND a.deactivated_at IS NULL
       AND s.id = $2 AND s.revoked_at IS NULL AND s.expires_at > now()
    """,
    lambda row, session_id: PlatformActor(row[0], session_id),
)
"""The super-admin of a live sign-in."""

FIND_CREDENTIALS = text("""
    SELECT id, password_hash FROM platform.admins
     WHERE email = :email AND deactivated_at IS NULL
""")
REPLACE_HASH = text("""
    UPDATE platform.admins SET password_hash = :new WHERE id = :admin_id AND password_hash = :old
""")
START_SESSION = text("""
    INSERT INTO platform.admin_sessions (id, admin_id, expires_at)
    SELECT :session_id, a.id, now() + make_interval(secs => :lifetime)
      FROM platform.admins a
     WHERE a.id = :admin_id AND a.deactivated_at IS NULL AND a.password_hash = :password_hash
       FOR SHARE
 RETURNING id
""")
REVOKE = text("""
    UPDATE platform.admin_sessions SET revoked_at = now()
     WHERE id = :session_id AND revoked_at IS NULL
""")


def find_credentials(session: Session, email: str) -> Credentials | None:
    """Return what a super-admin's password is checked against; None when there is no such one.

    Args:
        session: the platform's.
        email: as typed.
    """
    try:
        normalized = normalize_email(email)
    except InvalidEmailError:
        return None
    row = session.execute(FIND_CREDENTIALS, {"email": normalized}).first()
    return None if row is None else Credentials(row.id, row.password_hash)


def start_session(session: Session, credentials: Credentials, *, lifetime: int) -> PlatformActor:
    """Begin a sign-in with credentials that were checked just before.

    Args:
        session: the platform's.
        credentials: from `lms.users.sign_in.check_password`.
        lifetime: seconds.

    Raises:
        CredentialsChangedError: deactivated, or the hash was replaced, in the meantime.
    """
    current = credentials.password_hash
    if credentials.rehashed is not None:
        # Before the row is locked in share mode: two that renew after sharing it would deadlock.
        renewed = {"new": credentials.rehashed, "old": current, "admin_id": credentials.owner_id}
        session.execute(REPLACE_HASH, renewed)
        current = credentials.rehashed
    session_id = new_id()
    started = session.execute(
        START_SESSION,
        {
            "session_id": session_id,
            "admin_id": credentials.owner_id,
            "password_hash": current,
            "lifetime": lifetime,
        },
    )
    if started.first() is None:
        raise CredentialsChangedError
    audit.record(session, "admin.login", actor_id=credentials.owner_id)
    return PlatformActor(credentials.owner_id, session_id)


def sign_out(session: Session, actor: PlatformActor) -> None:
    """End the sign-in that the super-admin came with."""
    session.execute(REVOKE, {"session_id": actor.session_id})
    audit.record(session, "admin.logout", actor_id=actor.admin_id)


def ensure_admin(session: Session, *, email: str, name: str, password: str) -> bool:
    """Make a super-admin, unless there is one with this address; that one stays as it is.

    For the command line only: it hashes inside the transaction, which a request must not.

    Args:
        session: the platform's.
        email: as typed.
        name: as people write it.
        password: clear text.

    Returns:
        Whether one was made.

    Raises:
        InvalidEmailError: not an address.
        WeakPasswordError: the password breaks the policy.
    """
    normalized = normalize_email(email)
    known = select(PlatformAdmin.id).where(PlatformAdmin.email == normalized)
    if session.scalars(known).first() is not None:
        return False
    passwords.check_policy(password, normalized)
    admin_id = new_id()
    made = session.execute(
        insert(PlatformAdmin)
        .values(
            id=admin_id,
            email=normalized,
            name=name,
            password_hash=passwords.hash_password(password),
        )
        .on_conflict_do_nothing(index_elements=[PlatformAdmin.email])
        .returning(PlatformAdmin.id)
    ).first()
    if made is None:
        return False
    audit.record(session, "admin.create", actor_id=None, detail={"admin_id": str(admin_id)})
    return True
