from __future__ import annotations

from collections import Counter
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.exc import IntegrityError

from lms.core.ids import new_id
from lms.payments.attempts import Answer
from lms.payments.operations import apply_top_up
from lms.payments.reversals import reverse_top_up
from tests.factories.money import Academy, together
from tests.factories.people import Person


def topped_up(academy: Academy, person: Person, amount: int) -> UUID:
    answer = academy.top_up(person, amount)
    assert answer.status_code == 201
    return UUID(answer.get_json()["id"])


def reverse(academy: Academy, top_up_id: UUID, amount: int) -> bool:
    with academy.database.transaction(academy.scope) as session:
        return reverse_top_up(session, top_up_id, amount)


def owing(academy: Academy, *, owed: int, spent: int = 4900) -> tuple[Person, dict[str, Any]]:
    """A learner who bought a place with money of which `owed` was taken back; and the payment."""
    person = academy.person()
    top_up_id = topped_up(academy, person, spent)
    answer = academy.enroll(person, academy.run(price=spent))
    assert answer.status_code == 201
    assert reverse(academy, top_up_id, owed)
    return person, answer.get_json()["payment"]


def wallet(academy: Academy, person: Person) -> dict[str, Any]:
    return academy.get("/wallet", person).get_json()


def state(academy: Academy, person: Person) -> tuple[int, int, bool]:
    """Balance, what is owed, and whether it is frozen."""
    found = wallet(academy, person)
    return found["balance"]["amount"], found["owed"]["amount"], found["frozen_at"] is not None


def movements(academy: Academy, person: Person) -> list[tuple[str, int, str]]:
    """The journal in order, whose every line must follow from the line before."""
    rows = academy.get("/wallet/transactions", person).get_json()["items"][::-1]
    before = 0
    for number, row in enumerate(rows, start=1):
        assert row["seq"] == number
        before += row["amount"]["amount"]
        assert row["balance_after"]["amount"] == before
    return [(row["kind"], row["amount"]["amount"], row["counter_account"]) for row in rows]


def assert_debts_add_up(academy: Academy) -> None:
    """What a wallet owes is what was reversed of its top-ups less what reversals took."""
    wrong = academy.rows(
        "SELECT w.id FROM wallets w WHERE w.owed <>"
        " (SELECT COALESCE(sum(u.reversed_amount), 0) FROM wallet_top_ups u"
        "   WHERE u.wallet_id = w.id)"
        " + (SELECT COALESCE(sum(t.amount), 0) FROM wallet_transactions t"
        "     WHERE t.wallet_id = w.id AND t.kind = 'reversal')"
    )
    assert wrong == []
    academy.assert_books_balance()


def test_a_reversed_top_up_takes_what_is_there(academy: Academy) -> None:
    person = academy.person(money=1000)
    top_up_id = topped_up(academy, person, 5000)
    assert reverse(academy, top_up_id, 5000)
    assert state(academy, person) == (1000, 0, False)
    assert movements(academy, person)[-1] == ("reversal", -5000, "provider:sandbox")
    assert_debts_add_up(academy)


def test_what_is_not_there_any_more_is_owed_and_freezes_the_wallet(academy: Academy) -> None:
    person = academy.person()
    top_up_id = topped_up(academy, person, 5000)
    assert academy.enroll(person, academy.run(price=4000)).status_code == 201
    assert reverse(academy, top_up_id, 5000)
    assert state(academy, person) == (0, 4000, True)
    assert movements(academy, person)[-1] == ("reversal", -1000, "provider:sandbox")
    assert_debts_add_up(academy)


def test_of_an_empty_wallet_all_is_owed_and_no_money_moves(academy: Academy) -> None:
    person, _payment = owing(academy, owed=4900)
    assert state(academy, person) == (0, 4900, True)
    assert [kind for kind, *_ in movements(academy, person)] == ["deposit", "deduction"]
    assert_debts_add_up(academy)


def test_a_reversal_told_again_changes_nothing_and_more_of_it_takes_the_rest(
    academy: Academy,
) -> None:
    person = academy.person(money=1000)
    top_up_id = topped_up(academy, person, 5000)
    told = [reverse(academy, top_up_id, amount) for amount in (2000, 2000, 5000, 2000, 5000)]
    assert told == [True, False, True, False, False]
    assert [amount for _, amount, _ in movements(academy, person)] == [1000, 5000, -2000, -3000]
    assert_debts_add_up(academy)


def test_no_more_goes_back_than_came(academy: Academy) -> None:
    person = academy.person(money=1000)
    top_up_id = topped_up(academy, person, 500)
    with pytest.raises(IntegrityError, match="refund_within_amount"):
        reverse(academy, top_up_id, 501)
    assert academy.balance(person) == 1500


def test_a_top_up_that_brought_no_money_is_not_reversed(academy: Academy) -> None:
    person = academy.person(money=1000)
    answer = academy.top_up(person, 500, "tok_pending")
    assert not reverse(academy, UUID(answer.get_json()["id"]), 500)
    assert not reverse(academy, new_id(), 500)
    assert academy.balance(person) == 1000


