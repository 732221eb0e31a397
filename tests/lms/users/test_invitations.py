from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from lms.core.queue import Doorbell
from lms.users import invitations, operations
from tenants.session import OrganizationScope
from tests.factories.accounts import bearer, held, log_in, make_account, password_hash
from tests.lms.users.conftest import Academy


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


def test_who_has_not_joined_is_invited_again_and_older_invitations_stop_working(
    academy: Academy,
) -> None:
    first = academy.invite("dana@acme.example").json
    again = academy.invite("DANA@acme.example")
    assert again.status_code == 201
    assert again.json["id"] == first["id"]
    refused = academy.accept(first["invitation"]["token"])
    assert refused.json["code"] == "invalid_invitation"
    assert academy.accept(again.json["invitation"]["token"]).status_code == 200


def test_an_expired_invitation_can_be_replaced(academy: Academy) -> None:
    academy.invite("dana@acme.example")
    academy.sql("UPDATE invitations SET expires_at = now()")
    token = academy.invite("dana@acme.example").json["invitation"]["token"]
    assert academy.accept(token).status_code == 200


def test_an_invitation_leaves_those_of_other_people_alone(academy: Academy) -> None:
    dana = academy.invite("dana@acme.example").json["invitation"]["token"]
    academy.invite("noor@acme.example")
    assert academy.accept(dana).status_code == 200


def test_inviting_again_changes_the_account_as_sent_and_is_audited(academy: Academy) -> None:
    user_id = academy.invite("dana@acme.example").json["id"]
    academy.call(
        "POST",
        "/users",
        json={"email": "dana@acme.example", "name": "Dana R.", "account_type": "instructor"},
    )
    account = academy.call("GET", f"/users/{user_id}")
    assert (account.json["name"], account.json["account_type"]) == ("Dana R.", "instructor")
    assert account.headers["ETag"] == '"2"'
    events = academy.sql(
        "SELECT actor_id, action, before, after FROM audit_events WHERE subject_id = :id"
        " ORDER BY id",
        id=user_id,
    )
    assert [event.action for event in events] == ["user.create", "user.invite_again"]
    assert events[1].actor_id == academy.admin_id
    assert events[1].before["account_type"] == "student"
    assert events[1].after["account_type"] == "instructor"


def test_who_has_joined_is_not_invited_again(academy: Academy) -> None:
    _, email = make_account(academy.database, academy.id)
    answer = academy.invite(email.upper())
    assert answer.status_code == 409
    assert answer.json["code"] == "email_taken"


def test_who_was_deactivated_before_joining_is_not_invited_again(academy: Academy) -> None:
    user_id = academy.invite("dana@acme.example").json["id"]
    academy.call("PATCH", f"/users/{user_id}", json={"deactivated": True})
    assert academy.invite("dana@acme.example").status_code == 409


def test_of_two_invitations_at_once_the_newer_one_holds(app: Flask, academy: Academy) -> None:
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
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json["id"] == answers[1].json["id"]
    accepted = [academy.accept(one.json["invitation"]["token"]).status_code for one in answers]
    assert sorted(accepted) == [200, 422]


def test_who_is_joining_right_now_is_not_invited_again(app: Flask, academy: Academy) -> None:
    token = academy.invite("dana@acme.example").json["invitation"]["token"]

    def invite() -> TestResponse:
        return app.test_client().post(
            "/api/v1/users",
            base_url=academy.base_url,
            headers=academy.headers,
            json={"email": "dana@acme.example", "name": "X", "account_type": "admin"},
        )

    with ThreadPoolExecutor(1) as threads:
        with held(academy.database, OrganizationScope(academy.id)) as joining:
            doorbell = app.extensions["edge"].services.get(Doorbell)
            invitations.accept(joining.session, doorbell, token, password_hash(), name=None)
            inviting = threads.submit(invite)
            joining.wait_until_in_the_way_of(inviting)
        assert inviting.result(timeout=10).json["code"] == "email_taken"
    [row] = academy.sql("SELECT account_type FROM users WHERE email = 'dana@acme.example'")
    assert row.account_type == "student"


def test_a_deactivation_waits_for_somebody_being_invited_again(
    app: Flask, academy: Academy
) -> None:
    user_id = academy.invite("dana@acme.example").json["id"]

    def deactivate() -> TestResponse:
        return app.test_client().patch(
            f"/api/v1/users/{user_id}",
            base_url=academy.base_url,
            headers=academy.headers,
            json={"deactivated": True},
        )

    with ThreadPoolExecutor(1) as threads:
        with held(academy.database, OrganizationScope(academy.id)) as inviting:
            operations.create_user(
                inviting.session,
                academy.admin_id,
                email="dana@acme.example",
                name="Dana Reyes",
                account_type="student",
            )
            deactivating = threads.submit(deactivate)
            inviting.wait_until_in_the_way_of(deactivating)
        assert deactivating.result(timeout=10).json["deactivated"] is True


@pytest.mark.parametrize("address", ["dana", "dana@", "dana@localhost", "a b@acme.example"])
def test_what_is_no_address_is_refused(academy: Academy, address: str) -> None:
    answer = academy.invite(address)
    assert answer.status_code == 422
    assert answer.json["errors"][0]["pointer"] == "/email"
