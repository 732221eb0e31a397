from __future__ import annotations

from collections import Counter
from typing import Any
from uuid import uuid4

import pytest
from werkzeug.test import TestResponse

from lms.core.ids import new_id
from tests.factories.money import Academy, together
from tests.factories.people import Person


def adjust(
    academy: Academy,
    admin: Person,
    person: Person,
    amount: int,
    *,
    currency: str = "EUR",
    reason: str = "Paid in cash",
    key: str | None = None,
) -> TestResponse:
    body = {"amount": {"amount": amount, "currency": currency}, "reason": reason}
    return academy.post(f"/users/{person.id}/wallet/adjustments", admin, body, key=key)


def outcomes(answers: list[TestResponse]) -> Counter[Any]:
    return Counter(
        answer.status_code if answer.status_code < 300 else answer.get_json()["code"]
        for answer in answers
    )


def audited(academy: Academy, person: Person) -> list[dict[str, Any]]:
    return academy.rows(
        "SELECT a.action, a.actor_id, a.before, a.after FROM audit_events a"
        " JOIN wallets w ON w.id = a.subject_id WHERE w.user_id = :id ORDER BY a.id",
        id=person.id,
    )


def test_an_admin_sees_a_learners_wallet_and_its_movements(academy: Academy) -> None:
    admin, person = academy.person("admin"), academy.person(money=100)
    assert academy.top_up(person, 200).status_code == 201
    path = f"/users/{person.id}/wallet"
    assert academy.get(path, admin).get_json() == academy.get("/wallet", person).get_json()
    own = academy.get("/wallet/transactions", person, limit="1")
    seen = academy.get(f"{path}/transactions", admin, limit="1")
    assert seen.get_json() == own.get_json()
    assert seen.get_json()["items"][0]["amount"]["amount"] == 200
    cursor = seen.get_json()["next_cursor"]
    rest = academy.get(f"{path}/transactions", admin, cursor=cursor).get_json()
    assert [row["seq"] for row in rest["items"]] == [1]


def test_a_wallet_that_nobody_has_opened_yet_is_empty(academy: Academy) -> None:
    answer = academy.get(f"/users/{academy.person().id}/wallet", academy.person("admin"))
    assert answer.get_json()["balance"] == {"amount": 0, "currency": "EUR"}


@pytest.mark.parametrize("role", ["student", "instructor"])
def test_only_admins_see_or_adjust_the_wallets_of_others(academy: Academy, role: Any) -> None:
    person, asking = academy.person(money=100), academy.person(role)
    path = f"/users/{person.id}/wallet"
    assert academy.get(path, asking).status_code == 403
    assert academy.get(f"{path}/transactions", asking).status_code == 403
    assert adjust(academy, asking, person, 100).status_code == 403
    assert academy.balance(person) == 100


def test_a_user_that_is_not_there_has_no_wallet(academy: Academy) -> None:
    admin, path = academy.person("admin"), f"/users/{new_id()}/wallet"
    body = {"amount": {"amount": 1, "currency": "EUR"}, "reason": "x"}
    answers = [
        academy.get(path, admin),
        academy.get(f"{path}/transactions", admin),
        academy.post(f"{path}/adjustments", admin, body),
    ]
    assert {answer.status_code for answer in answers} == {404}


@pytest.mark.parametrize("amount", [2500, -2500])
def test_an_adjustment_moves_money_both_ways_for_a_reason(academy: Academy, amount: int) -> None:
    admin, person = academy.person("admin"), academy.person(money=10_000)
    answer = adjust(academy, admin, person, amount, reason="Counted anew")
    assert answer.status_code == 201
    row = answer.get_json()
    assert (row["seq"], row["kind"], row["counter_account"]) == (2, "adjustment", "manual")
    assert (row["amount"]["amount"], row["balance_after"]["amount"]) == (amount, 10_000 + amount)
    assert row["reason"] == "Counted anew"
    assert academy.get("/wallet/transactions", person).get_json()["items"][0] == row
    (stored,) = academy.rows(
        "SELECT created_by FROM wallet_transactions t JOIN wallets w ON w.id = t.wallet_id"
        " WHERE w.user_id = :id AND t.seq = 2",
        id=person.id,
    )
    assert stored["created_by"] == admin.id
    academy.assert_books_balance()


