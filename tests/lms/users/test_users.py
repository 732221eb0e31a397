from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tenants.session import OrganizationScope
from tests.factories.accounts import bearer, held, log_in, make_account
from tests.lms.users.conftest import Academy


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
    other_id, _ = make_account(academy.database, academy.id, "admin")

    def remove(whom: UUID) -> TestResponse:
        return app.test_client().patch(
            f"/api/v1/users/{whom}",
            base_url=academy.base_url,
            headers=academy.headers,
            json={"deactivated": True},
        )

    with ThreadPoolExecutor(1) as threads:
        with held(academy.database, OrganizationScope(academy.id)) as removal:
            removal.sql("UPDATE users SET deactivated_at = now() WHERE id = :id", id=other_id)
            removing = threads.submit(remove, academy.admin_id)
            removal.wait_until_in_the_way_of(removing)
        refused = removing.result(timeout=10)
    assert refused.status_code == 409
    assert refused.json["code"] == "last_admin"


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
