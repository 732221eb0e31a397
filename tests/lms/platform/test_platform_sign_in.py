"""Sign-ins of super-admins that meet each other or a deactivation."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from sqlalchemy import text

from lms.users import passwords
from tenants.session import PLATFORM, Database
from tests.factories.accounts import OLD_HASH, held, log_in_to_platform, make_super_admin

TOGETHER = 3


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(TOGETHER) as pool:
        yield pool


def test_sign_ins_that_meet_while_the_hash_is_renewed_all_succeed(
    app: Flask,
    database: Database,
    threads: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    email = make_super_admin(database)
    with database.transaction(PLATFORM) as session:
        session.execute(
            text("UPDATE platform.admins SET password_hash = :old WHERE email = :email"),
            {"old": OLD_HASH, "email": email},
        )
    meeting = threading.Barrier(TOGETHER, timeout=30)
    needs_rehash = passwords.needs_rehash

    def meet(hashed: str) -> bool:
        if hashed == OLD_HASH:
            meeting.wait()
        return needs_rehash(hashed)

    monkeypatch.setattr(passwords, "needs_rehash", meet)
    monkeypatch.setattr(passwords, "PATIENCE", 30.0)

    def enter(_: int) -> int:
        return log_in_to_platform(app.test_client(), email).status_code

    assert list(threads.map(enter, range(TOGETHER))) == [200] * TOGETHER


def test_a_sign_in_waits_for_a_deactivation_and_is_refused(
    app: Flask, database: Database, threads: ThreadPoolExecutor
) -> None:
    email = make_super_admin(database)
    with held(database, PLATFORM) as deactivation:
        deactivation.sql(
            "UPDATE platform.admins SET deactivated_at = now() WHERE email = :email", email=email
        )
        entering = threads.submit(log_in_to_platform, app.test_client(), email)
        deactivation.wait_until_in_the_way_of(entering)
    assert entering.result(timeout=10).status_code == 401
    with database.transaction(PLATFORM) as session:
        started = session.scalar(
            text(
                "SELECT count(*) FROM platform.admin_sessions s JOIN platform.admins a"
                " ON a.id = s.admin_id WHERE a.email = :email"
            ),
            {"email": email},
        )
    assert started == 0
