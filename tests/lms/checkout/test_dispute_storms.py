"""What races with a dispute, and with money that the provider takes back: exact outcomes."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from lms.checkout.subjects import find_subject
from lms.payments.disputes import record_dispute
from lms.payments.reversals import reverse_top_up
from tests.factories import provider_side as there
from tests.factories.accounts import held
from tests.factories.contested import (
    TopUp,
    assert_debts_add_up,
    buy,
    marks,
    move,
    movements,
    refund,
    said,
    topped_up,
    wallet,
)
from tests.factories.money import Academy, together
from tests.factories.people import Person


def outcome(answer: Any) -> Any:
    return answer.status_code if answer.status_code < 300 else answer.get_json()["code"]


def test_of_a_dispute_and_refunds_at_once_the_bank_has_the_money_once(academy: Academy) -> None:
    """The provider refuses what our books do not refuse yet, so nothing is given back twice."""
    for _ in range(4):
        purchase = buy(academy)
        dispute_id = purchase["dispute"] = there.contest(academy, purchase["name"])
        bodies = [
            there.event_of(academy, purchase["name"], dispute_id=dispute_id) for _ in range(4)
        ]

        def step(number: int, bought: Any = purchase, news: Any = bodies) -> Any:
            if number % 2:
                return outcome(there.deliver(academy, news[number // 2]))
            return outcome(refund(academy, bought))

        done = Counter(together(8, step))
        assert done[204] == 4
        assert done["payment_disputed"] + done["refund_refused"] + done["not_refundable"] == 4
        assert marks(academy, purchase) == ("open", True, 0)
        assert academy.at_provider(purchase["name"])["refunded_amount"] == 0
        rows = academy.rows(
            "SELECT DISTINCT state FROM refunds WHERE payment_id = :id",
            id=UUID(purchase["payment"]["id"]),
        )
        assert {row["state"] for row in rows} <= {"failed"}
        move(academy, purchase, "won")
        assert refund(academy, purchase).status_code == 201
    academy.assert_books_balance()


def test_a_refund_waits_for_a_dispute_that_is_just_recorded_and_is_refused(
    academy: Academy,
) -> None:
    purchase = buy(academy)
    with ThreadPoolExecutor(1) as pool:
        with held(academy.database, academy.scope) as transaction:
            subject = find_subject(transaction.session, "sandbox", purchase["name"], {})
            assert subject is not None
            record_dispute(transaction.session, subject, "sandbox", said(purchase))
            asked = pool.submit(refund, academy, purchase, destination="wallet")
            transaction.wait_until_in_the_way_of(asked)
        assert outcome(asked.result()) == "payment_disputed"
    assert academy.balance(purchase["person"]) == 0


class UndoneError(Exception):
    """Rolls a naive way back, with what it did."""


NAIVE = text("""
    WITH held AS (
        SELECT id, amount FROM payments WHERE id = :id FOR NO KEY UPDATE
    )
    UPDATE payments SET refunded_amount = held.amount FROM held
     WHERE payments.id = held.id
       AND NOT EXISTS (SELECT FROM disputes d WHERE d.payment_id = held.id AND d.status <> 'won')
    RETURNING payments.id
