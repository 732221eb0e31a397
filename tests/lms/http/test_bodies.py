from __future__ import annotations

import io
import json
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from lms.core.ids import new_id
from tenants.session import Database
from tests.factories.people import Person, make_user

WITH_AN_OFFSET = "Give a date and time with its offset, such as 2026-01-31T12:00:00Z."


@pytest.fixture
def student(database: Database, acme: UUID) -> Person:
    return make_user(database, acme, "student")


def send(client: FlaskClient, person: Person, body: bytes, kind: str = "application/json") -> Any:
    return client.post("/api/v1/probe", data=body, content_type=kind, headers=person.headers)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"nonsense",
        b'{"email": "a", "email": "b"}',
        b'{"email": "a\\u0000b"}',
        b'{"email": "\\ud800"}',
        b'{"a\\u0000": 1}',
        b'{"email": NaN}',
        b'{"email": Infinity}',
        b'{"email": 9223372036854775808}',
        b'{"email": ' + b"9" * 5000 + b"}",
        b'{"email": 1e999}',
        b"[" * 1000 + b"]" * 1000,
        b'{"email": "\xff"}',
        "{}".encode("utf-16"),
    ],
)
def test_bodies_that_no_store_can_hold_are_400(
    client: FlaskClient, student: Person, body: bytes
) -> None:
    answer = send(client, student, body)
    assert (answer.status_code, answer.json["code"]) == (400, "malformed_body")


def test_what_closes_more_than_it_opened_is_refused_where_it_does(
    client: FlaskClient, student: Person
) -> None:
    answer = send(client, student, b"{}" + b"}" * 100_000)
    assert "more is closed than was opened" in answer.json["detail"]


def test_the_name_of_a_member_that_is_not_ours_is_repeated_in_part(
    client: FlaskClient, student: Person
) -> None:
    body = json.dumps({"email": "a", "a/b~" * 100_000: 1}).encode()
    [error] = send(client, student, body).json["errors"]
    assert error["pointer"] == "/" + "a~1b~0" * 50 + "\N{HORIZONTAL ELLIPSIS}"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b"{}", "/email"),
        (b"[]", ""),
        (b'"text"', ""),
        (b"null", ""),
        (b'{"email": 5}', "/email"),
        (b'{"email": "   "}', "/email"),
        (b'{"email": "a", "unknown": 1}', "/unknown"),
        (b'{"email": "a", "price": {"amount": "5", "currency": "EUR"}}', "/price/amount"),
        (b'{"email": "a", "price": {"amount": 1.5, "currency": "EUR"}}', "/price/amount"),
        (b'{"email": "a", "price": {"amount": true, "currency": "EUR"}}', "/price/amount"),
        (b'{"email": "a", "price": {"amount": -1, "currency": "EUR"}}', "/price/amount"),
        (b'{"email": "a", "price": {"amount": 1, "currency": "XYZ"}}', "/price/currency"),
        (b'{"email": "a", "at": "2027-01-01T00:00:00"}', "/at"),
        (b'{"email": "a", "at": "0001-01-01T00:00:00+14:00"}', "/at"),
        (b'{"email": "a", "at": 5}', "/at"),
    ],
)
def test_what_a_schema_does_not_allow_is_422_and_points_at_it(
    client: FlaskClient, student: Person, body: bytes, pointer: str
) -> None:
    answer = send(client, student, body)
    assert (answer.status_code, answer.json["code"]) == (422, "validation_failed")
    assert pointer in [error["pointer"] for error in answer.json["errors"]]


@pytest.mark.parametrize(
    ("moment", "message"),
    [
        ("2027-01-01T00:00:00", WITH_AN_OFFSET),
        ("tomorrow", WITH_AN_OFFSET),
        ("0001-01-01T00:00:00Z", "Give a year from 1970 to 9998."),
    ],
)
def test_a_moment_is_asked_for_by_an_example(
    client: FlaskClient, student: Person, moment: str, message: str
) -> None:
    answer = send(client, student, f'{{"email": "a", "at": "{moment}"}}'.encode())
    assert answer.json["errors"] == [{"pointer": "/at", "message": message}]


