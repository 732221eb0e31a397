"""Storms with exact outcomes: for the product's algorithms, and for naive ones, which they break.

Each storm is given the algorithm and returns what came of it; what should come is beside it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from lms.core.ids import new_id
from lms.payments.operations import ensure_wallet
from tenants.session import Database
from tests.factories.jobs import until
from tests.factories.money import DEADLINE, Academy, together
from tests.factories.people import Person

THREADS = 64
PRICE = 4900
Outcome = int | str
"""A status below 300, or the code of a refusal."""

Facts = dict[str, Any]

DEADLOCKS = text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
NOW = text("SELECT now()")
USED_SINCE = text("""
    SELECT count(*) FROM pg_stat_activity
     WHERE datname = current_database() AND usename <> current_user AND query_start >= :began
""")


class RolledBackError(Exception):
    """Something later in the transaction went wrong."""


@contextmanager
def no_deadlock(academy: Academy, *pools: Database) -> Iterator[None]:
    """Nothing in the block runs into a deadlock, not even one that a repeat would hide.

    Args:
        academy: whose pools are used in the block; they are closed after it, because a backend may
            keep what it counted until it ends.
        pools: others that are used in the block.
    """

    def read(statement: Any, **values: Any) -> Any:
        with academy.admin_engine.connect() as connection:
            return connection.execute(statement, values).scalar_one()

    before, began = read(DEADLOCKS), read(NOW)
    yield
    for pool in (academy.database, academy.app.extensions["edge"].database, *pools):
        pool.dispose()
    until(lambda: read(USED_SINCE, began=began) == 0, DEADLINE)
    found = read(DEADLOCKS) - before
    assert found == 0, f"{found} deadlocks"


def told(ask: Callable[[], TestResponse]) -> Outcome:
    """What a request is told; one that is asked to come back (503) does so, unchanged."""
    deadline = time.monotonic() + DEADLINE
    while (answer := ask()).status_code == 503:
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.05)
    return answer.status_code if answer.status_code < 300 else answer.get_json()["code"]


def tally(outcomes: list[Any]) -> dict[Any, int]:
    """How often each outcome came."""
    return dict(Counter(outcomes))


def one(academy: Academy, sql: str, **values: Any) -> Any:
    """The only value that a query finds."""
    ((value,),) = (row.values() for row in academy.rows(sql, **values))
    return value


# --- the last seat

SOLD_ONCE: Facts = {"outcomes": {201: 1, "run_full": THREADS - 1}, "enrolled": 1}


def last_seat(academy: Academy, buy: Callable[[Person, UUID], Outcome]) -> Facts:
    """Many want the only seat."""
    run_id = academy.run(capacity=1)
    buyers = [academy.person(money=PRICE) for _ in range(THREADS)]
    outcomes = together(THREADS, lambda number: buy(buyers[number], run_id))
    enrolled = "SELECT count(*) FROM enrollments WHERE run_id = :id AND state = 'active'"
    return {"outcomes": tally(outcomes), "enrolled": one(academy, enrolled, id=run_id)}


# --- overdraft

FOUR_BOUGHT: Facts = {
    "outcomes": {201: 4, "insufficient_funds": THREADS - 4},
    "paid": 4 * PRICE,
    "left": 100,
}


def money_for_four(academy: Academy, buy: Callable[[Person, UUID], Outcome]) -> Facts:
    """One buys everywhere at once, with money for four."""
    person = academy.person(money=4 * PRICE + 100)
    runs = [academy.run() for _ in range(THREADS)]
    outcomes = together(THREADS, lambda number: buy(person, runs[number]))
    paid = "SELECT COALESCE(sum(amount), 0)::bigint FROM payments WHERE user_id = :id"
    left = "SELECT balance FROM wallets WHERE user_id = :id"
    return {
        "outcomes": tally(outcomes),
        "paid": one(academy, paid, id=person.id),
        "left": one(academy, left, id=person.id),
    }


# --- refund against refund

PART = 600
EIGHT_GIVEN_BACK: Facts = {
    "outcomes": {201: 8, "not_refundable": THREADS - 8},
    "refunds": 8 * PART,
    "refunded_amount": 8 * PART,
}


def parts_of_one_payment(academy: Academy, give_back: Callable[[UUID, int], Outcome]) -> Facts:
    """Many give a part of the same payment back, of which eight fit."""
    purchase = academy.enroll(academy.person(money=PRICE), academy.run()).get_json()
    payment_id = UUID(purchase["payment"]["id"])
    outcomes = together(THREADS, lambda _number: give_back(payment_id, PART))
    refunds = "SELECT COALESCE(sum(amount), 0)::bigint FROM refunds WHERE payment_id = :id"
    refunded = "SELECT refunded_amount FROM payments WHERE id = :id"
    return {
        "outcomes": tally(outcomes),
        "refunds": one(academy, refunds, id=payment_id),
        "refunded_amount": one(academy, refunded, id=payment_id),
    }


# --- the same key

DEPOSITED_ONCE: Facts = {"told": {201}, "top_ups": 1}


def one_key(academy: Academy, top_up: Callable[[Person, str], Outcome]) -> Facts:
    """One request comes many times at once. Who is told to wait may: the answer is the same."""
    person, key = academy.person(money=1), str(uuid4())
    outcomes = together(THREADS, lambda _number: top_up(person, key))
    made = "SELECT count(*) FROM wallet_top_ups WHERE user_id = :id"
    return {
        "told": set(outcomes) - {"request_in_progress"},
        "top_ups": one(academy, made, id=person.id),
    }


# --- receipt numbers

ROLLED_BACK_FIRST = THREADS // 4
HALF_NUMBERED: Facts = {
    "outcomes": {"issued": THREADS // 2, "rolled back": THREADS // 2},
    "gap": 0,
}
NEW_TOP_UP = text("""
    INSERT INTO wallet_top_ups
           (id, wallet_id, user_id, amount, currency, provider, state, succeeded_at)
    VALUES (:id, :wallet_id, :user_id, 100, 'EUR', 'sandbox', 'succeeded', now())
