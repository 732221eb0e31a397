"""What a first draft would do, under the storms of the product: each of them breaks it.

So a storm that passes says something. Nothing here is luck: between reading and writing, so many
threads as there are connections wait for each other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from lms.core.ids import new_id
from tenants.session import Database
from tests.factories.money import DEADLINE, Academy, together
from tests.factories.people import Person
from tests.lms.checkout import storms
from tests.lms.checkout.storms import PRICE, THREADS, Outcome, no_deadlock

AT_ONCE = 16
WAVES = THREADS // AT_ONCE


@pytest.fixture
def ground(academy: Academy, make_organization: Callable[..., UUID]) -> Academy:
    """An organization of the test's own, because its books do not agree afterwards."""
    slug = f"naive-{new_id().hex[-12:]}"
    return replace(academy, organization_id=make_organization(slug), slug=slug)


@pytest.fixture
def pool(make_database: Callable[..., Database]) -> Database:
    """As many connections as threads are between reading and writing."""
    return make_database(pool_size=AT_ONCE, pool_timeout=DEADLINE)


@pytest.fixture
def meet() -> Callable[[], None]:
    """Wait until all that have a connection have read."""
    barrier = threading.Barrier(AT_ONCE)

    def wait() -> None:
        barrier.wait(DEADLINE)

    return wait


def pay(session: Session, person: Person, run_id: UUID) -> None:
    session.execute(
        text(
            "INSERT INTO payments (id, user_id, run_id, amount, currency, method, state,"
            " succeeded_at) VALUES (:id, :user_id, :run_id, :amount, 'EUR', 'wallet',"
            " 'succeeded', now())"
        ),
        {"id": new_id(), "user_id": person.id, "run_id": run_id, "amount": PRICE},
    )


def take_seat(session: Session, person: Person, run_id: UUID) -> None:
    session.execute(
        text(
            "INSERT INTO enrollments (id, user_id, run_id, version_id, state, activated_at)"
            " SELECT :id, :user_id, id, version_id, 'active', now() FROM course_runs"
            " WHERE id = :run_id"
        ),
        {"id": new_id(), "user_id": person.id, "run_id": run_id},
    )


def test_a_balance_that_is_read_and_then_written_buys_what_nobody_paid_for(
    ground: Academy, pool: Database, meet: Callable[[], None]
) -> None:
    find = text("SELECT balance FROM wallets WHERE user_id = :id")
    write = text("UPDATE wallets SET balance = :balance WHERE user_id = :id")

    def buy(person: Person, run_id: UUID) -> Outcome:
        with pool.transaction(ground.scope) as session:
            balance = session.execute(find, {"id": person.id}).scalar_one()
            meet()
            if balance < PRICE:
                return "insufficient_funds"
            session.execute(write, {"id": person.id, "balance": balance - PRICE})
            pay(session, person, run_id)
            return 201

    found = storms.money_for_four(ground, buy)
    assert found != storms.FOUR_BOUGHT
    assert found == {"outcomes": {201: THREADS}, "paid": THREADS * PRICE, "left": 100}


def test_seats_that_are_counted_and_then_taken_are_sold_twice(
    ground: Academy, pool: Database, meet: Callable[[], None]
) -> None:
    find = text(
        "SELECT (SELECT count(*) FROM enrollments WHERE run_id = s.run_id) < s.capacity"
        " FROM run_seats s WHERE s.run_id = :run_id"
    )

    def buy(person: Person, run_id: UUID) -> Outcome:
        with pool.transaction(ground.scope) as session:
            has_room = session.execute(find, {"run_id": run_id}).scalar_one()
            meet()
            if not has_room:
                return "run_full"
            take_seat(session, person, run_id)
            return 201

    found = storms.last_seat(ground, buy)
    assert found != storms.SOLD_ONCE
    assert found == {
        "outcomes": {201: AT_ONCE, "run_full": THREADS - AT_ONCE},
        "enrolled": AT_ONCE,
    }


def test_a_cap_of_refunds_that_is_read_and_then_written_gives_too_much_back(
    ground: Academy, pool: Database, meet: Callable[[], None]
) -> None:
    find = text("SELECT amount, refunded_amount FROM payments WHERE id = :id")
    write = text("UPDATE payments SET refunded_amount = :refunded WHERE id = :id")
    insert = text(
        "INSERT INTO refunds (id, payment_id, amount, currency, destination, state, succeeded_at)"
        " VALUES (:id, :payment_id, :amount, 'EUR', 'wallet', 'succeeded', now())"
    )

    def give_back(payment_id: UUID, amount: int) -> Outcome:
        with pool.transaction(ground.scope) as session:
            payment = session.execute(find, {"id": payment_id}).one()
            meet()
            refunded = payment.refunded_amount + amount
            if refunded > payment.amount:
                return "not_refundable"
            session.execute(write, {"id": payment_id, "refunded": refunded})
            values = {"id": new_id(), "payment_id": payment_id, "amount": amount}
            session.execute(insert, values)
            return 201

    found = storms.parts_of_one_payment(ground, give_back)
    assert found != storms.EIGHT_GIVEN_BACK
    assert found["refunds"] == THREADS * storms.PART > PRICE > found["refunded_amount"]


