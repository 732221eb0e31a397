"""Accounts: invited by admins, changed by admins and by their owners, never deleted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from lms.core import audit
from lms.core.actor import AccountType, Actor
from lms.core.clock import now
from lms.core.ids import new_id
from lms.core.versions import check_version
from lms.users import invitations, queries, sign_in
from lms.users.errors import EmailTakenError, LastAdminError
from lms.users.invitations import IssuedInvitation
from lms.users.models import User

# In one order, so that two imports of the same people never deadlock.
CREATE_STUDENTS = text("""
    INSERT INTO users (id, email, name, account_type)
    SELECT made.id, made.email, made.name, 'student'
      FROM unnest(CAST(:ids AS uuid[]), CAST(:emails AS text[]), CAST(:names AS text[]))
           WITH ORDINALITY AS made (id, email, name, place)
     ORDER BY made.place
        ON CONFLICT (email) DO NOTHING
    RETURNING id, email
""")


def create_user(
    session: Session,
    actor_id: UUID | None,
    *,
    email: str,
    name: str,
    account_type: AccountType,
) -> tuple[User, IssuedInvitation]:
    """Invite a person: make their account and the invitation by which they set a password.

    Somebody who has not joined yet is invited anew: the account takes the name and type sent now,
    and the new invitation replaces the older ones, so one that expired or was lost locks nobody
    out.

    Args:
        session: the organization's.
        actor_id: the inviting admin; None when the platform makes the first one.
        email: normalised (`lms.users.emails`).
        name: as people write it.
        account_type: what they may do.

    Raises:
        EmailTakenError: the address belongs to somebody who has joined or is deactivated.
    """
    user_id = new_id()
    values = {"id": user_id, "email": email, "name": name, "account_type": account_type}
    user = session.scalars(
        insert(User)
        .values(**values)
        .on_conflict_do_nothing(index_elements=[User.email])
        .returning(User)
    ).first()
    if user is None:
        user = _invite_again(session, actor_id, email, {"name": name, "account_type": account_type})
    else:
        audit.record(
            session,
            "user.create",
            ("user", user_id),
            actor_id=actor_id,
            after={"account_type": account_type},
        )
    return user, invitations.issue(session, user.id, created_by=actor_id)


def create_students(session: Session, actor_id: UUID, people: Mapping[str, str]) -> dict[str, UUID]:
    """Make accounts for many people at once; `create_user` invites each of them when it is time.

    Args:
        session: the organization's.
        actor_id: the admin who takes them in.
        people: their names, by normalised address.

    Returns:
        The new accounts' ids by address; whose account was there already is left out.
    """
    emails = sorted(people)
    values = {
        "ids": [new_id() for _ in emails],
        "emails": emails,
        "names": [people[email] for email in emails],
    }
    made = {row.email: row.id for row in session.execute(CREATE_STUDENTS, values)}
    for user_id in made.values():
        audit.record(
            session,
            "user.create",
            ("user", user_id),
            actor_id=actor_id,
            after={"account_type": "student"},
        )
    return made


def update_me(
    session: Session, actor: Actor, *, expected_version: int | None, changes: dict[str, Any]
) -> User:
    """Change what people may change of themselves: their name.

    Raises:
        StaleVersionError: the account was changed since the client read it.
    """
    user = queries.get_user(session, actor.user_id)
    check_version(user, expected_version)
    user.name = changes.get("name", user.name)
    session.flush()
    return user


def update_user(
    session: Session,
    actor: Actor,
    user_id: UUID,
    *,
    expected_version: int | None,
    changes: dict[str, Any],
) -> User:
    """Change an account as an admin.

    Args:
        session: the organization's.
        actor: an admin.
        user_id: whose account.
        expected_version: the version that the client read; None for any.
        changes: `name`, `account_type` and `deactivated`, those that were sent.

    Raises:
        UserNotFoundError: no such user.
        StaleVersionError: the account was changed since the client read it.
        LastAdminError: nobody would be left to administer the organization.
    """
    if changes.get("deactivated") or changes.get("account_type", "admin") != "admin":
        _keep_an_admin(session, without=user_id)
    user = queries.get_user(session, user_id)
    check_version(user, expected_version)
    before = _audited(user)
    user.name = changes.get("name", user.name)
    user.account_type = changes.get("account_type", user.account_type)
    if "deactivated" in changes:
        _set_deactivated(session, user, deactivated=changes["deactivated"])
    session.flush()
    if changes:
        # Names stay out of the log, so that erasing a person need not rewrite it.
        audit.record(
            session,
            "user.update",
            ("user", user_id),
            actor_id=actor.user_id,
            before=before,
            after={**_audited(user), "changed": sorted(changes)},
        )
    return user


def _invite_again(
    session: Session, actor_id: UUID | None, email: str, about: dict[str, str]
) -> User:
    user = session.scalars(
        select(User)
        .where(User.email == email, User.password_hash.is_(None), User.deactivated_at.is_(None))
        .with_for_update(key_share=True)
    ).first()
    if user is None:
        raise EmailTakenError(email)
    before = _audited(user)
    user.name, user.account_type = about["name"], about["account_type"]
    session.flush()
    audit.record(
        session,
        "user.invite_again",
        ("user", user.id),
        actor_id=actor_id,
        before=before,
        after=_audited(user),
    )
    return user


def _set_deactivated(session: Session, user: User, *, deactivated: bool) -> None:
    if not deactivated:
        user.deactivated_at = None
    elif user.deactivated_at is None:
        user.deactivated_at = now()
        sign_in.end_all_sessions(session, user.id, reason="deactivated")


def _keep_an_admin(session: Session, *, without: UUID) -> None:
    """Lock all admins who can sign in, so that two of them cannot remove each other at once."""
    admins = session.scalars(
        select(User.id)
        .where(
            User.account_type == "admin",
            User.deactivated_at.is_(None),
            User.password_hash.is_not(None),
        )
        .order_by(User.id)
        .with_for_update()
    ).all()
    if without in admins and len(admins) == 1:
        raise LastAdminError


def _audited(user: User) -> dict[str, Any]:
    return {"account_type": user.account_type, "deactivated": user.deactivated_at is not None}