@pytest.mark.parametrize(
    "text",
    ["[" * 100, '\\"' + "{" * 100, "\\\\", "]" * 100],
    ids=["open", "quoted", "escape", "closed"],
)
def test_brackets_in_texts_are_no_nesting(client: FlaskClient, student: Person, text: str) -> None:
    body = f'{{"email": "{text}", "unknown": "{text}"}}'.encode()
    answer = send(client, student, body)
    assert [error["pointer"] for error in answer.json["errors"]] == ["/unknown"]


def test_an_operation_that_takes_a_body_needs_one(client: FlaskClient, student: Person) -> None:
    answer = client.post("/api/v1/probe", headers=student.headers)
    assert (answer.status_code, answer.json["code"]) == (400, "malformed_body")


def test_a_post_whose_members_are_all_optional_needs_none(
    client: FlaskClient, student: Person
) -> None:
    for body in (b"", b"{}"):
        answer = client.post(
            "/api/v1/choice", data=body, headers=student.headers, content_type="application/json"
        )
        assert (answer.status_code, answer.json["email"]) == (200, "nobody")
    assert client.post("/api/v1/choice", headers=student.headers).status_code == 200
    patched = client.patch("/api/v1/choice", headers=student.headers)
    assert (patched.status_code, patched.json["code"]) == (400, "malformed_body")


@pytest.mark.parametrize("character", ["\u202a", "\u202e", "\u2066", "\u2069", "\u0085", "\x1b"])
def test_a_line_of_text_has_nothing_that_turns_or_breaks_it(
    client: FlaskClient, student: Person, character: str
) -> None:
    body = json.dumps({"email": f"dana{character}eve@acme.example"}).encode()
    answer = send(client, student, body)
    assert answer.status_code == 422
    assert answer.json["errors"] == [{"pointer": "/email", "message": "Has control characters."}]


@pytest.mark.parametrize("word", [b"1", b"0", b"1.0", b'"true"', b'"yes"', b'"on"', b"[]"])
def test_only_true_and_false_are_booleans(
    client: FlaskClient, student: Person, word: bytes
) -> None:
    answer = send(client, student, b'{"email": "a", "flag": ' + word + b"}")
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json["errors"]] == ["/flag"]


def test_a_whole_number_may_be_written_with_a_point(client: FlaskClient, student: Person) -> None:
    email = f"{new_id()}@acme.example"
    body = f'{{"email": "{email}", "price": {{"amount": 5.0, "currency": "EUR"}}}}'
    assert send(client, student, body.encode()).status_code == 201


@pytest.mark.parametrize("amount", [b"5.5", b"9007199254740994.0", b"1e18"])
def test_fractions_and_numbers_beyond_exactness_are_no_whole_numbers(
    client: FlaskClient, student: Person, amount: bytes
) -> None:
    body = b'{"email": "a", "price": {"amount": ' + amount + b', "currency": "EUR"}}'
    answer = send(client, student, body)
    assert [error["pointer"] for error in answer.json["errors"]] == ["/price/amount"]


@pytest.mark.parametrize("host", ["..localhost", ".localhost", "a" * 64 + ".localhost", "a b"])
def test_a_host_that_cannot_be_is_as_absent_as_an_unknown_one(
    client: FlaskClient, host: str
) -> None:
    answer = client.get("/api/v1/thing", headers={"Host": host})
    assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")


@pytest.mark.parametrize("kind", ["text/xml", "application/x-www-form-urlencoded", "text/plain"])
def test_another_format_is_415(client: FlaskClient, student: Person, kind: str) -> None:
    answer = send(client, student, b'{"email": "a"}', kind)
    assert (answer.status_code, answer.json["code"]) == (415, "unsupported_media_type")


