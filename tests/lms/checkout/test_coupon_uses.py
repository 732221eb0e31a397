"""When the use of a coupon is counted, given back, and taken again by late money."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from lms.checkout import settlement
from lms.checkout.holds import make_room
from lms.core.clock import now
from lms.core.queue import EXPIRE_ENROLLMENT, SETTLE_PAYMENT, Doorbell
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
