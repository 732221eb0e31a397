"""What a provider took, given back into the learner's wallet because an admin said so."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from lms.core.queue import SETTLE_PAYMENT
from tests.factories.money import Academy, together
from tests.factories.people import Person


def refund(
    academy: Academy,
    purchase: dict[str, Any],
    amount: int | None = None,
    *,
    destination: str = "wallet",
    key: str | None = None,
    admin: Person | None = None,
) -> Any:
    body: dict[str, Any] = {"destination": destination}
    if amount is not None:
        body["amount"] = {"amount": amount, "currency": purchase["payment"]["amount"]["currency"]}
    path = f"/payments/{purchase['payment']['id']}/refunds"
    return academy.post(path, admin or academy.person("admin"), body, key=key)


def buy(academy: Academy, person: Person, **changes: Any) -> dict[str, Any]:
    run_id = academy.run(**changes)
    return academy.enroll(person, run_id, "provider", token="tok_success").get_json()


def state_of(academy: Academy, purchase: dict[str, Any]) -> str:
    path = f"/enrollments/{purchase['enrollment']['id']}"
    return academy.get(path, academy.person("admin")).get_json()["state"]


def test_a_card_payment_goes_into_the_wallet_at_once_when_asked(academy: Academy) -> None:
    person = academy.person(money=100)
    purchase = buy(academy, person)
    answer = refund(academy, purchase)
    made = answer.get_json()
    assert (answer.status_code, made["state"], made["destination"]) == (201, "succeeded", "wallet")
    assert academy.balance(person) == 5000
    assert state_of(academy, purchase) == "withdrawn"
    row = academy.get("/wallet/transactions", person).get_json()["items"][0]
    assert (row["kind"], row["amount"]["amount"], row["refund_id"]) == ("refund", 4900, made["id"])
    assert row["counter_account"] == f"run:{purchase['payment']['run_id']}"
    academy.assert_books_balance()


def test_the_provider_is_not_asked_for_what_goes_into_the_wallet(academy: Academy) -> None:
    purchase = buy(academy, academy.person())
    made = refund(academy, purchase).get_json()
    name = academy.recorded_name(purchase["payment"]["id"])
    assert academy.at_provider(name)["refunded_amount"] == 0
    assert academy.work(SETTLE_PAYMENT, made["id"]) == []


def test_it_needs_no_provider_that_answers(academy: Academy, offline: Academy) -> None:
    person = academy.person()
    purchase = buy(academy, person)
    assert refund(offline, purchase, 1000).status_code == 201
    assert academy.balance(person) == 1000


def test_who_never_had_a_wallet_gets_one(academy: Academy) -> None:
    person = academy.person()
    purchase = buy(academy, person)
    assert academy.rows("SELECT id FROM wallets WHERE user_id = :id", id=person.id) == []
    assert refund(academy, purchase, 1000).status_code == 201
    assert academy.balance(person) == 1000
    assert state_of(academy, purchase) == "active"
    academy.assert_books_balance()


def test_first_parts_at_once_make_one_wallet(academy: Academy) -> None:
    person, admin = academy.person(), academy.person("admin")
    purchase = buy(academy, person)
    answers = together(8, lambda _number: refund(academy, purchase, 700, admin=admin))
    assert sorted(answer.status_code for answer in answers) == [201] * 7 + [409]
    assert academy.balance(person) == 4900
    academy.assert_books_balance()


def test_a_part_to_the_card_and_the_rest_to_the_wallet_are_the_whole(academy: Academy) -> None:
    person = academy.person()
    purchase = buy(academy, person)
    assert refund(academy, purchase, 2000, destination="source").status_code == 201
    assert refund(academy, purchase).get_json()["amount"]["amount"] == 2900
    assert (academy.balance(person), state_of(academy, purchase)) == (2900, "withdrawn")
    name = academy.recorded_name(purchase["payment"]["id"])
    assert academy.at_provider(name)["refunded_amount"] == 2000
    academy.assert_books_balance()


def test_the_seat_is_kept_while_a_part_to_the_card_is_open(
    academy: Academy, offline: Academy
) -> None:
    person = academy.person()
    purchase = buy(academy, person)
    waiting = refund(offline, purchase, 2000, destination="source").get_json()
    assert refund(academy, purchase).status_code == 201
    assert (academy.balance(person), state_of(academy, purchase)) == (2900, "active")
    academy.do_work(SETTLE_PAYMENT, waiting["id"])
    assert state_of(academy, purchase) == "withdrawn"
    academy.assert_books_balance()


def test_a_wallet_payment_goes_to_the_wallet_either_way(academy: Academy) -> None:
    person = academy.person(money=4900)
    purchase = academy.enroll(person, academy.run()).get_json()
    made = [
        refund(academy, purchase, 1000, destination=destination).get_json()
        for destination in ("source", "wallet")
    ]
    assert [one["destination"] for one in made] == ["wallet", "wallet"]
    assert academy.balance(person) == 2000


def test_a_wallet_in_another_currency_is_refused_with_the_way_out(academy: Academy) -> None:
    person = academy.person()
    purchase = buy(academy, person, currency="USD")
    answer = refund(academy, purchase, 1000)
    problem = answer.get_json()
    assert (answer.status_code, problem["code"]) == (409, "currency_mismatch")
    assert (problem["expected"], problem["wallet"]) == ("USD", "EUR")
    assert "to its source" in problem["detail"]
    assert academy.rows("SELECT id FROM wallets WHERE user_id = :id", id=person.id) == []
    assert refund(academy, purchase, 1000, destination="source").status_code == 201


def test_more_than_is_left_does_not_go_into_the_wallet(academy: Academy) -> None:
    person = academy.person()
    purchase = buy(academy, person)
    problem = refund(academy, purchase, 4901).get_json()
    assert (problem["code"], problem["left"]["amount"]) == ("not_refundable", 4900)
    assert academy.balance(person) == 0


def test_a_free_place_has_nothing_for_the_wallet(academy: Academy) -> None:
    purchase = academy.enroll(academy.person(), academy.run(price=0), "free").get_json()
    assert refund(academy, purchase).get_json()["code"] == "not_refundable"


def test_a_repeated_request_credits_the_wallet_once(academy: Academy) -> None:
    person, admin, key = academy.person(), academy.person("admin"), str(uuid4())
    purchase = buy(academy, person)
    first = refund(academy, purchase, 1000, key=key, admin=admin)
    academy.forget_answer(key)
    again = refund(academy, purchase, 1000, key=key, admin=admin)
    assert (again.status_code, again.get_json()) == (201, first.get_json())
    assert academy.balance(person) == 1000


def test_money_in_the_wallet_buys_the_next_run(academy: Academy) -> None:
    person = academy.person()
    refund(academy, buy(academy, person))
    assert academy.enroll(person, academy.run()).status_code == 201
    assert academy.balance(person) == 0
    academy.assert_books_balance()


def test_a_learner_does_not_move_money_into_the_own_wallet(academy: Academy) -> None:
    person = academy.person()
    purchase = buy(academy, person)
    assert refund(academy, purchase, 1000, admin=person).status_code == 403
    (row,) = academy.rows(
        "SELECT refunded_amount FROM payments WHERE id = :id", id=UUID(purchase["payment"]["id"])
    )
    assert row["refunded_amount"] == 0
