"""Accounts with passwords, and signing in to them over HTTP."""

from __future__ import annotations

from functools import cache
from typing import Any
from uuid import UUID

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from lms.core.ids import new_id
from lms.platform.accounts import ensure_admin
from lms.users.models import User
from lms.users.passwords import hash_password
from tenants.session import PLATFORM, Database, OrganizationScope

PASSWORD = "correct horse battery"
PLATFORM_HOST = "http://admin.localhost"


@cache
def password_hash(password: str = PASSWORD) -> str:
    return hash_password(password)


def make_account(
    database: Database,
    organization_id: UUID,
    account_type: str = "student",
    *,
    email: str | None = None,
    hashed: str | None = None,
) -> tuple[UUID, str]:
    """Insert a user who can log in with PASSWORD; returns id and e-mail."""
    user_id = new_id()
    address = email or f"{account_type}-{user_id.hex[-12:]}@acme.example"
    with database.transaction(OrganizationScope(organization_id)) as session:
        session.add(
            User(
                id=user_id,
                email=address,
                name=f"{account_type.title()} {user_id.hex[-4:]}",
                account_type=account_type,
                password_hash=hashed or password_hash(),
            )
        )
    return user_id, address


def log_in(client: FlaskClient, host: str, email: str, password: str = PASSWORD) -> TestResponse:
    """Call login on an organization's host; `host` is the slug."""
    return client.post(
        "/api/v1/auth/login",
        base_url=f"http://{host}.localhost",
        json={"email": email, "password": password},
    )


def bearer(tokens: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens['access_token']}"}


def super_admin(client: FlaskClient, database: Database) -> dict[str, str]:
    """Return the headers of a signed-in super-admin."""
    email = f"root-{new_id().hex[-12:]}@platform.example"
    with database.transaction(PLATFORM) as session:
        ensure_admin(session, email=email, name="Robin Okafor", password=PASSWORD)
    answer = client.post(
        "/api/v1/platform/auth/login",
        base_url=PLATFORM_HOST,
        json={"email": email, "password": PASSWORD},
    )
    assert answer.status_code == 200, answer.json
    return bearer(answer.json)
