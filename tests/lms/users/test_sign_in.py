from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from werkzeug.test import TestResponse

from lms.core.ids import new_id
from lms.users import operations, passwords
from tenants.session import Database, OrganizationScope
from tests.factories.accounts import OLD_HASH, PASSWORD, bearer, log_in, make_account

ACME = "http://acme.localhost"
GLOBEX = "http://globex.localhost"


def refresh(client: FlaskClient, tokens: dict[str, Any], host: str = ACME) -> TestResponse:
    return client.post(
        "/api/v1/auth/refresh", base_url=host, json={"refresh_token": tokens["refresh_token"]}
    )


def me(client: FlaskClient, tokens: dict[str, Any], host: str = ACME) -> TestResponse:
    return client.get("/api/v1/me", base_url=host, headers=bearer(tokens))


def without_request(answer: TestResponse) -> dict[str, Any]:
    return {key: value for key, value in answer.json.items() if key != "request_id"}


def test_a_user_signs_in_and_reads_their_account(
    client: FlaskClient, database: Database, acme: UUID
) -> None:
    user_id, email = make_account(database, acme, "instructor")
    tokens = log_in(client, "acme", email).json
    assert tokens["token_type"] == "Bearer"
    assert tokens["expires_in"] == 900
    account = me(client, tokens)
    assert account.status_code == 200
    assert account.headers["ETag"] == '"1"'
    assert account.json["id"] == str(user_id)
    assert account.json["account_type"] == "instructor"
    assert account.json["joined"] is True
    assert "password_hash" not in account.json


def test_the_email_address_is_not_case_sensitive(
    client: FlaskClient, database: Database, acme: UUID
) -> None:
    _, email = make_account(database, acme)
    assert log_in(client, "acme", f" {email.upper()} ").status_code == 200


def test_a_wrong_password_an_unknown_user_and_a_guest_get_the_same_answer(
    client: FlaskClient, database: Database, acme: UUID
) -> None:
    user_id, email = make_account(database, acme)
    with database.transaction(OrganizationScope(acme)) as session:
        session.execute(
            text(
                "INSERT INTO users (id, email, name, account_type)"
                " VALUES (gen_random_uuid(), 'guest@acme.example', 'Guest', 'student')"
            )
        )
    answers = [
        log_in(client, "acme", email, "wrong horse battery"),
        log_in(client, "acme", "nobody@acme.example"),
        log_in(client, "acme", "guest@acme.example"),
        log_in(client, "acme", "not an address"),
    ]
    with database.transaction(OrganizationScope(acme)) as session:
        session.execute(
            text("UPDATE users SET deactivated_at = now() WHERE id = :id"), {"id": user_id}
        )
    answers.append(log_in(client, "acme", email))
    assert {answer.status_code for answer in answers} == {401}
    assert all(without_request(one) == without_request(answers[0]) for one in answers)
    assert answers[0].json["code"] == "invalid_credentials"