""")


def receipts_of_many(
    academy: Academy, database: Database, issue: Callable[[Session, UUID], None]
) -> Facts:
    """Money comes to many, and half of it is rolled back after it got its receipt.

    A quarter of all does so before the others begin, so that what they took is surely older.

    Args:
        academy: its books do not agree afterwards, because nothing is posted.
        database: where it happens.
        issue: gives a top-up its receipt, as the last thing of its transaction.
    """
    person = academy.person()
    with academy.database.transaction(academy.scope) as session:
        wallet_id = ensure_wallet(session, person.id).id
    last = "SELECT COALESCE(max(number), 0) FROM receipts"
    before = one(academy, last)

    def go_wrong(rolls_back: bool) -> None:
        if rolls_back:
            raise RolledBackError

    def deposit(*, rolls_back: bool) -> str:
        values = {"id": new_id(), "wallet_id": wallet_id, "user_id": person.id}
        try:
            with database.transaction(academy.scope) as session:
                session.execute(NEW_TOP_UP, values)
                issue(session, values["id"])
                go_wrong(rolls_back)
        except RolledBackError:
            return "rolled back"
        except IntegrityError as error:
            return type(error).__name__
        return "issued"

    outcomes = together(ROLLED_BACK_FIRST, lambda _number: deposit(rolls_back=True))
    outcomes += together(
        THREADS - ROLLED_BACK_FIRST, lambda number: deposit(rolls_back=number % 3 == 0)
    )
    made = one(academy, "SELECT count(*) FROM receipts WHERE user_id = :id", id=person.id)
    return {"outcomes": tally(outcomes), "gap": one(academy, last) - before - made}