def test_a_huge_body_is_413(client: FlaskClient, student: Person) -> None:
    answer = send(client, student, b'{"email": "' + b"a" * 2_000_000 + b'"}')
    assert answer.status_code == 413
    assert answer.mimetype == "application/problem+json"


@pytest.mark.parametrize(
    ("query", "status"),
    [
        *(("word=a&word=b", 400), ("word=%00", 400), ("other=1", 422), ("word=", 422)),
        *((f"word={text}", 400) for text in ("%ff", "%c3%28", "%ed%a0%80", "a%f0%9f%92")),
        *(("%ff=1", 400), ("word=%ef%bf%bd", 200), ("word=%f0%9f%92%a9", 200)),
    ],
)
def test_query_parameters_are_as_strict(
    client: FlaskClient, student: Person, query: str, status: int
) -> None:
    answer = client.get(f"/api/v1/thing?{query}", headers=student.headers)
    assert answer.status_code == status


def test_a_wrong_method_is_405_and_names_the_right_ones(client: FlaskClient) -> None:
    answer = client.delete("/api/v1/probe")
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]
    assert answer.mimetype == "application/problem+json"


def test_a_path_that_is_not_there_is_a_problem_too(client: FlaskClient) -> None:
    answer = client.get("/api/v1/nowhere/at/all")
    assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")


def test_texts_of_other_scripts_are_welcome(client: FlaskClient, student: Person) -> None:
    word = f"Lea Novák 李雷 {new_id()}"
    answer = client.post("/api/v1/probe", json={"email": word.lower()}, headers=student.headers)
    assert answer.status_code == 201


@pytest.mark.parametrize(("given", "kept"), [("abc-123", True), ("a b", False), ("x" * 129, False)])
def test_a_request_id_is_kept_when_it_is_sane_and_made_otherwise(
    client: FlaskClient, given: str, kept: bool
) -> None:
    answer = client.get("/healthz", headers={"X-Request-ID": given})
    assert (answer.headers["X-Request-ID"] == given) is kept
    assert answer.headers["X-Request-ID"]


@pytest.mark.parametrize("size", [1024 * 1024, 3 * 1024 * 1024])
def test_a_chunked_body_that_reaches_the_limit_is_413_and_never_a_stump(
    client: FlaskClient, student: Person, size: int
) -> None:
    body = b'{"email": "stump@acme.example"}'.ljust(1024 * 1024) + b"x" * (size - 1024 * 1024)
    answer = client.post(
        "/api/v1/probe",
        input_stream=io.BytesIO(body),
        content_type="application/json",
        headers=student.headers,
        environ_overrides={"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True},
    )
    assert answer.status_code == 413


def test_a_body_that_ends_early_is_refused_though_it_is_json(
    client: FlaskClient, student: Person
) -> None:
    answer = client.post(
        "/api/v1/probe",
        input_stream=io.BytesIO(b'{"email": "half@acme.example"}'),
        content_type="application/json",
        headers=student.headers,
        environ_overrides={"CONTENT_LENGTH": "1000", "wsgi.input_terminated": True},
    )
    assert (answer.status_code, answer.json["code"]) == (400, "malformed_body")


def test_wrong_query_parameters_are_named(client: FlaskClient, student: Person) -> None:
    answer = client.get("/api/v1/thing?word=&other=1", headers=student.headers)
    assert {error["pointer"] for error in answer.json["errors"]} == {"word", "other"}


def test_the_instance_of_a_problem_is_a_uri_reference(client: FlaskClient) -> None:
    answer = client.get("/api/v1/%C3%A4%20b%22")
    assert answer.json["instance"] == "/api/v1/%C3%A4%20b%22"


@pytest.mark.parametrize("text", ["a\nb", "a\tb", "a\x07b", "a\x7fb", "a\u0085b"])
def test_control_characters_in_a_line_are_refused(
    client: FlaskClient, student: Person, text: str
) -> None:
    answer = client.post("/api/v1/probe", json={"email": text}, headers=student.headers)
    assert answer.status_code == 422
