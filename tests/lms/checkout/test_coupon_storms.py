"""Many at once with one coupon, with exact outcomes; and the naive way, which the storm catches."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from werkzeug.test import TestResponse

from lms.checkout.holds import expire
from lms.checkout.settlement import apply
from lms.core.queue import Doorbell
from lms.payments.attempts import Answer
from tests.factories.money import DEADLINE, Academy, together
from tests.factories.people import Person

USES = 5


def outcomes(answers: Iterable[TestResponse]) -> Counter[Any]:
    return Counter(
        answer.status_code if answer.status_code < 300 else answer.get_json()["code"]
        for answer in answers
    )


def buy(
    academy: Academy,
    person: Person,
    run_id: UUID,
    method: str = "wallet",
    *,
    coupon: str,
    token: str | None = None,
) -> TestResponse:
    """Enroll as clients do: who is told that no connection is free repeats the request."""
    key = str(uuid4())
    for _ in range(50):
        answer = academy.enroll(person, run_id, method, token=token, coupon=coupon, key=key)
        if answer.status_code != 503 or answer.get_json()["code"] != "unavailable":
            return answer
    raise AssertionError("it is never answered")


def assert_used_as_often_as_counted(academy: Academy, code: str, discounted: int) -> None:
    """What every storm holds a coupon to: as many discounts as it has, and all of them counted."""
    assert discounted == USES
    assert academy.coupon_uses(code) == USES


def test_of_64_buyers_with_a_coupon_of_five_uses_five_get_it(academy: Academy) -> None:
    run_id, code = academy.run(capacity=64), academy.coupon(max_uses=USES)
    buyers = [academy.person(money=4900) for _ in range(64)]
    answers = together(64, lambda number: buy(academy, buyers[number], run_id, coupon=code))
    done = outcomes(answers)
    assert done == {201: USES, "coupon_used_up": 64 - USES}
    assert_used_as_often_as_counted(academy, code, done[201])
    assert academy.seats_taken(run_id) == USES
    assert sum(academy.balance(buyer) for buyer in buyers) == 64 * 4900 - USES * 2450
    academy.assert_books_balance()


def test_reading_the_uses_before_writing_them_gives_more_discounts_than_there_are(
    academy: Academy,
) -> None:
    code, database = academy.coupon(max_uses=USES), academy.app.extensions["edge"].database
    read, all_have_read = text("SELECT uses FROM coupons WHERE code = :code"), threading.Barrier(8)
    write = text("UPDATE coupons SET uses = :uses WHERE code = :code")

    def redeem(_number: int) -> bool:
        with database.transaction(academy.scope) as session:
            uses = session.execute(read, {"code": code}).scalar_one()
            all_have_read.wait(DEADLINE)
            if uses >= USES:
                return False
            session.execute(write, {"uses": uses + 1, "code": code})
            return True

    discounted = sum(together(8, redeem))
    with pytest.raises(AssertionError):
        assert_used_as_often_as_counted(academy, code, discounted)
    academy.execute_as_owner("UPDATE coupons SET uses = 0 WHERE code = :code", code=code)


@pytest.mark.parametrize(("runs", "each"), [(2, 1), (8, 3)])
def test_one_learner_who_buys_many_runs_at_once_uses_a_coupon_as_often_as_allowed(
    academy: Academy, runs: int, each: int
) -> None:
    person, code = academy.person(money=runs * 4900), academy.coupon(max_uses_per_learner=each)
    run_ids = [academy.run() for _ in range(runs)]
    answers = together(runs, lambda number: buy(academy, person, run_ids[number], coupon=code))
    assert outcomes(answers) == {201: each, "coupon_already_used": runs - each}
    assert academy.coupon_uses(code) == each
    assert academy.balance(person) == runs * 4900 - each * 2450
    assert sum(academy.seats_taken(run_id) for run_id in run_ids) == each
    academy.assert_books_balance()


def test_one_learner_who_buys_many_free_runs_at_once_uses_a_coupon_as_often_as_allowed(
    academy: Academy,
) -> None:
    """No wallet's row makes these wait for each other: only the coupon's does."""
    person = academy.person()
    code = academy.coupon(percent_off=100, max_uses_per_learner=2)
    run_ids = [academy.run() for _ in range(8)]
    answers = together(8, lambda number: buy(academy, person, run_ids[number], "free", coupon=code))
    assert outcomes(answers) == {201: 2, "coupon_already_used": 6}
    assert academy.coupon_uses(code) == 2
    academy.assert_books_balance()


def test_one_key_from_eight_threads_uses_a_coupon_once(academy: Academy) -> None:
    person, run_id, code = academy.person(money=49_000), academy.run(), academy.coupon()
    answers = together(
        8, lambda _number: academy.enroll(person, run_id, coupon=code, key=f"one {code}")
    )
    assert set(outcomes(answers)) <= {201, "request_in_progress"}
    assert (academy.coupon_uses(code), academy.balance(person)) == (1, 49_000 - 2450)
    academy.assert_books_balance()


def test_cards_that_are_declined_and_taken_at_once_leave_the_uses_of_those_taken(
    academy: Academy,
) -> None:
    run_id, code = academy.run(), academy.coupon(max_uses=16)
    people = [academy.person() for _ in range(16)]
    tokens = ("tok_success", "tok_declined")

    def pay(number: int) -> TestResponse:
        token = tokens[number % 2]
        return buy(academy, people[number], run_id, "provider", token=token, coupon=code)

    assert outcomes(together(16, pay)) == {201: 8, "payment_declined": 8}
    assert (academy.coupon_uses(code), academy.seats_taken(run_id)) == (8, 8)
    academy.assert_books_balance()


def test_who_buys_again_while_the_first_payment_fails_does_not_deadlock_with_it(
    academy: Academy,
) -> None:
    """The purchase waits for the payment, which in its turn gives back a use of the same coupon."""
    for _ in range(6):
        person, run_id = academy.person(money=4900), academy.run(capacity=1)
        code = academy.coupon()
        answer = academy.enroll(person, run_id, "provider", token="tok_pending", coupon=code)
        payment_id = UUID(answer.get_json()["payment"]["id"])
        bell = Doorbell(academy.settings.redis_url)

        def step(
            number: int,
            payment_id: UUID = payment_id,
            buyer: Any = (person, run_id),
            code: str = code,
            bell: Doorbell = bell,
        ) -> TestResponse | None:
            if number:
                return buy(academy, *buyer, coupon=code)
            with academy.database.transaction(academy.scope) as session:
                apply(session, bell, "payment", payment_id, Answer("failed"))
            return None

        _, bought = together(2, step)
        assert bought is not None
        (outcome,) = outcomes([bought])
        assert outcome in (201, "already_enrolled")
        assert academy.coupon_uses(code) == academy.seats_taken(run_id) == int(outcome == 201)
    academy.assert_books_balance()


def test_money_that_arrives_while_the_hold_runs_out_keeps_its_use(academy: Academy) -> None:
    for _ in range(6):
        run_id, code = academy.run(), academy.coupon(max_uses=1)
        answer = academy.enroll(
            academy.person(), run_id, "provider", token="tok_pending", coupon=code
        )
        purchase = answer.get_json()
        enrollment_id = UUID(purchase["enrollment"]["id"])
        payment_id = UUID(purchase["payment"]["id"])
        academy.execute_as_owner(
            "UPDATE enrollments SET hold_until = now() WHERE id = :id", id=enrollment_id
        )
        bell = Doorbell(academy.settings.redis_url)

        def step(
            number: int,
            payment_id: UUID = payment_id,
            enrollment_id: UUID = enrollment_id,
            bell: Doorbell = bell,
        ) -> None:
            with academy.database.transaction(academy.scope) as session:
                if number:
                    apply(session, bell, "payment", payment_id, Answer("succeeded"))
                else:
                    expire(session, enrollment_id)

        together(2, step)
        assert (academy.coupon_uses(code), academy.seats_taken(run_id)) == (1, 1)
    academy.assert_books_balance()
