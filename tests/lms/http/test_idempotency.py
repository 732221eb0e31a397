from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from lms.core.ids import new_id
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
