"""Buying with coupons: what is paid, what repeats do, and what the papers say."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from werkzeug.test import TestResponse

from tests.factories.money import Academy
from tests.factories.people import Person


def euros(amount: int) -> dict[str, Any]:
    return {"amount": amount, "currency": "EUR"}


@pytest.mark.parametrize(
    ("terms", "discount"),
    [({"percent_off": 20}, 980), ({"percent_off": 33}, 1617), ({"amount_off": 1500}, 1500)],
)
def test_what_is_paid_is_the_price_less_the_discount(
    academy: Academy, terms: dict[str, Any], discount: int
) -> None:
    person, run_id, code = academy.person(money=4900), academy.run(), academy.coupon(**terms)
    answer = academy.enroll(person, run_id, coupon=code)
    payment = answer.get_json()["payment"]
    assert answer.status_code == 201
    assert payment["list_price"] == euros(4900)
    assert payment["discount"] == euros(discount)
    assert payment["amount"] == euros(4900 - discount)
    assert payment["coupon"] == code
    assert academy.balance(person) == discount
    assert (academy.coupon_uses(code), academy.seats_taken(run_id)) == (1, 1)
    assert academy.get(f"/payments/{payment['id']}", person).get_json() == payment
    academy.assert_books_balance()


def test_without_a_coupon_the_list_price_is_paid(academy: Academy) -> None:
    person = academy.person(money=4900)
    payment = academy.enroll(person, academy.run()).get_json()["payment"]
    assert (payment["list_price"], payment["amount"]) == (euros(4900), euros(4900))
    assert (payment["discount"], payment["coupon"]) == (euros(0), None)


def test_a_code_may_be_written_in_small_letters(academy: Academy) -> None:
    person, code = academy.person(money=4900), academy.coupon()
    answer = academy.enroll(person, academy.run(), coupon=code.lower())
    assert answer.get_json()["payment"]["coupon"] == code


def test_too_much_off_leaves_nothing_to_pay(academy: Academy) -> None:
    person, code = academy.person(), academy.coupon(amount_off=5000)
    answer = academy.enroll(person, academy.run(), "free", coupon=code)
    payment = answer.get_json()["payment"]
    assert (answer.status_code, payment["method"]) == (201, "free")
    assert (payment["discount"], payment["amount"]) == (euros(4900), euros(0))


def test_all_of_the_price_off_makes_a_run_free(academy: Academy) -> None:
    person, run_id = academy.person(money=4900), academy.run()
    code = academy.coupon(percent_off=100)
    refused = academy.enroll(person, run_id, "wallet", coupon=code)
    problem = refused.get_json()
    assert (refused.status_code, problem["code"]) == (409, "payment_method_not_possible")
    assert (problem["expected"], problem["price"]) == (["free"], euros(0))
    purchase = academy.enroll(person, run_id, "free", coupon=code).get_json()
    assert purchase["enrollment"]["state"] == "active"
    assert academy.balance(person) == 4900
    assert (academy.coupon_uses(code), academy.seats_taken(run_id)) == (1, 1)
    path = f"/payments/{purchase['payment']['id']}"
    assert academy.get(f"{path}/receipt", person).status_code == 404
    assert academy.get(f"{path}/refund-quote", person).get_json()["nothing_because"] == "free"
    academy.assert_books_balance()


def test_a_run_that_still_costs_something_is_not_entered_free(academy: Academy) -> None:
    answer = academy.enroll(academy.person(), academy.run(), "free", coupon=academy.coupon())
    problem = answer.get_json()
    assert (answer.status_code, problem["code"]) == (409, "payment_method_not_possible")
    assert (problem["expected"], problem["price"]) == (["wallet", "provider"], euros(2450))


def test_a_card_is_charged_what_is_left_to_pay(academy: Academy) -> None:
    person, code = academy.person(), academy.coupon(percent_off=20)
    purchase = academy.enroll(
        person, academy.run(), "provider", token="tok_success", coupon=code
    ).get_json()
    assert academy.at_provider(academy.recorded_name(purchase["payment"]["id"]))["amount"] == 3920
    assert academy.coupon_uses(code) == 1
    academy.assert_books_balance()


def test_too_little_money_is_told_by_the_price_with_the_discount(academy: Academy) -> None:
    person, run_id, code = academy.person(money=2000), academy.run(), academy.coupon()
    answer = academy.enroll(person, run_id, coupon=code)
    problem = answer.get_json()
    assert (answer.status_code, problem["code"]) == (402, "insufficient_funds")
    assert problem["missing"] == euros(450)
    assert academy.coupon_uses(code) == 0


def test_a_full_run_takes_no_use(academy: Academy) -> None:
    run_id, code = academy.run(capacity=1), academy.coupon()
    academy.enroll(academy.person(money=4900), run_id)
    answer = academy.enroll(academy.person(money=4900), run_id, coupon=code)
    assert (answer.status_code, answer.get_json()["code"]) == (409, "run_full")
    assert academy.coupon_uses(code) == 0


def test_who_is_enrolled_already_is_told_so_and_not_that_the_coupon_is_used(
    academy: Academy,
) -> None:
    person, run_id, code = academy.person(money=9800), academy.run(), academy.coupon()
    first = academy.enroll(person, run_id, coupon=code).get_json()["enrollment"]
    for coupon in (code, "NO-SUCH-COUPON"):
        problem = academy.enroll(person, run_id, coupon=coupon).get_json()
        assert (problem["code"], problem["enrollment_id"]) == ("already_enrolled", first["id"])
    assert academy.coupon_uses(code) == 1


def test_a_repeated_request_uses_a_coupon_once(academy: Academy) -> None:
    person, run_id, code = academy.person(money=9800), academy.run(), academy.coupon()
    key = str(uuid4())
    first, again = (academy.enroll(person, run_id, coupon=code, key=key) for _ in range(2))
    assert (again.status_code, again.get_json()) == (201, first.get_json())
    academy.forget_answer(key)
    resumed = academy.enroll(person, run_id, coupon=code, key=key)
    assert (resumed.status_code, resumed.get_json()) == (201, first.get_json())
    assert (academy.coupon_uses(code), academy.balance(person)) == (1, 7350)


def test_a_key_belongs_to_the_coupon_that_it_came_with(academy: Academy) -> None:
    person, run_id, key = academy.person(money=4900), academy.run(), str(uuid4())
    academy.enroll(person, run_id, coupon=academy.coupon(), key=key)
    for coupon in (None, academy.coupon()):
        again = academy.enroll(person, run_id, coupon=coupon, key=key)
        assert (again.status_code, again.get_json()["code"]) == (422, "idempotency_key_reused")


def receipt_of(academy: Academy, person: Person, answer: TestResponse) -> dict[str, Any]:
    path = f"/payments/{answer.get_json()['payment']['id']}/receipt"
    return academy.get(path, person).get_json()


def test_a_receipt_shows_what_was_paid_and_what_the_coupon_took_off(academy: Academy) -> None:
    person, code = academy.person(money=4900), academy.coupon()
    receipt = receipt_of(academy, person, academy.enroll(person, academy.run(), coupon=code))
    assert (receipt["amount"], receipt["list_price"]) == (euros(2450), euros(4900))
    assert (receipt["discount"], receipt["coupon"]) == (euros(2450), code)
    assert academy.get("/receipts", person).get_json()["items"] == [receipt]


def test_a_receipt_of_the_list_price_has_no_discount(academy: Academy) -> None:
    person = academy.person(money=4900)
    receipt = receipt_of(academy, person, academy.enroll(person, academy.run()))
    assert (receipt["list_price"], receipt["discount"]) == (euros(4900), euros(0))
    assert receipt["coupon"] is None


def test_a_receipt_of_a_top_up_knows_no_prices(academy: Academy) -> None:
    person = academy.person()
    academy.top_up(person, 5000)
    (receipt,) = academy.get("/receipts", person).get_json()["items"]
    assert (receipt["list_price"], receipt["discount"], receipt["coupon"]) == (None, None, None)