def test_an_unknown_user_costs_a_whole_verification(
    client: FlaskClient, acme: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified: list[str] = []
    hasher = passwords._HASHER

    class Counting(PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # noqa: A002
            verified.append(str(hash))
            return hasher.verify(hash, password)

    monkeypatch.setattr(passwords, "_HASHER", Counting())
    log_in(client, "acme", "nobody@acme.example")
    assert len(verified) == 1
    assert not hasher.check_needs_rehash(verified[0])


def test_passwords_are_verified_and_hashed_outside_any_transaction(
    app: Flask,
    client: FlaskClient,
    database: Database,
    acme: UUID,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pool = app.extensions["edge"].database.events.pool
    borrowed: list[int] = []
    verify, hash_ = passwords.verify_password, passwords.hash_password

    def watched_verify(password: str, hashed: str | None) -> bool:
        borrowed.append(pool.checkedout())
        return verify(password, hashed)

    def watched_hash(password: str) -> str:
        borrowed.append(pool.checkedout())
        return hash_(password)

    with database.transaction(OrganizationScope(acme)) as session:
        email = f"{new_id().hex}@acme.example"
        _, invitation = operations.create_user(
            session, None, email=email, name="Dana Reyes", account_type="student"
        )
    monkeypatch.setattr(passwords, "verify_password", watched_verify)
    monkeypatch.setattr(passwords, "hash_password", watched_hash)
    body = {"token": invitation.token, "password": PASSWORD}
    accepted = client.post("/api/v1/auth/invitations/accept", base_url=ACME, json=body)
    assert accepted.status_code == 200
    assert log_in(client, "acme", email).status_code == 200
    assert borrowed == [0, 0]


def test_an_account_of_one_organization_does_not_work_in_another(
    client: FlaskClient, database: Database, acme: UUID, globex: UUID
) -> None:
    _, email = make_account(database, acme)
    assert log_in(client, "globex", email).status_code == 401


def test_tokens_of_one_organization_are_refused_on_another_host(
    client: FlaskClient, database: Database, acme: UUID, globex: UUID
) -> None:
    _, email = make_account(database, acme)
    tokens = log_in(client, "acme", email).json
    assert me(client, tokens, GLOBEX).status_code == 401
    assert refresh(client, tokens, GLOBEX).status_code == 401
    assert refresh(client, tokens).status_code == 200


def test_a_refresh_token_is_no_access_token(
    client: FlaskClient, database: Database, acme: UUID
) -> None:
    _, email = make_account(database, acme)
    tokens = log_in(client, "acme", email).json
    assert me(client, {"access_token": tokens["refresh_token"]}).status_code == 401
    assert refresh(client, {"refresh_token": tokens["access_token"]}).status_code == 401


def test_refreshing_goes_on_with_the_newest_token(
    client: FlaskClient, database: Database, acme: UUID
) -> None:
    _, email = make_account(database, acme)
    tokens = log_in(client, "acme", email).json
    for _ in range(3):
        answer = refresh(client, tokens)
        assert answer.status_code == 200
        tokens = answer.json
    assert me(client, tokens).status_code == 200


def test_a_reused_refresh_token_ends_the_whole_sign_in_after_the_refusal(
    client: FlaskClient, database: Database, acme: UUID
) -> None:
    _, email = make_account(database, acme)
    stolen = log_in(client, "acme", email).json
    other_device = log_in(client, "acme", email).json
    newest = refresh(client, stolen).json

    refused = refresh(client, stolen)

    assert refused.status_code == 401
    assert refused.json["code"] == "refresh_token_reused"
    assert me(client, newest).status_code == 401
    assert refresh(client, newest).json["code"] == "unauthenticated"
    assert me(client, other_device).status_code == 200


def test_an_expired_sign_in_cannot_be_refreshed(
    client: FlaskClient, database: Database, acme: UUID
) -> None:
    user_id, email = make_account(database, acme)
    tokens = log_in(client, "acme", email).json
    with database.transaction(OrganizationScope(acme)) as session:
        session.execute(
            text("UPDATE user_sessions SET expires_at = now() WHERE user_id = :id"),
            {"id": user_id},
        )
    assert refresh(client, tokens).status_code == 401
    assert me(client, tokens).status_code == 401


def test_signing_out_ends_this_sign_in_only(
    client: FlaskClient, database: Database, acme: UUID
) -> None:
    _, email = make_account(database, acme)
    here, there = log_in(client, "acme", email).json, log_in(client, "acme", email).json
    answer = client.post("/api/v1/auth/logout", base_url=ACME, headers=bearer(here))
    assert answer.status_code == 204
    assert me(client, here).status_code == 401
    assert refresh(client, here).status_code == 401
    assert me(client, there).status_code == 200


def test_a_hash_with_old_parameters_is_renewed_at_sign_in(
    client: FlaskClient, database: Database, acme: UUID
) -> None:
    user_id, email = make_account(database, acme, hashed=OLD_HASH)
    assert log_in(client, "acme", email).status_code == 200
    with database.transaction(OrganizationScope(acme)) as session:
        renewed = session.execute(
            text("SELECT password_hash FROM users WHERE id = :id"), {"id": user_id}
        ).scalar_one()
    assert renewed != OLD_HASH
    assert not passwords.needs_rehash(renewed)
    assert log_in(client, "acme", email).status_code == 200


def test_people_change_their_own_name_against_the_version_they_read(
    client: FlaskClient, database: Database, acme: UUID
) -> None:
    _, email = make_account(database, acme)
    headers = bearer(log_in(client, "acme", email).json)

    def rename(name: str, etag: str) -> TestResponse:
        return client.patch(
            "/api/v1/me",
            base_url=ACME,
            headers={**headers, "If-Match": etag},
            json={"name": name},
        )

    changed = rename("Noor Haddad", '"1"')
    assert changed.json["name"] == "Noor Haddad"
    assert changed.headers["ETag"] == '"2"'
    assert rename("Somebody Else", '"1"').status_code == 412


def test_people_cannot_change_their_own_account_type(
    client: FlaskClient, database: Database, acme: UUID
) -> None:
    _, email = make_account(database, acme)
    headers = bearer(log_in(client, "acme", email).json)
    answer = client.patch(
        "/api/v1/me", base_url=ACME, headers=headers, json={"account_type": "admin"}
    )
    assert answer.status_code == 422


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("short", "12 to 256"),
        ("x" * 257, "12 to 256"),
        ("Dana.Reyes@acme.example", "e-mail address"),
    ],
)
def test_a_weak_password_is_refused(password: str, reason: str) -> None:
    with pytest.raises(passwords.WeakPasswordError, match=reason):
        passwords.check_policy(password, "dana.reyes@acme.example")


def test_a_password_matches_however_its_characters_are_composed() -> None:
    hashed = passwords.hash_password("caf\u00e9 au lait 12")
    assert passwords.verify_password("cafe\u0301 au lait 12", hashed)
