"""Disputed top-ups: the wallet gives what it holds and owes the rest, and gets back what is won."""

from __future__ import annotations

from uuid import UUID

import pytest

from tests.factories import provider_side as there
from tests.factories.books import check
from tests.factories.contested import assert_debts_add_up, movements, topped_up, wallet
from tests.factories.money import Academy


def test_a_dispute_takes_the_money_and_a_won_one_brings_it_back_by_new_rows(
    academy: Academy,
) -> None:
    top_up = topped_up(academy, 5000)
    dispute_id = top_up.contest()
    assert (wallet(top_up), top_up.reversed) == ((0, 0, False), 5000)
    top_up.decide(dispute_id, "won")
    assert (wallet(top_up), top_up.reversed) == ((5000, 0, False), 0)
    assert movements(top_up) == [
        ("deposit", 5000, "provider:sandbox"),
        ("reversal", -5000, "provider:sandbox"),
        ("reversal", 5000, "provider:sandbox"),
    ]
    assert_debts_add_up(academy)


def test_what_is_not_there_is_owed_and_is_owed_no_more_when_it_is_won(academy: Academy) -> None:
    top_up = topped_up(academy, 5000, spent=4000)
    dispute_id = top_up.contest()
    assert wallet(top_up) == (0, 4000, True)
    assert academy.enroll(top_up.person, academy.run()).get_json()["code"] == "wallet_frozen"
    assert_debts_add_up(academy)
    top_up.decide(dispute_id, "won")
    assert wallet(top_up) == (1000, 0, False)
    assert [amount for _, amount, _ in movements(top_up)] == [5000, -4000, -1000, 1000]
    assert_debts_add_up(academy)


def test_what_was_paid_of_the_debt_meanwhile_comes_back_too(academy: Academy) -> None:
    top_up = topped_up(academy, 5000, spent=5000)
    dispute_id = top_up.contest()
    assert academy.top_up(top_up.person, 3000).status_code == 201
    assert wallet(top_up) == (0, 2000, True)
    top_up.decide(dispute_id, "won")
    assert wallet(top_up) == (3000, 0, False)
    assert [amount for _, amount, _ in movements(top_up)] == [5000, -5000, 3000, -3000, 3000]
    assert_debts_add_up(academy)


def test_what_is_won_pays_what_is_owed_for_another_top_up(academy: Academy) -> None:
    top_up = topped_up(academy, 5000)
    dispute_id = top_up.contest()
    topped_up(academy, 2000, spent=2000, person=top_up.person).contest()
    assert wallet(top_up) == (0, 2000, True)
    top_up.decide(dispute_id, "won")
    assert wallet(top_up) == (3000, 0, False)
    assert_debts_add_up(academy)


def test_a_lost_dispute_changes_nothing_any_more(academy: Academy) -> None:
    top_up = topped_up(academy, 5000, spent=4000)
    dispute_id = top_up.contest()
    before = wallet(top_up), movements(top_up)
    for status in ("under_review", "lost"):
        top_up.decide(dispute_id, status)
    there.tell(academy, top_up.name, dispute_id=dispute_id)
    assert (wallet(top_up), movements(top_up)) == before
    assert_debts_add_up(academy)


def test_a_part_that_is_disputed_is_taken_alone(academy: Academy) -> None:
    top_up = topped_up(academy, 5000)
    top_up.contest(amount=1200)
    assert (wallet(top_up), top_up.reversed) == ((3800, 0, False), 1200)
    assert_debts_add_up(academy)


def test_never_more_than_came_is_taken_for_refunds_and_disputes(academy: Academy) -> None:
    top_up = topped_up(academy, 5000)
    top_up.give_back(2000)
    dispute_id = top_up.contest()
    assert (wallet(top_up), top_up.reversed) == ((0, 0, False), 5000)
    top_up.decide(dispute_id, "won")
    assert (wallet(top_up), top_up.reversed) == ((3000, 0, False), 2000)
    top_up.give_back(3000)
    assert (wallet(top_up), top_up.reversed) == ((0, 0, False), 5000)
    assert_debts_add_up(academy)


def test_a_second_dispute_after_one_that_was_won_takes_it_again(academy: Academy) -> None:
    top_up = topped_up(academy, 5000)
    top_up.decide(top_up.contest(), "won")
    top_up.contest()
    assert wallet(top_up) == (0, 0, False)
    assert [amount for _, amount, _ in movements(top_up)] == [5000, -5000, 5000, -5000]
    assert_debts_add_up(academy)


@pytest.mark.parametrize("status", ["won", "lost"])
def test_of_a_dispute_that_was_over_before_we_heard_of_it_the_end_counts(
    academy: Academy, status: str
) -> None:
    top_up = topped_up(academy, 5000)
    dispute_id = there.contest(academy, top_up.name)
    there.decide(academy, dispute_id, status)
    there.tell(academy, top_up.name, dispute_id=dispute_id)
    assert wallet(top_up) == ((5000 if status == "won" else 0), 0, False)
    assert_debts_add_up(academy)


def test_a_wallet_that_somebody_froze_stays_so(academy: Academy) -> None:
    top_up = topped_up(academy, 5000)
    academy.execute_as_owner(
        "UPDATE wallets SET frozen_at = now() WHERE user_id = :id", id=top_up.person.id
    )
    dispute_id = top_up.contest()
    top_up.decide(dispute_id, "won")
    assert wallet(top_up) == (5000, 0, True)


def test_the_wallets_movements_are_audited_beside_the_disputes(academy: Academy) -> None:
    top_up = topped_up(academy, 5000, spent=4000)
    dispute_id = top_up.contest()
    top_up.decide(dispute_id, "won")
    rows = academy.rows(
        "SELECT action, actor_id, before, after FROM audit_events WHERE subject_id = :id"
        " ORDER BY id",
        id=UUID(top_up.id),
    )
    taken = {"reversed_amount": 5000, "balance": 0, "owed": 4000}
    whole = {"reversed_amount": 0, "balance": 1000, "owed": 0}
    assert rows == [
        {"action": "top_up.reverse", "actor_id": None, "before": whole, "after": taken},
        {"action": "top_up.restore", "actor_id": None, "before": taken, "after": whole},
    ]
    (dispute,) = academy.rows(
        "SELECT id FROM disputes WHERE provider_dispute_id = :id", id=dispute_id
    )
    rows = academy.rows(
        "SELECT action, after FROM audit_events WHERE subject_id = :id ORDER BY id",
        id=dispute["id"],
    )
    assert [row["action"] for row in rows] == ["dispute.open", "dispute.change"]
    assert rows[0]["after"]["top_up"] == top_up.id


def test_staff_see_whose_top_up_is_disputed(academy: Academy) -> None:
    top_up = topped_up(academy, 5000)
    dispute_id = top_up.contest()
    items = academy.get("/disputes", academy.person("admin")).get_json()["items"]
    (listed,) = [item for item in items if item["provider_dispute_id"] == dispute_id]
    assert (listed["payment_id"], listed["top_up_id"]) == (None, top_up.id)
    assert listed["user_id"] == str(top_up.person.id)


def test_the_books_agree_at_every_step(school: Academy) -> None:
    top_up = topped_up(school, 5000, spent=4000)
    dispute_id = top_up.contest()
    assert check(school).findings == []
    top_up.decide(dispute_id, "won")
    top_up.give_back(500)
    top_up.decide(top_up.contest(amount=4800), "lost")
    assert check(school).findings == []
    assert_debts_add_up(school)
