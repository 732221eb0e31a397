"""Sign-ins that meet each other, a deactivation, or too many others."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from lms.users import passwords
from tenants.session import Database, OrganizationScope
from tests.factories.accounts import OLD_HASH, held, log_in, make_account

TOGETHER = 4


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(TOGETHER) as pool:
        yield pool


def test_sign_ins_that_meet_while_the_hash_is_renewed_all_succeed(
    app: Flask,
    database: Database,
    acme: UUID,
    threads: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, email = make_account(database, acme, hashed=OLD_HASH)
    meeting = threading.Barrier(TOGETHER, timeout=30)
    needs_rehash = passwords.needs_rehash

    def meet(hashed: str) -> bool:
        if hashed == OLD_HASH:
            meeting.wait()
        return needs_rehash(hashed)

    monkeypatch.setattr(passwords, "needs_rehash", meet)
    monkeypatch.setattr(passwords, "PATIENCE", 30.0)

    def enter(_: int) -> int:
        return log_in(app.test_client(), "acme", email).status_code

    assert list(threads.map(enter, range(TOGETHER))) == [200] * TOGETHER


def test_a_password_that_was_replaced_while_the_old_one_was_checked_is_refused(
    client: FlaskClient, database: Database, acme: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    user_id, email = make_account(database, acme)
    another = passwords.hash_password("another horse battery")

    def replace_meanwhile(_hashed: str) -> bool:
        with database.transaction(OrganizationScope(acme)) as session:
            session.execute(
                text("UPDATE users SET password_hash = :another WHERE id = :id"),
                {"another": another, "id": user_id},
            )
        return False

    monkeypatch.setattr(passwords, "needs_rehash", replace_meanwhile)
    answer = log_in(client, "acme", email)
    assert answer.status_code == 401
    assert answer.json["code"] == "invalid_credentials"


def test_a_sign_in_waits_for_a_deactivation_and_is_refused(
    app: Flask, database: Database, acme: UUID, threads: ThreadPoolExecutor
) -> None:
    user_id, email = make_account(database, acme)
    with held(database, OrganizationScope(acme)) as deactivation:
        deactivation.sql("UPDATE users SET deactivated_at = now() WHERE id = :id", id=user_id)
        entering = threads.submit(log_in, app.test_client(), "acme", email)
        deactivation.wait_until_in_the_way_of(entering)
    assert entering.result(timeout=10).status_code == 401
    with database.transaction(OrganizationScope(acme)) as session:
        started = session.scalar(
            text("SELECT count(*) FROM user_sessions WHERE user_id = :id"), {"id": user_id}
        )
    assert started == 0


def test_who_finds_every_turn_taken_is_sent_away_for_a_while(
    app: Flask,
    client: FlaskClient,
    database: Database,
    acme: UUID,
    threads: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, email = make_account(database, acme)
    turns = threading.BoundedSemaphore(1)
    monkeypatch.setattr(passwords, "_SLOTS", turns)
    monkeypatch.setattr(passwords, "PATIENCE", 0.05)
    with turns:
        entering = threads.submit(log_in, app.test_client(), "acme", email)
        answer = entering.result(timeout=10)
    assert answer.status_code == 503
    assert answer.json["code"] == "busy"
    assert int(answer.headers["Retry-After"]) > 0
    assert log_in(client, "acme", email).status_code == 200


def test_a_wrong_password_gives_its_turn_back(
    client: FlaskClient, database: Database, acme: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, email = make_account(database, acme)
    monkeypatch.setattr(passwords, "_SLOTS", threading.BoundedSemaphore(1))
    assert log_in(client, "acme", email, "wrong horse battery").status_code == 401
    assert log_in(client, "acme", email).status_code == 200
