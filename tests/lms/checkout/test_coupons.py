"""Buying with coupons: what is paid, why one is not taken, and when a use is given back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from werkzeug.test import TestResponse

from lms.checkout import settlement
from lms.checkout.holds import make_room
from lms.core.clock import now
from lms.core.queue import EXPIRE_ENROLLMENT, SETTLE_PAYMENT, Doorbell
from lms.coupons.errors import BUYERS_REFUSALS
from lms.payments.attempts import Answer
from tests.factories.money import Academy
from tests.factories.people import Person


def euros(amount: int) -> dict[str, Any]:
    return {"amount": amount, "currency": "EUR"}


def payment_of(academy: Academy, purchase: dict[str, Any]) -> dict[str, Any]:
    (row,) = academy.rows(
        "SELECT * FROM payments WHERE id = :id", id=UUID(purchase["payment"]["id"])
    )
    return row


def enrollment_of(academy: Academy, purchase: dict[str, Any]) -> str:
    (row,) = academy.rows(
        "SELECT state FROM enrollments WHERE id = :id", id=UUID(purchase["enrollment"]["id"])
    )
    return row["state"]


# --- what is paid


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


# --- repeats


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


# --- why a coupon is not taken

Refused = tuple[Person, UUID, str]
"""Who buys, in which run, with which coupon."""


def _unknown(academy: Academy) -> Refused:
    return academy.person(money=4900), academy.run(), "NO-SUCH-COUPON"


def _switched_off(academy: Academy) -> Refused:
    return academy.person(money=4900), academy.run(), academy.coupon(is_active=False)


def _of_another_run(academy: Academy) -> Refused:
    return academy.person(money=4900), academy.run(), academy.coupon(run_id=academy.run())


def _in_another_currency(academy: Academy) -> Refused:
    return academy.person(), academy.run(currency="USD"), academy.coupon(amount_off=100)


def _too_early(academy: Academy) -> Refused:
    code = academy.coupon(valid_from=now() + timedelta(hours=1))
    return academy.person(money=4900), academy.run(), code


def _too_late(academy: Academy) -> Refused:
    code = academy.coupon(
        valid_from=now() - timedelta(hours=2), valid_until=now() - timedelta(hours=1)
    )
    return academy.person(money=4900), academy.run(), code


def _used_already(academy: Academy) -> Refused:
    person, code = academy.person(money=9800), academy.coupon()
    assert academy.enroll(person, academy.run(), coupon=code).status_code == 201
    return person, academy.run(), code


def _used_up(academy: Academy) -> Refused:
    code = academy.coupon(max_uses=1)
    academy.enroll(academy.person(money=4900), academy.run(), coupon=code)
    return academy.person(money=4900), academy.run(), code


def _without_effect(academy: Academy) -> Refused:
    return academy.person(money=99), academy.run(price=99), academy.coupon(percent_off=1)


REFUSALS: list[tuple[str, Callable[[Academy], Refused], dict[str, Any]]] = [
    ("coupon_unknown", _unknown, {}),
    ("coupon_unknown", _switched_off, {}),
    ("coupon_not_for_run", _of_another_run, {}),
    ("coupon_currency_mismatch", _in_another_currency, {"expected": "USD"}),
    ("coupon_not_yet_valid", _too_early, {}),
    ("coupon_expired", _too_late, {}),
    ("coupon_already_used", _used_already, {"max_uses_per_learner": 1}),
    ("coupon_used_up", _used_up, {}),
    ("coupon_without_effect", _without_effect, {}),
]


@pytest.mark.parametrize(("code", "situation", "params"), REFUSALS)
def test_a_coupon_that_is_not_taken_says_why_and_nothing_happens(
    academy: Academy,
    code: str,
    situation: Callable[[Academy], Refused],
    params: dict[str, Any],
) -> None:
    person, run_id, coupon = situation(academy)
    before = academy.rows("SELECT count(*) AS payments FROM payments")
    answer = academy.enroll(person, run_id, coupon=coupon)
    problem = answer.get_json()
    assert (answer.status_code, problem["code"]) == (409, code)
    assert problem["type"] == f"/problems/{code.replace('_', '-')}"
    assert {name: problem[name] for name in params} == params
    assert academy.rows("SELECT count(*) AS payments FROM payments") == before
    assert academy.seats_taken(run_id) == 0
    academy.assert_books_balance()


@pytest.mark.parametrize(("code", "situation", "_params"), REFUSALS)
def test_the_price_tells_beforehand_why_a_coupon_will_not_be_taken(
    academy: Academy, code: str, situation: Callable[[Academy], Refused], _params: Any
) -> None:
    person, run_id, coupon = situation(academy)
    price = academy.get(f"/runs/{run_id}/price", person, coupon=coupon).get_json()
    assert price["coupon_refused_because"] == code
    assert price["discount"]["amount"] == 0
    assert price["price"] == price["list_price"]


def attempt(academy: Academy, situation: Callable[[Academy], Refused]) -> dict[str, Any]:
    """The problem that buying is refused with."""
    person, run_id, coupon = situation(academy)
    return academy.enroll(person, run_id, coupon=coupon).get_json()


def test_every_reason_is_one_that_was_seen() -> None:
    assert {code for code, _, _ in REFUSALS} == {refusal.code for refusal in BUYERS_REFUSALS}


def test_a_coupon_that_is_switched_off_is_told_like_one_that_never_was(academy: Academy) -> None:
    unknown, switched_off = (attempt(academy, one) for one in (_unknown, _switched_off))
    assert unknown["detail"] == switched_off["detail"]
    assert set(unknown) == set(switched_off)


def test_a_free_run_takes_no_coupon(academy: Academy) -> None:
    code = academy.coupon()
    answer = academy.enroll(academy.person(), academy.run(price=0), "free", coupon=code)
    assert answer.get_json()["code"] == "coupon_without_effect"
    assert academy.coupon_uses(code) == 0


def test_dates_that_are_wrong_are_told_in_the_refusal(academy: Academy) -> None:
    early, late = attempt(academy, _too_early), attempt(academy, _too_late)
    assert early["valid_from"] > now().isoformat() > late["valid_until"]


def test_a_coupon_for_one_run_is_taken_there(academy: Academy) -> None:
    run_id = academy.run()
    code = academy.coupon(run_id=run_id)
    assert academy.enroll(academy.person(money=4900), run_id, coupon=code).status_code == 201


def test_a_part_is_taken_off_in_any_currency(academy: Academy) -> None:
    run_id, code = academy.run(currency="USD"), academy.coupon()
    answer = academy.enroll(academy.person(), run_id, "provider", token="tok_success", coupon=code)
    payment = answer.get_json()["payment"]
    assert payment["discount"] == {"amount": 2450, "currency": "USD"}


def test_a_learner_may_use_a_coupon_as_often_as_it_says(academy: Academy) -> None:
    person, code = academy.person(money=3 * 4900), academy.coupon(max_uses_per_learner=2)
    answers = [academy.enroll(person, academy.run(), coupon=code) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 409]
    problem = answers[2].get_json()
    assert (problem["code"], problem["max_uses_per_learner"]) == ("coupon_already_used", 2)
    assert academy.coupon_uses(code) == 2


# --- the price beforehand


def test_the_price_is_what_enrolling_costs(academy: Academy) -> None:
    person, run_id, code = academy.person(money=4900), academy.run(), academy.coupon()
    path = f"/runs/{run_id}/price"
    price = academy.get(path, person, coupon=code.lower()).get_json()
    assert price == {
        "run_id": str(run_id),
        "list_price": euros(4900),
        "discount": euros(2450),
        "price": euros(2450),
        "methods": ["wallet", "provider"],
        "coupon": code,
        "coupon_refused_because": None,
        "quoted_at": price["quoted_at"],
    }
    paid = academy.enroll(person, run_id, coupon=code).get_json()["payment"]["amount"]
    assert paid == price["price"]


def test_the_price_without_a_coupon_is_the_list_price(academy: Academy) -> None:
    price = academy.get(f"/runs/{academy.run()}/price", academy.person()).get_json()
    assert (price["price"], price["coupon"]) == (euros(4900), None)
    assert (price["methods"], price["coupon_refused_because"]) == (["wallet", "provider"], None)


def test_the_price_says_that_all_off_is_free(academy: Academy) -> None:
    code = academy.coupon(percent_off=100)
    price = academy.get(f"/runs/{academy.run()}/price", academy.person(), coupon=code).get_json()
    assert (price["price"], price["methods"]) == (euros(0), ["free"])


def test_a_run_that_one_may_not_see_has_no_price(academy: Academy) -> None:
    path = f"/runs/{academy.run(state='draft')}/price"
    assert academy.get(path, academy.person()).status_code == 404
    assert academy.get(path, academy.person("admin")).status_code == 200


# --- giving uses back


def begin(academy: Academy, person: Person, run_id: UUID, code: str) -> dict[str, Any]:
    """Pay with a card that the provider takes its time with."""
    answer = academy.enroll(person, run_id, "provider", token="tok_pending", coupon=code)
    assert answer.status_code == 202
    return answer.get_json()


def overdue(academy: Academy, purchase: dict[str, Any]) -> None:
    academy.execute_as_owner(
        "UPDATE enrollments SET hold_until = now() - interval '1 second' WHERE id = :id",
        id=purchase["enrollment"]["id"],
    )


def let_hold_run_out(academy: Academy, purchase: dict[str, Any]) -> None:
    overdue(academy, purchase)
    academy.do_work(EXPIRE_ENROLLMENT, purchase["enrollment"]["id"])


def let_money_arrive(academy: Academy, purchase: dict[str, Any]) -> None:
    academy.settle_at_provider(payment_of(academy, purchase)["provider_payment_id"])
    academy.do_work(SETTLE_PAYMENT, purchase["payment"]["id"])


def apply(academy: Academy, purchase: dict[str, Any], status: Any) -> None:
    bell = Doorbell(academy.settings.redis_url)
    with academy.database.transaction(academy.scope) as session:
        settlement.apply(session, bell, "payment", UUID(purchase["payment"]["id"]), Answer(status))


def test_a_use_is_counted_while_the_payment_is_open(academy: Academy) -> None:
    run_id, code = academy.run(), academy.coupon(max_uses=1)
    begin(academy, academy.person(), run_id, code)
    other = academy.enroll(academy.person(money=4900), run_id, coupon=code)
    assert other.get_json()["code"] == "coupon_used_up"
    assert academy.coupon_uses(code) == 1


def test_a_declined_card_gives_the_use_back(academy: Academy) -> None:
    person, run_id, code = academy.person(), academy.run(), academy.coupon(max_uses=1)
    declined = academy.enroll(person, run_id, "provider", token="tok_declined", coupon=code)
    assert declined.status_code == 402
    assert academy.coupon_uses(code) == 0
    academy.assert_books_balance()
    again = academy.enroll(person, run_id, "provider", token="tok_success", coupon=code)
    assert again.status_code == 201
    assert academy.coupon_uses(code) == 1
    academy.assert_books_balance()


@pytest.mark.parametrize("status", ["failed", "canceled"])
def test_a_payment_that_fails_in_the_end_gives_the_use_back_once(
    academy: Academy, status: str
) -> None:
    code = academy.coupon(max_uses=1)
    purchase = begin(academy, academy.person(), academy.run(), code)
    for _ in range(2):
        apply(academy, purchase, status)
    assert (academy.coupon_uses(code), enrollment_of(academy, purchase)) == (0, "cancelled")
    academy.assert_books_balance()


def test_a_hold_that_runs_out_gives_the_use_back_and_a_later_failure_not_again(
    academy: Academy,
) -> None:
    code = academy.coupon(max_uses=1)
    purchase = begin(academy, academy.person(), academy.run(), code)
    let_hold_run_out(academy, purchase)
    assert academy.coupon_uses(code) == 0
    apply(academy, purchase, "failed")
    assert academy.coupon_uses(code) == 0
    academy.assert_books_balance()


def test_who_needs_seats_gives_back_the_uses_of_those_who_did_not_pay(academy: Academy) -> None:
    run_id, codes = academy.run(capacity=3), [academy.coupon() for _ in range(2)]
    for code in (*codes, codes[0]):
        overdue(academy, begin(academy, academy.person(), run_id, code))
    assert [academy.coupon_uses(code) for code in codes] == [2, 1]
    with academy.database.transaction(academy.scope) as session:
        assert make_room(session, run_id)
    assert [academy.coupon_uses(code) for code in codes] == [0, 0]
    academy.assert_books_balance()


def test_a_learner_who_gives_up_before_paying_gets_the_use_back(academy: Academy) -> None:
    person, code = academy.person(money=4900), academy.coupon()
    purchase = begin(academy, person, academy.run(), code)
    path = f"/enrollments/{purchase['enrollment']['id']}/withdraw"
    assert academy.post(path, person).status_code == 200
    assert academy.coupon_uses(code) == 0
    assert academy.enroll(person, academy.run(), coupon=code).status_code == 201
    academy.assert_books_balance()


def test_money_that_is_given_back_is_what_was_paid_and_leaves_the_use(academy: Academy) -> None:
    person, code = academy.person(money=4900), academy.coupon()
    purchase = academy.enroll(person, academy.run(), coupon=code).get_json()
    answer = academy.post(f"/enrollments/{purchase['enrollment']['id']}/withdraw", person)
    assert answer.get_json()["refund"]["amount"] == euros(2450)
    assert (academy.balance(person), academy.coupon_uses(code)) == (4900, 1)
    academy.assert_books_balance()


def test_a_policys_part_is_one_of_what_was_paid(academy: Academy) -> None:
    policy = [{"until": (now() + timedelta(days=1)).isoformat(), "percent": 50}]
    person, code = academy.person(money=4900), academy.coupon()
    run_id = academy.run(refund_policy=policy)
    payment = academy.enroll(person, run_id, coupon=code).get_json()["payment"]
    quote = academy.get(f"/payments/{payment['id']}/refund-quote", person).get_json()
    assert (quote["percent"], quote["amount"]) == (50, euros(1225))


# --- money that comes late


def assert_given_back(academy: Academy, purchase: dict[str, Any], amount: int) -> None:
    (refund,) = academy.rows(
        "SELECT id, amount, reason FROM refunds WHERE payment_id = :id",
        id=UUID(purchase["payment"]["id"]),
    )
    assert (refund["amount"], refund["reason"]) == (amount, "late_money")
    academy.do_work(SETTLE_PAYMENT, refund["id"])
    assert payment_of(academy, purchase)["coupon_used"] is False
    academy.assert_books_balance()


def test_late_money_takes_the_use_again(academy: Academy) -> None:
    code = academy.coupon(max_uses=1)
    purchase = begin(academy, academy.person(), academy.run(), code)
    let_hold_run_out(academy, purchase)
    let_money_arrive(academy, purchase)
    assert (academy.coupon_uses(code), enrollment_of(academy, purchase)) == (1, "active")
    academy.assert_books_balance()


def test_late_money_keeps_the_price_that_was_agreed(academy: Academy) -> None:
    code = academy.coupon()
    purchase = begin(academy, academy.person(), academy.run(), code)
    let_hold_run_out(academy, purchase)
    academy.execute_as_owner("UPDATE coupons SET is_active = false WHERE code = :code", code=code)
    let_money_arrive(academy, purchase)
    assert (academy.coupon_uses(code), enrollment_of(academy, purchase)) == (1, "active")


def test_late_money_is_given_back_when_somebody_else_has_the_last_use(academy: Academy) -> None:
    run_id, code = academy.run(), academy.coupon(max_uses=1)
    purchase = begin(academy, academy.person(), run_id, code)
    let_hold_run_out(academy, purchase)
    assert academy.enroll(academy.person(money=4900), run_id, coupon=code).status_code == 201
    let_money_arrive(academy, purchase)
    assert enrollment_of(academy, purchase) == "expired"
    assert (academy.coupon_uses(code), academy.seats_taken(run_id)) == (1, 1)
    assert_given_back(academy, purchase, 2450)


def test_late_money_is_given_back_when_the_learner_used_the_coupon_elsewhere(
    academy: Academy,
) -> None:
    person, code = academy.person(money=4900), academy.coupon()
    purchase = begin(academy, person, academy.run(), code)
    let_hold_run_out(academy, purchase)
    assert academy.enroll(person, academy.run(), coupon=code).status_code == 201
    let_money_arrive(academy, purchase)
    assert academy.coupon_uses(code) == 1
    assert_given_back(academy, purchase, 2450)


def test_late_money_for_a_full_run_takes_no_use(academy: Academy) -> None:
    run_id, code = academy.run(capacity=1), academy.coupon()
    purchase = begin(academy, academy.person(), run_id, code)
    let_hold_run_out(academy, purchase)
    academy.enroll(academy.person(money=4900), run_id)
    let_money_arrive(academy, purchase)
    assert academy.coupon_uses(code) == 0
    assert_given_back(academy, purchase, 2450)


# --- papers


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
