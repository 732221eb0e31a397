"""Reads of accounts."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from lms.core.actor import AccountType
from lms.core.pagination import Page, paginate
from lms.users.errors import UserNotFoundError
from lms.users.models import User


def get_user(session: Session, user_id: UUID) -> User:
    """Return a user of this organization.

    Raises:
        UserNotFoundError: there is none with this id.
    """
    user = session.get(User, user_id)
    if user is None:
        raise UserNotFoundError
    return user


def list_users(
    session: Session,
    *,
    account_type: AccountType | None,
    email: str | None,
    limit: int,
    cursor: str | None,
) -> Page[User]:
    """Return one page of the organization's users, oldest first.

    Args:
        session: the organization's.
        account_type: only these.
        email: only this address, normalised.
        limit: most to return.
        cursor: of the page before.
    """
    query = select(User)
    if account_type is not None:
        query = query.where(User.account_type == account_type)
    if email is not None:
        query = query.where(User.email == email)
    return paginate(session, query, User.id, limit=limit, cursor=cursor)
