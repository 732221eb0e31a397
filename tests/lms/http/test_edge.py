from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from sqlalchemy import event, text

from lms.core.ids import new_id
from tenants.session import Database, OrganizationScope
from tests.factories.people import Person, make_user


@pytest.fixture
def student(database: Database, acme: UUID) -> Person:
    return make_user(database, acme, "student")


@pytest.fixture
def admin(database: Database, acme: UUID) -> Person:
    return make_user(database, acme, "admin")


def was_stored(database: Database, organization: UUID, email: str) -> int:
    with database.transaction(OrganizationScope(organization)) as session:
        query = text("SELECT count(*) FROM users WHERE email = :email")
        return session.execute(query, {"email": email}).scalar_one()


def post(client: FlaskClient, path: str, person: Person, body: Any, **headers: str) -> Any:
    return client.post(f"/api/v1{path}", json=body, headers={**person.headers, **headers})


def test_one_request_is_one_transaction_that_commits(
    client: FlaskClient, database: Database, acme: UUID, student: Person
) -> None:
    email = f"ok-{new_id()}"
    assert post(client, "/probe", student, {"email": email}).status_code == 201
    assert was_stored(database, acme, email) == 1


@pytest.mark.parametrize("outcome", [("fail", 409), ("bug", 500), ("gone", 503)])
def test_a_request_that_fails_leaves_nothing(
    client: FlaskClient,
    database: Database,
    acme: UUID,
    student: Person,
    outcome: tuple[str, int],
) -> None:
    prefix, status = outcome
    email = f"{prefix}-{new_id()}"
    answer = post(client, "/probe", student, {"email": email})
    assert answer.status_code == status
    assert answer.mimetype == "application/problem+json"
    assert was_stored(database, acme, email) == 0


def test_a_database_that_breaks_at_commit_is_answered_with_retry_after(
    client: FlaskClient, student: Person
) -> None:
    answer = post(client, "/probe", student, {"email": f"gone-{new_id()}"})
    assert answer.headers["Retry-After"] == "2"


def test_a_recorded_refusal_keeps_its_mark_and_loses_the_rest(
    client: FlaskClient, database: Database, acme: UUID, student: Person
) -> None:
    email = f"mark-{new_id()}"
    answer = post(client, "/declined", student, {"email": email})
    assert (answer.status_code, answer.json["code"]) == (402, "declined")
    assert was_stored(database, acme, email) == 1
    assert was_stored(database, acme, "lost-" + email) == 0


def test_the_organization_comes_from_the_host(
    client: FlaskClient, acme: UUID, globex: UUID
) -> None:
    for host, organization in (("acme.localhost", acme), ("GLOBEX.localhost:8000", globex)):
        answer = client.get("/api/v1/public", headers={"Host": host})
        assert answer.json["email"] == str(organization)


@pytest.mark.parametrize("host", ["nobody.localhost", "admin.localhost", "localhost", "127.0.0.1"])
def test_unknown_hosts_and_the_platforms_answer_one_and_the_same_404(
    client: FlaskClient, host: str
) -> None:
    answer = client.get("/api/v1/public", headers={"Host": host})
    assert (answer.status_code, answer.json["code"]) == (404, "not_found")


def test_platform_operations_run_as_the_platforms_role_on_its_host_only(
    client: FlaskClient,
) -> None:
    path = "/api/v1/platform/public"
    assert client.get(path, headers={"Host": "admin.localhost"}).json["email"] == "platform"
    assert client.get(path, headers={"Host": "acme.localhost"}).status_code == 404


def test_no_token_is_401_with_a_challenge(client: FlaskClient) -> None:
    answer = client.get("/api/v1/thing")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.json["code"] == "invalid_token"


@pytest.mark.parametrize("value", ["Bearer x", "Bearer a.b.c", "Basic abc", "Bearer ", "x"])
def test_a_token_that_is_none_is_401(client: FlaskClient, value: str) -> None:
    answer = client.get("/api/v1/thing", headers={"Authorization": value})
    assert answer.status_code == 401


