"""Many at once, with exact outcomes."""

from __future__ import annotations

from collections import Counter
from typing import Any
from uuid import UUID, uuid4

from werkzeug.test import TestResponse

from lms.checkout.holds import expire
from lms.checkout.settlement import apply
from lms.core.queue import Doorbell
from lms.payments.attempts import Answer
from tests.factories.money import Academy, together


def outcomes(answers: list[TestResponse]) -> Counter[Any]:
    return Counter(
        answer.status_code if answer.status_code < 300 else answer.get_json()["code"]
        for answer in answers
    )


def test_of_sixteen_buyers_of_the_last_seat_one_gets_it(academy: Academy) -> None:
    run_id = academy.run(capacity=1)
    buyers = [academy.person(money=4900) for _ in range(16)]
    answers = together(16, lambda number: academy.enroll(buyers[number], run_id))
    assert outcomes(answers) == {201: 1, "run_full": 15}
    assert academy.seats_taken(run_id) == 1
    assert sum(academy.balance(buyer) for buyer in buyers) == 15 * 4900
    academy.assert_books_balance()


def test_money_for_four_buys_four_of_sixteen(academy: Academy) -> None:
    person = academy.person(money=4 * 4900 + 100)
    runs = [academy.run() for _ in range(16)]
    answers = together(16, lambda number: academy.enroll(person, runs[number]))
    assert outcomes(answers) == {201: 4, "insufficient_funds": 12}
    assert academy.balance(person) == 100
    academy.assert_books_balance()


def test_one_key_from_eight_threads_makes_one_payment(academy: Academy) -> None:
    person, run_id, key = academy.person(money=49_000), academy.run(), str(uuid4())
    answers = together(8, lambda _number: academy.enroll(person, run_id, key=key))
    assert set(outcomes(answers)) <= {201, "request_in_progress"}
    assert len({a.get_json()["payment"]["id"] for a in answers if a.status_code == 201}) == 1
    assert academy.balance(person) == 49_000 - 4900
    academy.assert_books_balance()


def test_one_key_from_eight_threads_charges_a_card_once(academy: Academy) -> None:
    person, run_id, key = academy.person(), academy.run(), str(uuid4())
    answers = together(
        8, lambda _number: academy.enroll(person, run_id, "provider", token="tok_success", key=key)
    )
    assert set(outcomes(answers)) <= {201, "request_in_progress"}
    rows = academy.rows("SELECT id, state FROM payments WHERE user_id = :id", id=person.id)
    assert [row["state"] for row in rows] == ["succeeded"]
    assert academy.seats_taken(run_id) == 1
    academy.assert_books_balance()


def test_eight_keys_of_one_learner_make_one_enrollment(academy: Academy) -> None:
    person, run_id = academy.person(money=49_000), academy.run()
    answers = together(8, lambda _number: academy.enroll(person, run_id))
    assert outcomes(answers) == {201: 1, "already_enrolled": 7}
    assert academy.balance(person) == 49_000 - 4900
    academy.assert_books_balance()


def test_money_that_arrives_while_the_hold_runs_out_is_never_lost(academy: Academy) -> None:
    for _ in range(6):
        person, run_id = academy.person(), academy.run(capacity=1)
        answer = academy.enroll(person, run_id, "provider", token="tok_pending")
        purchase = answer.get_json()
        enrollment_id = UUID(purchase["enrollment"]["id"])
        payment_id = UUID(purchase["payment"]["id"])
        academy.execute_as_owner(
            "UPDATE enrollments SET hold_until = now() WHERE id = :id", id=enrollment_id
        )
        bell = Doorbell(academy.settings.redis_url)

        def step(
            number: int, payment: UUID = payment_id, seat: UUID = enrollment_id, bell: Any = bell
        ) -> None:
            with academy.database.transaction(academy.scope) as session:
                if number:
                    apply(session, bell, "payment", payment, Answer("succeeded"))
                else:
                    expire(session, seat)

        together(2, step)
        (row,) = academy.rows("SELECT state FROM enrollments WHERE id = :id", id=enrollment_id)
        assert (row["state"], academy.seats_taken(run_id)) == ("active", 1)
    academy.assert_books_balance()
