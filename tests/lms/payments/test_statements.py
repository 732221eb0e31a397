from __future__ import annotations

import csv
import io
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import pytest

from lms.core.ids import new_id
from lms.payments import statements
from tests.factories.money import Academy
from tests.factories.people import Person

OWN = "/wallet/statement"


def adjust(academy: Academy, person: Person, amount: int, reason: str = "x") -> None:
    body = {"amount": {"amount": amount, "currency": "EUR"}, "reason": reason}
    path = f"/users/{person.id}/wallet/adjustments"
    assert academy.post(path, academy.person("admin"), body).status_code == 201


def moved_in_january(academy: Academy) -> Person:
    """A learner with five movements, one on each of the first days of January 2027."""
    person = academy.person()
    for amount in (1000, -300, 500, -200, 50):
        adjust(academy, person, amount)
    academy.execute_as_owner(
        "UPDATE wallet_transactions t SET created_at ="
        " timestamptz '2027-01-01T12:00:00Z' + (t.seq - 1) * interval '1 day'"
        " FROM wallets w WHERE w.id = t.wallet_id AND w.user_id = :id",
        id=person.id,
    )
    return person


def day(number: int) -> str:
    return f"2027-01-{number:02}T00:00:00Z"


def read(academy: Academy, person: Person, path: str = OWN, **query: str) -> dict[str, Any]:
    answer = academy.get(path, person, **query)
    assert answer.status_code == 200, answer.text
    return answer.get_json()


def minor(statement: dict[str, Any]) -> tuple[int, list[int], int]:
    """Opening balance, amounts and closing balance; every row's balance is recomputed."""
    balance = opening = statement["opening_balance"]["amount"]
    for row in statement["items"]:
        balance += row["amount"]["amount"]
        assert row["balance_after"]["amount"] == balance
    if statement["next_cursor"] is None:
        assert statement["closing_balance"]["amount"] == balance
    amounts = [row["amount"]["amount"] for row in statement["items"]]
    return opening, amounts, statement["closing_balance"]["amount"]


def table(academy: Academy, person: Person, path: str = OWN, **query: str) -> list[dict[str, str]]:
    answer = academy.get(f"{path}.csv", person, **query)
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


def test_a_statement_adds_up_from_its_opening_to_its_closing_balance(academy: Academy) -> None:
    person = moved_in_january(academy)
    statement = read(academy, person, **{"from": day(2), "to": day(5)})
    assert minor(statement) == (1000, [-300, 500, -200], 1000)
    assert (statement["from"], statement["to"]) == (day(2), day(5))


def test_a_statement_without_a_period_is_about_everything(academy: Academy) -> None:
    person = moved_in_january(academy)
    assert minor(read(academy, person)) == (0, [1000, -300, 500, -200, 50], 1050)


def test_a_period_before_or_after_all_movements_has_none(academy: Academy) -> None:
    person = moved_in_january(academy)
    assert minor(read(academy, person, to=day(1))) == (0, [], 0)
    assert minor(read(academy, person, **{"from": day(20)})) == (1050, [], 1050)


def test_the_beginning_is_inside_and_the_end_outside(academy: Academy) -> None:
    person = moved_in_january(academy)
    at = "2027-01-03T12:00:00Z"
    assert minor(read(academy, person, to=at))[1] == [1000, -300]
    assert minor(read(academy, person, **{"from": at}))[1] == [500, -200, 50]


def test_statements_of_neighbouring_periods_join_even_when_times_and_numbers_disagree(
    academy: Academy,
) -> None:
    """Who waits for the wallet's lock has the earlier time and the later number."""
    person = moved_in_january(academy)
    academy.execute_as_owner(
        "UPDATE wallet_transactions t SET created_at = timestamptz '2027-01-01T18:00:00Z'"
        " FROM wallets w WHERE w.id = t.wallet_id AND w.user_id = :id AND t.seq = 3",
        id=person.id,
    )
    parts = [
        read(academy, person, **period)
        for period in (
            {"to": day(2)},
            {"from": day(2), "to": day(4)},
            {"from": day(4)},
        )
    ]
    counted = [minor(part) for part in parts]
    assert [amount for _, amounts, _ in counted for amount in amounts] == [
        *(1000, -300, 500, -200, 50)
    ]
    assert counted[0][2] == counted[1][0]
    assert counted[1][2] == counted[2][0]