def test_an_adjustment_is_audited_with_before_and_after(academy: Academy) -> None:
    admin, person = academy.person("admin"), academy.person(money=10_000)
    adjust(academy, admin, person, -2500)
    assert audited(academy, person) == [
        {
            "action": "wallet.adjust",
            "actor_id": admin.id,
            "before": {"balance": 10_000, "owed": 0},
            "after": {
                "balance": 7500,
                "owed": 0,
                "amount": -2500,
                "currency": "EUR",
                "reason": "Paid in cash",
            },
        }
    ]


def test_no_more_is_taken_out_than_there_is(academy: Academy) -> None:
    admin, person = academy.person("admin"), academy.person(money=100)
    answer = adjust(academy, admin, person, -101)
    assert (answer.status_code, answer.get_json()["code"]) == (409, "insufficient_funds")
    assert answer.get_json()["balance"] == {"amount": 100, "currency": "EUR"}
    assert academy.balance(person) == 100
    assert audited(academy, person) == []
    assert adjust(academy, admin, person, -100).status_code == 201


def test_an_adjustment_in_another_currency_is_refused(academy: Academy) -> None:
    admin, person = academy.person("admin"), academy.person()
    answer = adjust(academy, admin, person, 100, currency="USD")
    assert (answer.status_code, answer.get_json()["code"]) == (409, "currency_mismatch")
    assert answer.get_json()["expected"] == "EUR"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"amount": {"amount": 0, "currency": "EUR"}, "reason": "x"}, "/amount/amount"),
        ({"amount": {"amount": 1, "currency": "EUR"}, "reason": " "}, "/reason"),
        ({"amount": {"amount": 1, "currency": "EUR"}}, "/reason"),
        ({"reason": "x"}, "/amount"),
    ],
)
def test_an_adjustment_says_how_much_and_why(academy: Academy, body: Any, pointer: str) -> None:
    path = f"/users/{academy.person().id}/wallet/adjustments"
    answer = academy.post(path, academy.person("admin"), body)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.get_json()["errors"]] == [pointer]


def test_a_repeated_adjustment_moves_money_once(academy: Academy) -> None:
    admin, person, key = academy.person("admin"), academy.person(), str(uuid4())
    first = adjust(academy, admin, person, 100, key=key)
    again = adjust(academy, admin, person, 100, key=key)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.get_json() == first.get_json()
    assert academy.balance(person) == 100


def test_of_sixteen_who_take_money_out_as_many_succeed_as_it_lasts_for(academy: Academy) -> None:
    admin, person = academy.person("admin"), academy.person(money=5 * 700 + 699)
    answers = together(16, lambda _number: adjust(academy, admin, person, -700))
    assert outcomes(answers) == {201: 5, "insufficient_funds": 11}
    assert academy.balance(person) == 699
    academy.assert_books_balance()


def test_adjustments_and_purchases_at_once_never_overdraw(academy: Academy) -> None:
    admin, person = academy.person("admin"), academy.person(money=4 * 1000)
    runs = [academy.run(price=1000) for _ in range(8)]

    def step(number: int) -> TestResponse:
        if number % 2:
            return adjust(academy, admin, person, -1000)
        return academy.enroll(person, runs[number // 2])

    answers = together(16, step)
    assert outcomes(answers) == {201: 4, "insufficient_funds": 12}
    assert academy.balance(person) == 0
    academy.assert_books_balance()


def test_sixteen_who_put_money_in_at_once_all_count(academy: Academy) -> None:
    admin, person = academy.person("admin"), academy.person()
    answers = together(16, lambda number: adjust(academy, admin, person, number + 1))
    assert outcomes(answers) == {201: 16}
    assert academy.balance(person) == sum(range(1, 17))
    academy.assert_books_balance()