def test_a_token_holds_on_its_own_organizations_host_only(
    client: FlaskClient, globex: UUID, student: Person
) -> None:
    headers = {**student.headers, "Host": "globex.localhost"}
    assert client.get("/api/v1/thing", headers=headers).status_code == 401


def test_a_token_that_held_ends_with_its_time(
    client: FlaskClient, student: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client.get("/api/v1/thing", headers=student.headers).status_code == 200
    later = SimpleNamespace(time=lambda: time.time() + 901)
    monkeypatch.setattr("lms.http.auth.time", later)
    answer = client.get("/api/v1/thing", headers=student.headers)
    assert (answer.status_code, answer.json["code"]) == (401, "invalid_token")


def test_an_account_type_that_may_not_is_403(
    client: FlaskClient, student: Person, admin: Person
) -> None:
    answer = client.get("/api/v1/admins-only", headers=student.headers)
    assert (answer.status_code, answer.json["required"]) == (403, "admin")
    assert client.get("/api/v1/admins-only", headers=admin.headers).status_code == 200


def test_a_sign_in_ends_with_its_revocation(
    client: FlaskClient, database: Database, acme: UUID, student: Person
) -> None:
    with database.transaction(OrganizationScope(acme)) as session:
        session.execute(
            text("UPDATE user_sessions SET revoked_at = now() WHERE id = :id"),
            {"id": student.session_id},
        )
    assert client.get("/api/v1/thing", headers=student.headers).status_code == 401


def test_a_path_with_characters_that_no_store_holds_is_404(
    client: FlaskClient, student: Person
) -> None:
    assert client.get("/api/v1/words/a%00b", headers=student.headers).status_code == 404
    assert client.get("/api/v1/words/ab", headers=student.headers).status_code == 200


def test_a_request_that_met_a_migration_is_done_again(client: FlaskClient, student: Person) -> None:
    assert client.get("/api/v1/stale", headers=student.headers).status_code == 200


def test_an_etag_is_given_and_spares_the_second_download(
    client: FlaskClient, student: Person
) -> None:
    first = client.get("/api/v1/thing", headers=student.headers)
    assert first.headers["ETag"] == '"3"'
    again = client.get("/api/v1/thing", headers={**student.headers, "If-None-Match": '"3"'})
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["ETag"] == '"3"'
    weak = client.get("/api/v1/thing", headers={**student.headers, "If-None-Match": 'W/"3"'})
    assert weak.status_code == 304


def test_what_shows_more_than_its_row_is_never_304(client: FlaskClient, student: Person) -> None:
    answer = client.get("/api/v1/seats", headers={**student.headers, "If-None-Match": '"3"'})
    assert (answer.status_code, answer.headers["ETag"]) == (200, '"3"')


def test_a_write_that_needs_if_match_says_so(client: FlaskClient, student: Person) -> None:
    assert client.patch("/api/v1/thing", headers=student.headers).status_code == 428


@pytest.mark.parametrize("tag", ['"x"', 'W/"3"', "", '"-1"', '"9999999999999999999999"'])
def test_an_if_match_that_is_not_ours_is_stale(
    client: FlaskClient, student: Person, tag: str
) -> None:
    headers = {**student.headers, "If-Match": tag}
    assert client.patch("/api/v1/thing", headers=headers).status_code == 412


def test_requests_of_one_kind_need_a_known_number_of_statements(
    client: FlaskClient, app: Any, student: Person
) -> None:
    statements: list[str] = []
    engine = app.extensions["edge"].database.events

    def note(_c: object, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)

    client.get("/api/v1/thing", headers=student.headers)
    event.listen(engine, "before_cursor_execute", note)
    try:
        client.get("/api/v1/thing", headers=student.headers)
    finally:
        event.remove(engine, "before_cursor_execute", note)
    # The host's look-up; its cache is off in tests. The actor comes with the binding.
    assert len(statements) == 1


def test_an_operation_without_query_parameters_refuses_every_one(
    client: FlaskClient, student: Person
) -> None:
    answer = client.get("/api/v1/seats?page=2", headers=student.headers)
    assert answer.status_code == 422
    assert answer.json["errors"] == [{"pointer": "page", "message": "Unknown field."}]
