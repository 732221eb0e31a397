"""Many refunds of one payment at once, with exact outcomes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from werkzeug.test import TestResponse

from lms.core.clock import now
from tests.factories.money import Academy, together
from tests.factories.people import Person
from tests.lms.checkout.storms import no_deadlock


@pytest.fixture(autouse=True)
def nothing_deadlocks(academy: Academy) -> Iterator[None]:
    with no_deadlock(academy):
        yield


def outcomes(answers: list[TestResponse]) -> Counter[Any]:
    return Counter(
        answer.status_code if answer.status_code < 300 else answer.get_json()["code"]
        for answer in answers
    )


def refund(
    academy: Academy,
    admin: Person,
    purchase: dict[str, Any],
    amount: int | None,
    destination: str = "source",
) -> TestResponse:
    body: dict[str, Any] = {"destination": destination}
    if amount is not None:
        body["amount"] = {"amount": amount, "currency": "EUR"}
    return academy.post(f"/payments/{purchase['payment']['id']}/refunds", admin, body)


def buy(academy: Academy, person: Person, method: str = "wallet", **run: Any) -> dict[str, Any]:
    token = "tok_success" if method == "provider" else None
    return academy.enroll(person, academy.run(**run), method, token=token).get_json()


def given_back(academy: Academy, purchase: dict[str, Any]) -> tuple[int, int, str]:
    """What the payment says is given back, what its refunds sum up to, and the enrollment."""
    (row,) = academy.rows(
        "SELECT p.refunded_amount, e.state, (SELECT COALESCE(sum(r.amount), 0)::bigint"
        " FROM refunds r WHERE r.payment_id = p.id AND r.state = 'succeeded') AS refunds"
        " FROM payments p JOIN enrollments e ON e.payment_id = p.id WHERE p.id = :id",
        id=UUID(purchase["payment"]["id"]),
    )
    return row["refunded_amount"], row["refunds"], row["state"]


def at_provider(academy: Academy, purchase: dict[str, Any]) -> int:
    name = academy.recorded_name(purchase["payment"]["id"])
    return academy.at_provider(name)["refunded_amount"]


def test_parts_that_fit_exactly_end_the_enrollment_once(academy: Academy) -> None:
    admin, person, run_id = academy.person("admin"), academy.person(money=4900), academy.run()
    purchase = academy.enroll(person, run_id).get_json()
    answers = together(32, lambda _number: refund(academy, admin, purchase, 700))
    assert outcomes(answers) == {201: 7, "not_refundable": 25}
    assert given_back(academy, purchase) == (4900, 4900, "withdrawn")
    assert academy.seats_taken(run_id) == 0
    academy.assert_books_balance()


def test_of_parts_to_a_card_as_many_happen_as_fit(academy: Academy) -> None:
    admin, purchase = academy.person("admin"), buy(academy, academy.person(), "provider")
    answers = together(16, lambda _number: refund(academy, admin, purchase, 700))
    assert outcomes(answers) == {201: 7, "not_refundable": 9}
    assert given_back(academy, purchase) == (4900, 4900, "withdrawn")
    assert at_provider(academy, purchase) == 4900
    academy.assert_books_balance()


def test_parts_to_card_and_wallet_together_never_exceed_the_payment(academy: Academy) -> None:
    admin, person = academy.person("admin"), academy.person()
    purchase = buy(academy, person, "provider")
    answers = together(
        16,
        lambda number: refund(academy, admin, purchase, 700, ("source", "wallet")[number % 2]),
    )
    assert outcomes(answers) == {201: 7, "not_refundable": 9}
    assert given_back(academy, purchase) == (4900, 4900, "withdrawn")
    assert at_provider(academy, purchase) + academy.balance(person) == 4900
    academy.assert_books_balance()


@pytest.mark.parametrize("method", ["wallet", "provider"])
def test_parts_and_the_rest_at_once_give_everything_back_once(
    academy: Academy, method: str
) -> None:
    admin, person = academy.person("admin"), academy.person(money=4900)
    purchase = buy(academy, person, method)
    answers = together(
        32, lambda number: refund(academy, admin, purchase, 1000 if number % 2 else None)
    )
    assert set(outcomes(answers)) == {201, "not_refundable"}
    rests = [answer for answer in answers[::2] if answer.status_code == 201]
    assert len(rests) == 1
    assert given_back(academy, purchase) == (4900, 4900, "withdrawn")
    assert academy.balance(person) == 4900
    assert method == "wallet" or at_provider(academy, purchase) == 4900
    academy.assert_books_balance()


@pytest.mark.parametrize("method", ["wallet", "provider"])
def test_one_key_from_eight_threads_gives_one_part_back(academy: Academy, method: str) -> None:
    admin, key = academy.person("admin"), str(uuid4())
    purchase = buy(academy, academy.person(money=4900), method)
    path = f"/payments/{purchase['payment']['id']}/refunds"
    body = {"amount": {"amount": 1000, "currency": "EUR"}}
    answers = together(8, lambda _number: academy.post(path, admin, body, key=key))
    assert set(outcomes(answers)) <= {201, "request_in_progress"}
    assert len({answer.data for answer in answers if answer.status_code == 201}) == 1
    assert given_back(academy, purchase) == (1000, 1000, "active")
    academy.assert_books_balance()


def test_refunds_against_withdrawals_give_everything_back_once(academy: Academy) -> None:
    admin, run_id = academy.person("admin"), academy.run()
    for _ in range(4):
        person = academy.person(money=4900)
        purchase = academy.enroll(person, run_id).get_json()
        path = f"/enrollments/{purchase['enrollment']['id']}/withdraw"

        def step(
            number: int, bought: dict[str, Any] = purchase, who: Person = person, leave: str = path
        ) -> TestResponse:
            if number % 2:
                return refund(academy, admin, bought, 1000)
            return academy.post(leave, who)

        answers = together(16, step)
        left = outcomes(answers[::2])
        assert left == {200: 1, "transition_not_allowed": 7}
        assert set(outcomes(answers[1::2])) <= {201, "not_refundable"}
        assert given_back(academy, purchase) == (4900, 4900, "withdrawn")
        assert academy.balance(person) == 4900
    assert academy.seats_taken(run_id) == 0
    academy.assert_books_balance()


def test_a_withdrawal_among_refunds_brings_the_sum_to_what_the_policy_gives(
    academy: Academy,
) -> None:
    admin = academy.person("admin")
    policy = [{"until": (now() + timedelta(days=5)).isoformat(), "percent": 50}]
    for _ in range(6):
        person = academy.person(money=4900)
        purchase = buy(academy, person, refund_policy=policy)
        path = f"/enrollments/{purchase['enrollment']['id']}/withdraw"

        def step(
            number: int, bought: dict[str, Any] = purchase, who: Person = person, leave: str = path
        ) -> TestResponse:
            return academy.post(leave, who) if number == 0 else refund(academy, admin, bought, 500)

        answers = together(5, step)
        assert outcomes(answers) == {200: 1, 201: 4}
        (row,) = academy.rows(
            "SELECT balance_after FROM wallet_transactions WHERE refund_id = :id",
            id=UUID(answers[0].get_json()["refund"]["id"]),
        )
        assert row["balance_after"] == 2450
    academy.assert_books_balance()


def test_a_whole_card_refund_and_a_withdrawal_at_once_give_it_back_once(academy: Academy) -> None:
    admin = academy.person("admin")
    for _ in range(4):
        person = academy.person()
        purchase = buy(academy, person, "provider")
        path = f"/enrollments/{purchase['enrollment']['id']}/withdraw"

        def step(
            number: int, bought: dict[str, Any] = purchase, who: Person = person, leave: str = path
        ) -> TestResponse:
            return refund(academy, admin, bought, None) if number else academy.post(leave, who)

        answers = together(2, step)
        assert all(answer.status_code < 500 for answer in answers)
        assert given_back(academy, purchase) == (4900, 4900, "withdrawn")
        assert at_provider(academy, purchase) == 4900
    academy.assert_books_balance()


def test_refunds_and_purchases_of_one_wallet_at_once_lose_nothing(academy: Academy) -> None:
    admin, person = academy.person("admin"), academy.person(money=4900 + 8 * 300)
    purchase = buy(academy, person)
    runs = [academy.run(price=300) for _ in range(8)]

    def step(number: int) -> TestResponse:
        if number % 2:
            return refund(academy, admin, purchase, 700)
        return academy.enroll(person, runs[number // 2])

    answers = together(16, step)
    assert outcomes(answers) == {201: 15, "not_refundable": 1}
    assert academy.balance(person) == 4900
    academy.assert_books_balance()