def test_a_long_statement_comes_in_pages_with_the_balances_of_all(academy: Academy) -> None:
    person = moved_in_january(academy)
    query = {"from": day(2), "limit": "2"}
    first = read(academy, person, **query)
    second = read(academy, person, **query, cursor=first["next_cursor"])
    assert second["next_cursor"] is None
    whole = {**first, "items": first["items"] + second["items"], "next_cursor": None}
    assert minor(whole) == (1000, [-300, 500, -200, 50], 1050)
    for name in ("opening_balance", "closing_balance", "from", "to"):
        assert first[name] == second[name]


def test_a_cursor_leads_no_further_back_than_the_period(academy: Academy) -> None:
    person = moved_in_january(academy)
    seen = read(academy, person, **{"from": day(4)}, cursor="1")
    assert [row["seq"] for row in seen["items"]] == [4, 5]


@pytest.mark.parametrize(
    "query", [{"from": day(2), "to": day(2)}, {"from": "yesterday"}, {"cursor": "x"}]
)
def test_what_is_no_period_or_cursor_is_refused(academy: Academy, query: dict[str, str]) -> None:
    assert academy.get(OWN, academy.person(), **query).status_code == 422


def test_the_file_says_the_same_in_minor_units_and_in_decimals(academy: Academy) -> None:
    person = moved_in_january(academy)
    rows = table(academy, person, **{"from": day(2), "to": day(5)})
    opening, *moves, closing = rows
    assert (opening["kind"], closing["kind"]) == ("opening_balance", "closing_balance")
    assert (opening["created_at"], closing["created_at"]) == (day(2), day(5))
    balance = int(opening["balance_after_minor"])
    for row in moves:
        balance += int(row["amount_minor"])
        assert int(row["balance_after_minor"]) == balance
    assert int(closing["balance_after_minor"]) == balance == 1000
    assert [row["seq"] for row in moves] == ["2", "3", "4"]
    assert [row["amount"] for row in moves] == ["-3.00", "5.00", "-2.00"]
    for row in rows:
        assert Decimal(row["balance_after"]) * 100 == int(row["balance_after_minor"])
        assert row["currency"] == "EUR"


def test_the_file_is_a_download_that_nobody_keeps_or_guesses_at(academy: Academy) -> None:
    answer = academy.get(f"{OWN}.csv", academy.person())
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    expected = 'attachment; filename="wallet-statement.csv"'
    assert answer.headers["Content-Disposition"] == expected
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "private, no-store"


def test_what_people_wrote_is_not_run_by_a_spreadsheet(academy: Academy) -> None:
    person = academy.person()
    adjust(academy, person, 100, reason='=HYPERLINK("http://evil.example")')
    (row,) = table(academy, person)[1:-1]
    assert row["reason"] == '\'=HYPERLINK("http://evil.example")'
    assert row["amount_minor"] == "100"


def test_a_file_that_would_be_too_long_is_refused_with_the_limit(academy: Academy) -> None:
    person = moved_in_january(academy)
    with patch.object(statements, "MAX_ROWS", 4):
        answer = academy.get(f"{OWN}.csv", person)
        assert (answer.status_code, answer.get_json()["code"]) == (422, "period_too_long")
        assert answer.get_json()["limit"] == 4
        assert len(table(academy, person, **{"from": day(2)})) == 4 + 2


def test_an_admin_reads_anybodys_statement_and_nobody_else_does(academy: Academy) -> None:
    person = moved_in_january(academy)
    path = f"/users/{person.id}/wallet/statement"
    admin = academy.person("admin")
    assert read(academy, admin, path) == read(academy, person)
    assert table(academy, admin, path) == table(academy, person)
    for asking in (academy.person(), academy.person("instructor")):
        assert academy.get(path, asking).status_code == 403
        assert academy.get(f"{path}.csv", asking).status_code == 403
        assert minor(read(academy, asking)) == (0, [], 0)


def test_a_user_that_is_not_there_has_no_statement(academy: Academy) -> None:
    admin, path = academy.person("admin"), f"/users/{new_id()}/wallet/statement"
    assert academy.get(path, admin).status_code == 404
    assert academy.get(f"{path}.csv", admin).status_code == 404
