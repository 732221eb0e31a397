from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from werkzeug.test import TestResponse

from tenants.session import Database, OrganizationScope
from tests.factories.accounts import PASSWORD, bearer, log_in, make_account


class Academy:
    """An organization of its own with one signed-in admin, and calls as that admin."""

    def __init__(
        self, client: FlaskClient, database: Database, organization_id: UUID, slug: str
    ) -> None:
        self.client, self.database, self.id, self.slug = client, database, organization_id, slug
        self.base_url = f"http://{slug}.localhost"
        self.admin_id, self.admin_email = make_account(database, organization_id, "admin")
        self.headers = bearer(log_in(client, slug, self.admin_email).json)

    def call(self, method: str, path: str, headers: dict[str, str] | None = None, **kwargs: Any):
        return self.client.open(
            f"/api/v1{path}",
            method=method,
            base_url=self.base_url,
            headers=headers or self.headers,
            **kwargs,
        )

    def invite(self, email: str, account_type: str = "student") -> TestResponse:
        body = {"email": email, "name": "Dana Reyes", "account_type": account_type}
        return self.call("POST", "/users", json=body)

    def accept(self, token: str, password: str = PASSWORD, **more: str) -> TestResponse:
        return self.client.post(
            "/api/v1/auth/invitations/accept",
            base_url=self.base_url,
            json={"token": token, "password": password, **more},
        )

    def sql(self, statement: str, **values: Any) -> list[Any]:
        with self.database.transaction(OrganizationScope(self.id)) as session:
            result = session.execute(text(statement), values)
            return list(result) if result.returns_rows else []


@pytest.fixture
def academy(
    client: FlaskClient, database: Database, make_organization: Callable[..., UUID]
) -> Academy:
    organization_id = make_organization()
    return Academy(client, database, organization_id, f"org-{organization_id.hex[-12:]}")


def test_an_invited_person_joins_and_is_signed_in(academy: Academy) -> None:
    invited = academy.invite("Dana@Acme.example")
    assert invited.status_code == 201
    assert invited.json["email"] == "dana@acme.example"
    assert invited.json["joined"] is False
    joined = academy.accept(invited.json["invitation"]["token"], name="Dana R.")
    assert joined.status_code == 200
    account = academy.call("GET", "/me", headers=bearer(joined.json)).json
    assert (account["name"], account["joined"]) == ("Dana R.", True)
    assert log_in(academy.client, academy.slug, "dana@acme.example").status_code == 200


def test_an_invitation_works_once(academy: Academy) -> None:
    token = academy.invite("dana@acme.example").json["invitation"]["token"]
    assert academy.accept(token).status_code == 200
    again = academy.accept(token, "another horse battery")
    assert again.status_code == 422
    assert again.json["code"] == "invalid_invitation"
    assert log_in(academy.client, academy.slug, "dana@acme.example").status_code == 200


def test_an_expired_or_unknown_invitation_gets_the_same_answer(academy: Academy) -> None:
    token = academy.invite("dana@acme.example").json["invitation"]["token"]
    academy.sql("UPDATE invitations SET expires_at = now()")
    answers = [academy.accept(token), academy.accept("unknown")]
    assert {answer.json["code"] for answer in answers} == {"invalid_invitation"}
    assert {answer.json["detail"] for answer in answers} == {answers[0].json["detail"]}


def test_the_invitation_s_token_is_not_stored(academy: Academy) -> None:
    token = academy.invite("dana@acme.example").json["invitation"]["token"]
    [row] = academy.sql("SELECT i::text FROM invitations i")
    assert token not in row[0]


def test_the_first_password_must_not_be_the_email_address(academy: Academy) -> None:
    token = academy.invite("dana@acme.example").json["invitation"]["token"]
    answer = academy.accept(token, "Dana@acme.example")
    assert answer.json["code"] == "weak_password"
    assert academy.accept(token).status_code == 200


def test_an_invitation_does_not_let_a_deactivated_person_in(academy: Academy) -> None:
    invited = academy.invite("dana@acme.example").json
    academy.call("PATCH", f"/users/{invited['id']}", json={"deactivated": True})
    assert academy.accept(invited["invitation"]["token"]).status_code == 422


def test_an_address_has_one_account(academy: Academy) -> None:
    academy.invite("dana@acme.example")
    answer = academy.invite("DANA@acme.example")
    assert answer.status_code == 409
    assert answer.json["code"] == "email_taken"


def test_of_two_invitations_at_once_one_is_refused(app: Flask, academy: Academy) -> None:
    answers: list[TestResponse] = []
    start = threading.Barrier(2)

    def invite() -> None:
        client = app.test_client()
        start.wait()
        answers.append(
            client.post(
                "/api/v1/users",
                base_url=academy.base_url,
                headers=academy.headers,
                json={"email": "d@acme.example", "name": "Dana", "account_type": "student"},
            )
        )

    threads = [threading.Thread(target=invite) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status_code for answer in answers) == [201, 409]


@pytest.mark.parametrize("address", ["dana", "dana@", "dana@localhost", "a b@acme.example"])
def test_what_is_no_address_is_refused(academy: Academy, address: str) -> None:
    answer = academy.invite(address)
    assert answer.status_code == 422
    assert answer.json["errors"][0]["pointer"] == "/email"


