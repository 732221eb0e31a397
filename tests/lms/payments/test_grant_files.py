from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from werkzeug.test import TestResponse

from lms.payments.errors import InvalidCsvError
from lms.payments.grant_files import MAX_ROWS, read_shares
from tests.factories.money import Academy
from tests.factories.people import Person


def send(
    academy: Academy,
    admin: Person,
    content: bytes,
    *,
    reason: str = "Vouchers",
    content_type: str = "text/csv",
    key: str | None = None,
) -> TestResponse:
    return academy.app.test_client().post(
        "/api/v1/credit-grants/import",
        base_url=f"http://{academy.slug}.localhost",
        headers={**admin.headers, "Idempotency-Key": key or str(uuid4())},
        query_string={"reason": reason},
        data=content,
        content_type=content_type,
    )


def amounts(content: bytes, currency: str = "EUR") -> list[int]:
    shares, errors = read_shares(content, currency)
    assert errors == []
    return [share.amount for share in shares]


def test_a_file_gives_everybody_their_own_amount(academy: Academy) -> None:
    admin, people = academy.person("admin"), [academy.person() for _ in range(2)]
    content = f"email,amount\n{people[0].email},25\n{people[1].email},0.50\n".encode()
    answer = send(academy, admin, content)
    assert answer.status_code == 201
    assert answer.get_json()["total"] == {"amount": 2550, "currency": "EUR"}
    assert answer.get_json()["reason"] == "Vouchers"
    assert [academy.balance(person) for person in people] == [2500, 50]
    academy.assert_books_balance()


def test_all_wrong_rows_are_told_at_once_and_nobody_gets_anything(academy: Academy) -> None:
    admin, person = academy.person("admin"), academy.person()
    rows = [
        "email,amount",
        f"{person.email},25.00",
        "nobody@example.com,25.00",
        f"{person.email},2.5",
        "no address,25,00",
        "no address,1e3",
    ]
    answer = send(academy, admin, "\r\n".join(rows).encode())
    assert (answer.status_code, answer.get_json()["code"]) == (422, "wrong_shares")
    pointers = [error["pointer"] for error in answer.get_json()["errors"]]
    assert pointers == [
        "/rows/3/email",
        "/rows/4/amount",
        "/rows/5",
        "/rows/6/email",
        "/rows/6/amount",
    ]
    assert academy.balance(person) == 0


def test_somebody_in_two_rows_is_named(academy: Academy) -> None:
    person = academy.person()
    content = f"email,amount\n{person.email},1\n{person.email.upper()},2\n".encode()
    answer = send(academy, academy.person("admin"), content)
    (error,) = answer.get_json()["errors"]
    assert (error["pointer"], "named twice" in error["message"]) == ("/rows/3/email", True)


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfemail,amount\r\na@acme.example,25.00\r\n",
        b"email,amount\na@acme.example,25.00",
        b"Amount, E-mail".replace(b"E-mail", b"EMAIL") + b'\n25,"a@acme.example"\n',
        b'"email","amount"\n\n" a@acme.example ","25.00"\n  \n',
    ],
    ids=["from a spreadsheet", "no last line end", "other order", "quotes and empty lines"],
)
def test_files_may_be_written_in_many_ways(content: bytes) -> None:
    shares, errors = read_shares(content, "EUR")
    assert ([(one.learner, one.amount) for one in shares], errors) == (
        [("a@acme.example", 2500)],
        [],
    )


@pytest.mark.parametrize(
    ("currency", "written", "minor"),
    [("EUR", "0.01", 1), ("JPY", "25", 25), ("BHD", "1.250", 1250), ("EUR", "007", 700)],
)
def test_amounts_are_decimal_numbers_of_the_currency(
    currency: str, written: str, minor: int
) -> None:
    assert amounts(f"email,amount\na@acme.example,{written}".encode(), currency) == [minor]


@pytest.mark.parametrize(
    ("currency", "written"),
    [
        *(("EUR", wrong) for wrong in ("", "0", "-1", "+1", "1.5", "1.000", "1e3", ".5", "٣")),
        *(("EUR", wrong) for wrong in ("10000000000.01", "99999999999999", "=1+1", "1 000")),
        ("JPY", "1.00"),
    ],
)
def test_what_is_no_amount_is_refused_and_never_rounded(currency: str, written: str) -> None:
    shares, errors = read_shares(f"email,amount\na@acme.example,{written}".encode(), currency)
    assert shares == []
    assert [error["pointer"] for error in errors] == ["/rows/2/amount"]


@pytest.mark.parametrize(
    ("row", "pointer", "message"),
    [
        *((row, "/rows/3", "Names nobody; leave the line out.") for row in (",", " , ", ",,")),
        ("b@acme.example", "/rows/3", "Has 1 field, not two."),
        ("b@acme.example,25,00", "/rows/3", "Has 3 fields, not two."),
        ("b@acme.example,0.00", "/rows/3/amount", "Must be more than nothing."),
        (
            "b@acme.example,10000000000.01",
            "/rows/3/amount",
            "Too much: at most 10000000000.00 EUR.",
        ),
        (f"b@acme.example,{'9' * 30}", "/rows/3/amount", "Too much: at most 10000000000.00 EUR."),
        ("b@acme.example,2.5", "/rows/3/amount", "Not an amount of EUR; write it like 25.00."),
    ],
)
def test_what_is_wrong_with_a_row_is_said(row: str, pointer: str, message: str) -> None:
    shares, errors = read_shares(f"email,amount\na@acme.example,25\n{row}\n".encode(), "EUR")
    assert [share.learner for share in shares] == ["a@acme.example"]
    assert errors == [{"pointer": pointer, "message": message}]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"email,amount\n",
        b"a@acme.example,25\n",
        b"email;amount\na@acme.example;25\n",
        b"email,amount,amount\na@acme.example,25,25\n",
        b"email,amount\n\xff\xfe,25\n",
        b'email,amount\n"a@acme.example,25\n',
        b"email,amount\n" + b"a@acme.example,25\n" * (MAX_ROWS + 1),
    ],
    ids=["empty", "no rows", "no header", "semicolons", "thrice", "not UTF-8", "open", "long"],
)
def test_what_is_no_such_file_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidCsvError):
        read_shares(content, "EUR")


def test_a_file_of_another_type_is_415(academy: Academy) -> None:
    answer = send(academy, academy.person("admin"), b"{}", content_type="application/json")
    assert answer.status_code == 415


def test_only_admins_send_files(academy: Academy) -> None:
    for role in ("student", "instructor"):
        person: Any = academy.person(role)
        content = f"email,amount\n{person.email},25\n".encode()
        assert send(academy, person, content).status_code == 403


def test_a_file_sent_again_gives_once_and_for_another_reason_is_another_request(
    academy: Academy,
) -> None:
    admin, person, key = academy.person("admin"), academy.person(), str(uuid4())
    content = f"email,amount\n{person.email},25\n".encode()
    first, again = (send(academy, admin, content, key=key) for _ in range(2))
    assert again.get_json() == first.get_json()
    other = send(academy, admin, content, key=key, reason="Another")
    assert (other.status_code, other.get_json()["code"]) == (422, "idempotency_key_reused")
    assert academy.balance(person) == 2500
