"""Accounts with passwords, and signing in to them over HTTP."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from contextlib import contextmanager
from functools import cache
from typing import Any
from uuid import UUID

from argon2 import PasswordHasher
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from lms.core.ids import new_id
from lms.platform.accounts import ensure_admin
from lms.users.models import User
from lms.users.passwords import hash_password
from tenants.session import PLATFORM, Database, OrganizationScope, Scope

PASSWORD = "correct horse battery"
PLATFORM_HOST = "http://admin.localhost"
OLD_HASH = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
"""Of PASSWORD, with parameters that are renewed at sign-in."""


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


def make_super_admin(database: Database) -> str:
    """Make a super-admin who can log in with PASSWORD; returns the e-mail."""
    email = f"root-{new_id().hex[-12:]}@platform.example"
    with database.transaction(PLATFORM) as session:
        ensure_admin(session, email=email, name="Robin Okafor", password=PASSWORD)
    return email


def log_in_to_platform(client: FlaskClient, email: str) -> TestResponse:
    """Call login on the platform's host."""
    return client.post(
        "/api/v1/platform/auth/login",
        base_url=PLATFORM_HOST,
        json={"email": email, "password": PASSWORD},
    )


def super_admin(client: FlaskClient, database: Database) -> dict[str, str]:
    """Return the headers of a signed-in super-admin."""
    answer = log_in_to_platform(client, make_super_admin(database))
    assert answer.status_code == 200, answer.json
    return bearer(answer.json)


class HeldTransaction:
    """An open transaction whose locks others run into."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._backend = session.scalar(text("SELECT pg_backend_pid()"))

    def sql(self, statement: str, **values: Any) -> None:
        self.session.execute(text(statement), values)

    def wait_until_in_the_way_of(self, future: Future[Any]) -> None:
        """Return once somebody waits for this transaction.

        Raises:
            AssertionError: the other one was done without waiting.
        """
        waiting = text(
            "SELECT count(*) FROM pg_stat_activity WHERE :pid = ANY (pg_blocking_pids(pid))"
        )
        deadline = time.monotonic() + 10
        while not self.session.scalar(waiting, {"pid": self._backend}):
            # A transaction sees the list of backends as it was when it first looked.
            self.sql("SELECT pg_stat_clear_snapshot()")
            finished, _ = wait_for([future], timeout=0.02)
            assert not finished, f"it did not wait for the other transaction: {future.result()}"
            assert time.monotonic() < deadline, "it neither finished nor waited"


@contextmanager
def held(database: Database, scope: Scope) -> Iterator[HeldTransaction]:
    """Hold a transaction open; it commits at the end of the block."""
    with database.transaction(scope) as session:
        yield HeldTransaction(session)