@pytest.mark.parametrize("account_type", ["student", "instructor"])
def test_only_admins_manage_users(academy: Academy, account_type: str) -> None:
    user_id, email = make_account(academy.database, academy.id, account_type)
    headers = bearer(log_in(academy.client, academy.slug, email).json)
    statuses = {
        academy.call("GET", "/users", headers=headers).status_code,
        academy.call("GET", f"/users/{user_id}", headers=headers).status_code,
        academy.call(
            "PATCH", f"/users/{user_id}", headers=headers, json={"account_type": "admin"}
        ).status_code,
        academy.call(
            "POST",
            "/users",
            headers=headers,
            json={"email": "x@acme.example", "name": "X", "account_type": "admin"},
        ).status_code,
    }
    assert statuses == {403}


def test_users_are_listed_page_by_page_and_filtered(academy: Academy) -> None:
    students = [make_account(academy.database, academy.id)[0] for _ in range(3)]
    seen, cursor = [], None
    while True:
        more = f"&cursor={cursor}" if cursor else ""
        page = academy.call("GET", f"/users?account_type=student&limit=2{more}").json
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [str(one) for one in students]
    by_email = academy.call("GET", f"/users?email={academy.admin_email.upper()}").json
    assert [item["id"] for item in by_email["items"]] == [str(academy.admin_id)]


def test_deactivating_takes_effect_at_once(academy: Academy) -> None:
    user_id, email = make_account(academy.database, academy.id)
    tokens = log_in(academy.client, academy.slug, email).json
    answer = academy.call("PATCH", f"/users/{user_id}", json={"deactivated": True})
    assert answer.json["deactivated"] is True
    assert academy.call("GET", "/me", headers=bearer(tokens)).status_code == 401
    refreshed = academy.call(
        "POST", "/auth/refresh", json={"refresh_token": tokens["refresh_token"]}
    )
    assert refreshed.status_code == 401
    assert log_in(academy.client, academy.slug, email).status_code == 401


def test_a_reactivated_user_signs_in_anew(academy: Academy) -> None:
    user_id, email = make_account(academy.database, academy.id)
    tokens = log_in(academy.client, academy.slug, email).json
    for deactivated in (True, False):
        academy.call("PATCH", f"/users/{user_id}", json={"deactivated": deactivated})
    assert academy.call("GET", "/me", headers=bearer(tokens)).status_code == 401
    assert log_in(academy.client, academy.slug, email).status_code == 200


@pytest.mark.parametrize("change", [{"deactivated": True}, {"account_type": "instructor"}])
def test_the_last_active_admin_stays(academy: Academy, change: dict[str, Any]) -> None:
    academy.invite("second@acme.example", "admin")  # has not joined, so cannot take over
    answer = academy.call("PATCH", f"/users/{academy.admin_id}", json=change)
    assert answer.status_code == 409
    assert answer.json["code"] == "last_admin"
    assert academy.call("GET", "/me").json["account_type"] == "admin"


def test_an_admin_may_go_when_another_stays(academy: Academy) -> None:
    make_account(academy.database, academy.id, "admin")
    answer = academy.call("PATCH", f"/users/{academy.admin_id}", json={"account_type": "student"})
    assert answer.status_code == 200
    assert academy.call("GET", "/users").status_code == 403


def test_two_admins_cannot_remove_each_other_at_once(app: Flask, academy: Academy) -> None:
    other_id, other_email = make_account(academy.database, academy.id, "admin")
    other = bearer(log_in(academy.client, academy.slug, other_email).json)
    answers: list[int] = []
    start = threading.Barrier(2)

    def remove(headers: dict[str, str], whom: UUID) -> None:
        client = app.test_client()
        start.wait()
        answers.append(
            client.patch(
                f"/api/v1/users/{whom}",
                base_url=academy.base_url,
                headers=headers,
                json={"deactivated": True},
            ).status_code
        )

    threads = [
        threading.Thread(target=remove, args=(academy.headers, other_id)),
        threading.Thread(target=remove, args=(other, academy.admin_id)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    left = academy.sql(
        "SELECT id FROM users WHERE account_type = 'admin' AND deactivated_at IS NULL"
    )
    assert len(left) == 1
    assert answers.count(200) == 1


def test_a_change_over_an_unseen_state_is_refused(academy: Academy) -> None:
    user_id, _ = make_account(academy.database, academy.id)
    etag = academy.call("GET", f"/users/{user_id}").headers["ETag"]
    guarded = {**academy.headers, "If-Match": etag}
    first = academy.call("PATCH", f"/users/{user_id}", headers=guarded, json={"name": "First"})
    second = academy.call("PATCH", f"/users/{user_id}", headers=guarded, json={"name": "Second"})
    assert (first.status_code, second.status_code) == (200, 412)


def test_changes_of_accounts_are_audited_without_names(academy: Academy) -> None:
    user_id, _ = make_account(academy.database, academy.id)
    academy.call(
        "PATCH", f"/users/{user_id}", json={"name": "Noor Haddad", "account_type": "instructor"}
    )
    [event] = academy.sql(
        "SELECT actor_id, action, before, after FROM audit_events WHERE subject_id = :id",
        id=user_id,
    )
    assert (event.actor_id, event.action) == (academy.admin_id, "user.update")
    assert event.before["account_type"] == "student"
    assert event.after["account_type"] == "instructor"
    assert event.after["changed"] == ["account_type", "name"]
    assert "Noor" not in str(event)


def test_a_user_of_another_organization_is_not_found(academy: Academy, acme: UUID) -> None:
    stranger, _ = make_account(academy.database, acme)
    assert academy.call("GET", f"/users/{stranger}").status_code == 404
    assert academy.call("PATCH", f"/users/{stranger}", json={"name": "X"}).status_code == 404
