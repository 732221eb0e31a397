"""People with accounts and a live sign-in, made directly in the database, ready to call the API."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from flask import Flask, current_app

from lms.core.actor import AccountType, Actor
from lms.core.clock import now
from lms.core.ids import new_id
from lms.http.auth import issue_tokens
from lms.users.models import User, UserSession
from tenants.session import Database, OrganizationScope


@dataclass(frozen=True)
class Person:
    """A signed-in user: `headers` carry the access token; `actor` is for calling operations."""

    id: UUID
    email: str
    headers: dict[str, str]
    account_type: AccountType
    session_id: UUID

    @property
    def actor(self) -> Actor:
        return Actor(self.id, self.account_type, self.session_id)


def make_user(
    database: Database,
    organization_id: UUID,
    account_type: AccountType = "student",
    *,
    name: str | None = None,
    app: Flask | None = None,
) -> Person:
    """Insert a user with a sign-in of one day; no password, so they cannot log in by one.

    A test that uses `app` or `client` has an app context already (pytest-flask pushes it); fixtures
    of a wider scope, and processes without one, pass `app`.
    """
    user_id, session_id, refresh_id = new_id(), new_id(), new_id()
    scope = OrganizationScope(organization_id)
    email = f"{account_type}-{user_id.hex[-12:]}@example.com"
    with database.transaction(scope) as session:
        session.add(
            User(
                id=user_id,
                email=email,
                name=name or f"{account_type.title()} {user_id.hex[-4:]}",
                account_type=account_type,
            )
        )
        session.flush()
        session.add(
            UserSession(
                id=session_id,
                user_id=user_id,
                refresh_id=refresh_id,
                expires_at=now() + timedelta(days=1),
            )
        )
    context = app.app_context() if app is not None else current_app.app_context()
    with context:
        tokens = issue_tokens(scope, user_id, session_id, refresh_id)
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    return Person(user_id, email, headers, account_type, session_id)