def test_a_key_that_is_looked_up_and_then_stored_promises_nothing(
    ground: Academy, pool: Database, meet: Callable[[], None]
) -> None:
    find = text("SELECT status FROM idempotency_keys WHERE user_id = :id AND key = :key")
    store = text(
        "INSERT INTO idempotency_keys (user_id, operation, key, request_hash, subject_id, status,"
        " body, claimed_until) VALUES (:id, 'topUpWallet', :key, 'same', :subject_id, 201, '{}',"
        " now()) ON CONFLICT DO NOTHING"
    )
    deposit = text(
        "INSERT INTO wallet_top_ups (id, wallet_id, user_id, amount, currency, provider, state,"
        " succeeded_at) SELECT :subject_id, id, user_id, 5000, currency, 'sandbox', 'succeeded',"
        " now() FROM wallets WHERE user_id = :id"
    )

    def top_up(person: Person, key: str) -> Outcome:
        values = {"id": person.id, "key": key, "subject_id": new_id()}
        with pool.transaction(ground.scope) as session:
            status = session.execute(find, values).scalar()
            meet()
            if status is None:
                session.execute(deposit, values)
                session.execute(store, values)
            return status or 201

    found = storms.one_key(ground, top_up)
    assert found != storms.DEPOSITED_ONCE
    assert found == {"told": {201}, "top_ups": AT_ONCE}


INSERT_RECEIPT = text("""
    INSERT INTO receipts (year, number, top_up_id, user_id, amount, currency)
    SELECT 2027, :number, id, user_id, amount, currency FROM wallet_top_ups WHERE id = :id
""")


def test_numbers_of_a_sequence_have_gaps(ground: Academy, pool: Database) -> None:
    ground.execute_as_owner("CREATE SEQUENCE receipt_numbers")
    ground.execute_as_owner(
        f'GRANT USAGE ON SEQUENCE receipt_numbers TO "o_{ground.organization_id.hex}"'
    )

    def issue(session: Session, top_up_id: UUID) -> None:
        number = session.execute(text("SELECT nextval('receipt_numbers')")).scalar_one()
        session.execute(INSERT_RECEIPT, {"number": number, "id": top_up_id})

    found = storms.receipts_of_many(ground, pool, issue)
    assert found != storms.HALF_NUMBERED
    assert found["outcomes"] == storms.HALF_NUMBERED["outcomes"]
    assert found["gap"] >= storms.ROLLED_BACK_FIRST


def test_numbers_that_follow_the_largest_are_given_twice(
    ground: Academy, pool: Database, meet: Callable[[], None]
) -> None:
    find = text("SELECT COALESCE(max(number), 0) + 1 FROM receipts WHERE year = 2027")

    def issue(session: Session, top_up_id: UUID) -> None:
        number = session.execute(find).scalar_one()
        meet()
        session.execute(INSERT_RECEIPT, {"number": number, "id": top_up_id})

    found = storms.receipts_of_many(ground, pool, issue)
    assert found != storms.HALF_NUMBERED
    assert found["outcomes"]["IntegrityError"] > 0
    assert found["outcomes"]["issued"] < WAVES


def deadlocks(pool: Database, ground: Academy, step: Callable[[Session, int], None]) -> int:
    """How many of two transactions at once are ended as the victim of a deadlock."""

    def run(number: int) -> bool:
        try:
            with pool.transaction(ground.scope) as session:
                step(session, number)
        except OperationalError as error:
            if isinstance(error.orig, psycopg.errors.DeadlockDetected):
                return True
            raise
        return False

    return sum(together(2, run))


def test_balances_that_are_locked_in_any_order_deadlock(ground: Academy, pool: Database) -> None:
    people, both = [ground.person(money=PRICE) for _ in range(2)], threading.Barrier(2)
    add = text("UPDATE wallets SET balance = balance + :amount WHERE user_id = :id")

    def give(session: Session, number: int) -> None:
        session.execute(add, {"id": people[number].id, "amount": -100})
        both.wait(DEADLINE)
        session.execute(add, {"id": people[1 - number].id, "amount": 100})

    with pytest.raises(AssertionError, match="1 deadlocks"), no_deadlock(ground, pool):
        assert deadlocks(pool, ground, give) == 1


def test_rows_that_foreign_keys_point_at_are_not_locked_for_update(
    ground: Academy, pool: Database
) -> None:
    people, run_id, both = [ground.person() for _ in range(2)], ground.run(), threading.Barrier(2)
    hold = text("SELECT id FROM course_runs WHERE id = :id FOR UPDATE")

    def enroll(session: Session, number: int) -> None:
        take_seat(session, people[number], run_id)
        both.wait(DEADLINE)
        session.execute(hold, {"id": run_id})

    with pytest.raises(AssertionError, match="1 deadlocks"), no_deadlock(ground, pool):
        assert deadlocks(pool, ground, enroll) == 1
