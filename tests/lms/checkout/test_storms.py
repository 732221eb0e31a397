"""Many at once, with exact outcomes and without a deadlock (`storms` has the naive ones' too)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy.orm import Session

from lms.checkout.holds import expire
from lms.checkout.settlement import apply
from lms.core.ids import new_id
from lms.core.queue import Doorbell
from lms.payments import receipts
from lms.payments.attempts import Answer
from tenants.session import Database
from tests.factories.money import DEADLINE, Academy, together
from tests.factories.people import Person
from tests.lms.checkout import storms
from tests.lms.checkout.storms import THREADS, Outcome, no_deadlock, tally, told


@pytest.fixture
def ground(academy: Academy, make_organization: Callable[..., UUID]) -> Academy:
    """An organization of the test's own, where nothing is posted for what is received."""
    slug = f"storm-{new_id().hex[-12:]}"
    return replace(academy, organization_id=make_organization(slug), slug=slug)


def test_the_last_seat_is_sold_once(academy: Academy) -> None:
    def buy(person: Person, run_id: UUID) -> Outcome:
        key = str(uuid4())
        return told(lambda: academy.enroll(person, run_id, key=key))

    with no_deadlock(academy):
        assert storms.last_seat(academy, buy) == storms.SOLD_ONCE
    academy.assert_books_balance()


def test_money_for_four_buys_four(academy: Academy) -> None:
    def buy(person: Person, run_id: UUID) -> Outcome:
        key = str(uuid4())
        return told(lambda: academy.enroll(person, run_id, key=key))

    with no_deadlock(academy):
        assert storms.money_for_four(academy, buy) == storms.FOUR_BOUGHT
    academy.assert_books_balance()


def test_of_parts_of_one_payment_as_many_are_given_back_as_fit(academy: Academy) -> None:
    admin = academy.person("admin")

    def give_back(payment_id: UUID, amount: int) -> Outcome:
        path, key = f"/payments/{payment_id}/refunds", str(uuid4())
        body = {"amount": {"amount": amount, "currency": "EUR"}}
        return told(lambda: academy.post(path, admin, body, key=key))

    with no_deadlock(academy):
        assert storms.parts_of_one_payment(academy, give_back) == storms.EIGHT_GIVEN_BACK
    academy.assert_books_balance()


def test_one_key_deposits_once(academy: Academy) -> None:
    def top_up(person: Person, key: str) -> Outcome:
        return told(lambda: academy.top_up(person, 5000, key=key))

    with no_deadlock(academy):
        assert storms.one_key(academy, top_up) == storms.DEPOSITED_ONCE
    academy.assert_books_balance()


def test_receipts_have_no_gaps_whatever_is_rolled_back(
    ground: Academy, make_database: Callable[..., Database]
) -> None:
    def issue(session: Session, top_up_id: UUID) -> None:
        receipts.issue(session, "top_up", top_up_id)

    pool = make_database(pool_size=16, pool_timeout=DEADLINE)
    with no_deadlock(ground, pool):
        assert storms.receipts_of_many(ground, pool, issue) == storms.HALF_NUMBERED


@pytest.mark.parametrize(("method", "token"), [("wallet", None), ("provider", "tok_success")])
def test_one_key_pays_once(academy: Academy, method: str, token: str | None) -> None:
    person, run_id, key = academy.person(money=49_000), academy.run(), str(uuid4())

    def pay(_number: int) -> Outcome:
        return told(lambda: academy.enroll(person, run_id, method, token=token, key=key))

    with no_deadlock(academy):
        outcomes = together(THREADS, pay)
    assert set(outcomes) <= {201, "request_in_progress"}
    states = academy.rows("SELECT state FROM payments WHERE user_id = :id", id=person.id)
    assert states == [{"state": "succeeded"}]
    assert academy.balance(person) == 49_000 - (4900 if method == "wallet" else 0)
    assert academy.seats_taken(run_id) == 1
    academy.assert_books_balance()


def test_many_keys_of_one_learner_make_one_enrollment(academy: Academy) -> None:
    person, run_id = academy.person(money=49_000), academy.run()

    def pay(_number: int) -> Outcome:
        key = str(uuid4())
        return told(lambda: academy.enroll(person, run_id, key=key))

    with no_deadlock(academy):
        outcomes = together(THREADS, pay)
    assert tally(outcomes) == {201: 1, "already_enrolled": THREADS - 1}
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

        with no_deadlock(academy):
            together(2, step)
        (row,) = academy.rows("SELECT state FROM enrollments WHERE id = :id", id=enrollment_id)
        assert (row["state"], academy.seats_taken(run_id)) == ("active", 1)
    academy.assert_books_balance()