def test_a_reversal_is_audited(academy: Academy) -> None:
    person = academy.person()
    top_up_id = topped_up(academy, person, 5000)
    academy.enroll(person, academy.run(price=4000))
    reverse(academy, top_up_id, 5000)
    rows = academy.rows(
        "SELECT action, actor_id, before, after FROM audit_events WHERE subject_id = :id",
        id=top_up_id,
    )
    before = {"reversed_amount": 0, "balance": 1000, "owed": 0}
    after = {"reversed_amount": 5000, "balance": 0, "owed": 4000}
    told = {"action": "top_up.reverse", "actor_id": None, "before": before, "after": after}
    assert rows == [told]


def test_nothing_is_bought_from_a_frozen_wallet(academy: Academy) -> None:
    person, _payment = owing(academy, owed=300)
    run_id = academy.run()
    answer = academy.enroll(person, run_id)
    assert (answer.status_code, answer.get_json()["code"]) == (409, "wallet_frozen")
    assert answer.get_json()["owed"] == {"amount": 300, "currency": "EUR"}
    assert academy.seats_taken(run_id) == 0


def test_a_wallet_frozen_with_money_in_it_pays_nothing_either(academy: Academy) -> None:
    person = academy.person(money=10_000)
    academy.execute_as_owner(
        "UPDATE wallets SET frozen_at = now() WHERE user_id = :id", id=person.id
    )
    answer = academy.enroll(person, academy.run())
    assert (answer.status_code, answer.get_json()["code"]) == (409, "wallet_frozen")
    assert academy.balance(person) == 10_000


def test_a_deposit_pays_a_part_of_what_is_owed(academy: Academy) -> None:
    person, _payment = owing(academy, owed=3000)
    topped_up(academy, person, 1000)
    assert state(academy, person) == (0, 2000, True)
    assert movements(academy, person)[-2:] == [
        ("deposit", 1000, "provider:sandbox"),
        ("reversal", -1000, "owed"),
    ]
    assert_debts_add_up(academy)


def test_a_deposit_that_pays_all_unfreezes_and_leaves_the_rest(academy: Academy) -> None:
    person, _payment = owing(academy, owed=3000)
    topped_up(academy, person, 10_000)
    assert state(academy, person) == (7000, 0, False)
    assert movements(academy, person)[-2:] == [
        ("deposit", 10_000, "provider:sandbox"),
        ("reversal", -3000, "owed"),
    ]
    assert academy.enroll(person, academy.run()).status_code == 201
    assert_debts_add_up(academy)


def test_an_adjustment_pays_what_is_owed(academy: Academy) -> None:
    person, _payment = owing(academy, owed=3000)
    body = {"amount": {"amount": 3000, "currency": "EUR"}, "reason": "Forgiven"}
    admin = academy.person("admin")
    answer = academy.post(f"/users/{person.id}/wallet/adjustments", admin, body)
    row = answer.get_json()
    assert (row["kind"], row["balance_after"]["amount"]) == ("adjustment", 3000)
    assert state(academy, person) == (0, 0, False)
    assert movements(academy, person)[-1] == ("reversal", -3000, "owed")
    assert_debts_add_up(academy)


def test_a_refund_to_the_wallet_pays_what_is_owed(academy: Academy) -> None:
    person, payment = owing(academy, owed=3000)
    answer = academy.post(f"/payments/{payment['id']}/refunds", academy.person("admin"), {})
    assert answer.status_code == 201
    assert state(academy, person) == (1900, 0, False)
    assert [row[:2] for row in movements(academy, person)[-2:]] == [
        ("refund", 4900),
        ("reversal", -3000),
    ]
    assert_debts_add_up(academy)


def test_a_deposit_told_twice_pays_once(academy: Academy) -> None:
    person, _payment = owing(academy, owed=3000)
    top_up_id = topped_up(academy, person, 1000)
    for _ in range(2):
        with academy.database.transaction(academy.scope) as session:
            apply_top_up(session, top_up_id, Answer("succeeded"))
    assert state(academy, person) == (0, 2000, True)
    assert_debts_add_up(academy)


def test_reversals_deposits_and_purchases_at_once_add_up(academy: Academy) -> None:
    """Whatever the order, the same money came and went."""
    for _ in range(4):
        person, admin = academy.person(), academy.person("admin")
        old = [topped_up(academy, person, 1000) for _ in range(4)]
        runs = [academy.run(price=1000) for _ in range(4)]
        body = {"amount": {"amount": 500, "currency": "EUR"}, "reason": "Storm"}

        def step(
            number: int,
            old: list[UUID] = old,
            runs: list[UUID] = runs,
            body: Any = body,
            who: tuple[Person, Person] = (person, admin),
        ) -> Any:
            kind, turn = number % 3, number // 3
            if kind == 0:
                return reverse(academy, old[turn], 1000)
            if kind == 1:
                return academy.enroll(who[0], runs[turn]).status_code
            return academy.post(f"/users/{who[0].id}/wallet/adjustments", who[1], body).status_code

        done = Counter(together(12, step))
        assert (done[True], done[201] >= 4, done[500]) == (4, True, 0)
        assert set(done) <= {True, 201, 402, 409}
        bought = done[201] - 4
        balance, owed, frozen = state(academy, person)
        assert balance - owed == 4 * 500 - 1000 * bought
        assert min(balance, owed) == 0
        assert frozen is (owed > 0)
        movements(academy, person)
    assert_debts_add_up(academy)
