from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, ProgrammingError

from tests.factories.money import Academy, together


def test_everybody_has_a_wallet_in_the_currency_of_the_organization(academy: Academy) -> None:
    answer = academy.get("/wallet", academy.person("instructor"))
    assert answer.status_code == 200
    assert answer.get_json()["balance"] == {"amount": 0, "currency": "EUR"}


def test_first_reads_at_once_make_one_wallet(academy: Academy) -> None:
    person = academy.person()
    answers = together(8, lambda _number: academy.get("/wallet", person))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.get_json()["id"] for answer in answers}) == 1


def test_the_journal_is_read_newest_first_page_by_page(academy: Academy) -> None:
    person = academy.person(money=100)
    for amount in (200, 300):
        assert academy.top_up(person, amount).status_code == 201
    first = academy.get("/wallet/transactions", person, limit="2").get_json()
    rest = academy.get(
        "/wallet/transactions", person, limit="2", cursor=first["next_cursor"]
    ).get_json()
    rows = first["items"] + rest["items"]
    assert [(row["seq"], row["amount"]["amount"]) for row in rows] == [(3, 300), (2, 200), (1, 100)]
    assert [row["balance_after"]["amount"] for row in rows] == [600, 300, 100]
    assert rest["next_cursor"] is None


@pytest.mark.parametrize("cursor", ["x", "-1", "1.5", "9" * 40, "\u0663"])
def test_a_cursor_of_another_list_is_refused(academy: Academy, cursor: str) -> None:
    answer = academy.get("/wallet/transactions", academy.person(), cursor=cursor)
    assert (answer.status_code, answer.get_json()["code"]) == (422, "invalid_cursor")


def test_the_journal_of_somebody_else_is_not_shown(academy: Academy) -> None:
    academy.person(money=100)
    rows = academy.get("/wallet/transactions", academy.person()).get_json()
    assert rows == {"items": [], "next_cursor": None}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE wallet_transactions SET amount = 1",
        "DELETE FROM wallet_transactions",
        "TRUNCATE wallet_transactions",
    ],
)
def test_the_organization_itself_cannot_change_its_journal(
    academy: Academy, statement: str
) -> None:
    with (
        pytest.raises(ProgrammingError, match="permission denied"),
        academy.database.transaction(academy.scope) as session,
    ):
        session.execute(text(statement))


def wallet_id_of(academy: Academy) -> UUID:
    return UUID(academy.get("/wallet", academy.person(money=100)).get_json()["id"])


def test_no_statement_can_overdraw_a_wallet(academy: Academy) -> None:
    wallet_id = wallet_id_of(academy)
    with (
        pytest.raises(IntegrityError, match="never_overdrawn"),
        academy.database.transaction(academy.scope) as session,
    ):
        session.execute(
            text("UPDATE wallets SET balance = balance - 101 WHERE id = :id"), {"id": wallet_id}
        )


@pytest.mark.parametrize(
    ("currency", "reference", "constraint"),
    [
        ("USD", "another", "fk_wallet_transactions_wallet_id_currency_wallets"),
        ("EUR", "the same", "uq_wallet_transactions_reference"),
    ],
)
def test_a_posting_in_another_currency_or_made_twice_cannot_exist(
    academy: Academy, currency: str, reference: str, constraint: str
) -> None:
    wallet_id = wallet_id_of(academy)
    post = text(
        "INSERT INTO wallet_transactions (wallet_id, seq, kind, amount, currency, balance_after,"
        " counter_account, reference) VALUES (:id, :seq, 'deposit', 1, :currency, 1, 'x', :ref)"
    )
    with (
        pytest.raises(IntegrityError, match=constraint),
        academy.database.transaction(academy.scope) as session,
    ):
        session.execute(
            post, {"id": wallet_id, "seq": 2, "currency": "EUR", "ref": f"{wallet_id} the same"}
        )
        session.execute(
            post,
            {"id": wallet_id, "seq": 3, "currency": currency, "ref": f"{wallet_id} {reference}"},
        )
