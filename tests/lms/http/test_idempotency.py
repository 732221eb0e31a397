from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from lms.core.ids import new_id
from lms.http.idempotency import IdempotentRequest, RequestInProgressError
from tenants.session import Database, OrganizationScope
from tests.factories.people import Person, make_user


@pytest.fixture
def student(database: Database, acme: UUID) -> Person:
    return make_user(database, acme, "student")


def send(client: FlaskClient, person: Person, email: str, key: str) -> Any:
    headers = {**person.headers, "Idempotency-Key": key}
    return client.post("/api/v1/money", json={"email": email}, headers=headers)


def stored(database: Database, organization: UUID, email: str) -> int:
    with database.transaction(OrganizationScope(organization)) as session:
        query = text("SELECT count(*) FROM users WHERE email = :email")
        return session.execute(query, {"email": email}).scalar_one()


def test_the_same_key_and_request_replays_the_first_answer(
    client: FlaskClient, database: Database, acme: UUID, student: Person
) -> None:
    key, email = str(uuid4()), f"once-{new_id()}"
    first, second = send(client, student, email, key), send(client, student, email, key)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.data == second.data
    assert "Idempotency-Replayed" not in first.headers
    assert second.headers["Idempotency-Replayed"] == "true"
    assert stored(database, acme, email) == 1


def test_the_same_key_with_another_request_is_refused(client: FlaskClient, student: Person) -> None:
    key = str(uuid4())
    send(client, student, f"one-{new_id()}", key)
    answer = send(client, student, f"two-{new_id()}", key)
    assert (answer.status_code, answer.json["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize("key", ["", "k" * 256, "a\tb"])
def test_a_missing_or_unusable_key_is_refused(
    client: FlaskClient, student: Person, key: str
) -> None:
    answer = send(client, student, "x@acme.example", key)
    assert (answer.status_code, answer.json["code"]) == (400, "idempotency_key_missing")


def test_a_failed_request_stores_nothing_so_the_key_may_be_tried_again(
    client: FlaskClient, database: Database, acme: UUID, student: Person
) -> None:
    key = str(uuid4())
    headers = {**student.headers, "Idempotency-Key": key}
    assert client.post("/api/v1/money", json={}, headers=headers).status_code == 422
    email = f"later-{new_id()}"
    assert send(client, student, email, key).status_code == 201


def test_keys_of_different_users_never_meet(
    client: FlaskClient, database: Database, acme: UUID, student: Person
) -> None:
    other = make_user(database, acme, "student")
    key = str(uuid4())
    for person in (student, other):
        answer = send(client, person, f"mine-{new_id()}", key)
        assert answer.status_code == 201


def test_many_at_once_with_one_key_have_one_effect_and_one_answer(
    app: Flask, database: Database, acme: UUID, student: Person
) -> None:
    key, email = str(uuid4()), f"storm-{new_id()}"

    def one(_number: int) -> Any:
        return send(app.test_client(), student, email, key)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(one, range(8)))
    assert stored(database, acme, email) == 1
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.data for answer in answers if answer.status_code == 201}) == 1


def send_in_steps(client: FlaskClient, person: Person, email: str, key: str) -> Any:
    headers = {**person.headers, "Idempotency-Key": key}
    return client.post("/api/v1/money-in-steps", json={"email": email}, headers=headers)


def set_claim(database: Database, organization: UUID, key: str, until: str) -> None:
    with database.transaction(OrganizationScope(organization)) as session:
        session.execute(
            text(
                "UPDATE idempotency_keys SET status = NULL, body = NULL,"
                " claimed_until = now() + CAST(:until AS interval) WHERE key = :key"
            ),
            {"until": until, "key": key},
        )


def test_in_steps_a_second_request_is_told_to_wait_while_the_first_runs(
    client: FlaskClient, database: Database, acme: UUID, student: Person
) -> None:
    key, email = str(uuid4()), f"steps-{new_id()}"
    send_in_steps(client, student, email, key)
    set_claim(database, acme, key, "1 minute")
    answer = send_in_steps(client, student, email, key)
    assert (answer.status_code, answer.json["code"]) == (409, "request_in_progress")


def test_in_steps_a_crashed_request_is_resumed_under_the_same_id(
    client: FlaskClient, database: Database, acme: UUID, student: Person
) -> None:
    key, email = str(uuid4()), f"steps-{new_id()}"
    first = send_in_steps(client, student, email, key)
    set_claim(database, acme, key, "-1 second")
    assert send_in_steps(client, student, email, key).data == first.data


def test_in_steps_a_failed_request_lets_the_key_go_at_once(
    client: FlaskClient, student: Person
) -> None:
    key, email = str(uuid4()), f"unlucky-{new_id()}"
    assert send_in_steps(client, student, email, key).json["code"] == "conflict"
    assert send_in_steps(client, student, email, key).json["code"] == "conflict"


def test_in_steps_another_request_with_the_key_does_not_let_it_go(
    client: FlaskClient, database: Database, acme: UUID, student: Person
) -> None:
    key, email = str(uuid4()), f"steps-{new_id()}"
    send_in_steps(client, student, email, key)
    set_claim(database, acme, key, "1 minute")
    assert send_in_steps(client, student, "other@acme.example", key).status_code == 422
    assert send_in_steps(client, student, email, key).json["code"] == "request_in_progress"


def test_a_request_whose_claim_was_undone_does_not_let_anothers_go(
    client: FlaskClient, database: Database, acme: UUID, student: Person
) -> None:
    scope, key = OrganizationScope(acme), str(uuid4())
    first, second = (IdempotentRequest(student.id, "buy", key, "same") for _ in range(2))
    with pytest.raises(ZeroDivisionError), database.transaction(scope) as session:
        first.claim(session)
        raise ZeroDivisionError
    with database.transaction(scope) as session:
        second.claim(session)
    with database.transaction(scope) as session:
        first.let_go(session)
    third = IdempotentRequest(student.id, "buy", key, "same")
    with pytest.raises(RequestInProgressError), database.transaction(scope) as session:
        third.claim(session)


def test_a_replay_repeats_the_headers_that_matter(client: FlaskClient, student: Person) -> None:
    key, email = str(uuid4()), f"steps-{new_id()}"
    send_in_steps(client, student, email, key)
    again = send_in_steps(client, student, email, key)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.headers["Location"].endswith("/later")


def test_while_the_first_request_is_in_its_transaction_the_second_is_told_409(
    client: FlaskClient, database: Database, acme: UUID, student: Person
) -> None:
    key, email = str(uuid4()), f"held-{new_id()}"
    with database.transaction(OrganizationScope(acme)) as session:
        session.execute(
            text(
                "INSERT INTO idempotency_keys (user_id, operation, key, request_hash, subject_id,"
                " claimed_until) VALUES (:user, 'probeMoney', :key, 'x', :user, now())"
            ),
            {"user": student.id, "key": key},
        )
        answer = send(client, student, email, key)
    assert (answer.status_code, answer.json["code"]) == (409, "request_in_progress")