""")


def test_asking_the_disputes_instead_of_the_payments_mark_misses_one_that_commits_meanwhile(
    academy: Academy,
) -> None:
    """The naive way: a statement sees other tables as they were before it waited for the lock."""
    purchase = buy(academy)
    payment_id = UUID(purchase["payment"]["id"])

    def naive() -> bool:
        with (
            pytest.raises(UndoneError) as undone,
            academy.database.transaction(academy.scope) as session,
        ):
            raise UndoneError(session.execute(NAIVE, {"id": payment_id}).one_or_none())
        return undone.value.args[0] is not None

    with ThreadPoolExecutor(1) as pool:
        with held(academy.database, academy.scope) as transaction:
            subject = find_subject(transaction.session, "sandbox", purchase["name"], {})
            assert subject is not None
            record_dispute(transaction.session, subject, "sandbox", said(purchase))
            asked = pool.submit(naive)
            transaction.wait_until_in_the_way_of(asked)
        assert asked.result(), "it saw the dispute"


def test_a_dispute_waits_for_the_one_before_it_and_sums_both_up(academy: Academy) -> None:
    purchase = buy(academy)
    disputes = [said(purchase, id=f"dp_{n}_{purchase['name']}", amount=900) for n in range(4)]

    def step(number: int) -> None:
        with academy.database.transaction(academy.scope) as session:
            subject = find_subject(session, "sandbox", purchase["name"], {})
            assert subject is not None
            record_dispute(session, subject, "sandbox", disputes[number])
            lost = said(purchase, id=disputes[number].id, amount=900, status="lost")
            record_dispute(session, subject, "sandbox", lost)

    together(4, step)
    assert marks(academy, purchase) == ("lost", False, 3600)


def test_one_event_of_a_dispute_many_times_at_once_moves_the_money_once(academy: Academy) -> None:
    top_up = topped_up(academy, 5000)
    dispute_id = there.contest(academy, top_up.name)
    body = there.event_of(academy, top_up.name, dispute_id=dispute_id)
    answers = together(8, lambda _number: there.deliver(academy, body))
    assert {answer.status_code for answer in answers} == {204}
    assert [amount for _, amount, _ in movements(top_up)] == [5000, -5000]
    assert_debts_add_up(academy)


def test_opening_and_winning_at_once_end_as_won(academy: Academy) -> None:
    for _ in range(4):
        top_up = topped_up(academy, 5000)
        dispute_id = there.contest(academy, top_up.name)
        bodies = [there.event_of(academy, top_up.name, dispute_id=dispute_id) for _ in range(5)]

        def step(
            number: int, one: TopUp = top_up, name: str = dispute_id, news: Any = bodies
        ) -> Any:
            if number == 2:
                there.decide(academy, name, "won")
            return there.deliver(academy, news[number]).status_code

        assert set(together(5, step)) == {204}
        assert wallet(top_up) == (5000, 0, False)
        assert sum(amount for _, amount, _ in movements(top_up)) == 5000
    assert_debts_add_up(academy)


def test_reversals_disputes_and_purchases_at_once_add_up(academy: Academy) -> None:
    """Whatever the order, the same money came and went."""
    for _ in range(4):
        person = academy.person()
        tops = [topped_up(academy, 1000, person=person) for _ in range(4)]
        runs = [academy.run(price=1000) for _ in range(4)]
        disputes = [there.contest(academy, top_up.name) for top_up in tops[:2]]

        def step(
            number: int,
            tops: list[TopUp] = tops,
            runs: list[UUID] = runs,
            disputes: list[str] = disputes,
            who: Person = person,
        ) -> Any:
            kind, turn = number % 2, number // 2
            if kind:
                return academy.enroll(who, runs[turn]).status_code
            if turn < 2:
                there.tell(academy, tops[turn].name, dispute_id=disputes[turn])
                return "disputed"
            with academy.database.transaction(academy.scope) as session:
                return reverse_top_up(session, UUID(tops[turn].id), 1000)

        done = Counter(together(8, step))
        assert (done["disputed"], done[True], done[500]) == (2, 2, 0)
        assert set(done) <= {"disputed", True, 201, 402, 409}
        balance, owed, frozen = wallet(tops[0])
        assert balance - owed == -1000 * done[201]
        assert min(balance, owed) == 0
        assert frozen is (owed > 0)
        for top_up, dispute_id in zip(tops[:2], disputes, strict=True):
            top_up.decide(dispute_id, "won")
        balance, owed, _ = wallet(tops[0])
        assert balance - owed == 2000 - 1000 * done[201]
        movements(tops[0])
    assert_debts_add_up(academy)


def test_a_refund_at_the_provider_and_a_dispute_told_at_once_are_both_booked(
    academy: Academy,
) -> None:
    for _ in range(6):
        purchase = buy(academy)
        name = purchase["name"]
        there.give_back(academy, name, 900)
        dispute_id = there.contest(academy, name, amount=4000)
        bodies = [
            there.event_of(academy, name, dispute_id=dispute_id if number % 2 else None)
            for number in range(8)
        ]

        def step(number: int, news: Any = bodies) -> int:
            return there.deliver(academy, news[number]).status_code

        assert together(8, step) == [204] * 8
        assert marks(academy, purchase) == ("open", True, 0)
        rows = academy.rows(
            "SELECT amount FROM refunds WHERE payment_id = :id",
            id=UUID(purchase["payment"]["id"]),
        )
        assert rows == [{"amount": 900}]
    academy.assert_books_balance()


def test_an_external_refund_and_a_refund_of_ours_at_once_give_everything_back_once(
    academy: Academy,
) -> None:
    for _ in range(4):
        purchase = buy(academy)
        there.give_back(academy, purchase["name"], 900)
        bodies = [there.event_of(academy, purchase["name"]) for _ in range(3)]

        def step(number: int, bought: Any = purchase, news: Any = bodies) -> Any:
            if number < 3:
                return outcome(there.deliver(academy, news[number]))
            return outcome(refund(academy, bought, amount={"amount": 1000, "currency": "EUR"}))

        assert Counter(together(9, step)) == {204: 3, 201: 4, "not_refundable": 2}
        assert academy.at_provider(purchase["name"])["refunded_amount"] == 4900
        rows = academy.rows(
            "SELECT p.refunded_amount, sum(r.amount)::bigint AS total FROM payments p"
            " JOIN refunds r ON r.payment_id = p.id AND r.state = 'succeeded'"
            " WHERE p.id = :id GROUP BY p.id",
            id=UUID(purchase["payment"]["id"]),
        )
        assert rows == [{"refunded_amount": 4900, "total": 4900}]
    academy.assert_books_balance()
