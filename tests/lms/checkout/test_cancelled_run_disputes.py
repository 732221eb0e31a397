"""Cancelling a run while a bank decides about somebody's money."""

from __future__ import annotations

from uuid import UUID

from tests.factories.contested import disputed, move
from tests.factories.money import Academy
from tests.factories.provider_side import tell
from tests.lms.checkout.cancelling import (
    cancel,
    refunds_of,
    see_through,
    state_of,
)


def test_while_a_bank_decides_nothing_is_given_back_which_is_on_record(academy: Academy) -> None:
    purchase = disputed(academy)
    admin = academy.person("admin")
    cancel(academy, purchase["run_id"], admin)
    see_through(academy, purchase["run_id"])
    assert state_of(academy, purchase) == ("withdrawn", "run_cancelled")
    assert refunds_of(academy, purchase) == []
    (event,) = academy.rows(
        "SELECT actor_id, after FROM audit_events"
        " WHERE action = 'payment.refund_skipped' AND subject_id = :id",
        id=UUID(purchase["payment"]["id"]),
    )
    assert event["actor_id"] == admin.id
    assert event["after"] == {
        "reason": "payment_disputed",
        "run_id": str(purchase["run_id"]),
        "left": 4900,
        "currency": "EUR",
    }
    academy.assert_books_balance()


def test_once_the_bank_decided_for_the_academy_it_is_given_back_once(academy: Academy) -> None:
    purchase = disputed(academy)
    cancel(academy, purchase["run_id"])
    see_through(academy, purchase["run_id"])
    move(academy, purchase, "won")
    tell(academy, purchase["name"], dispute_id=purchase["dispute"])  # the news come again
    assert [row["amount"] for row in refunds_of(academy, purchase)] == [4900]
    academy.assert_books_balance()


def test_a_dispute_won_gives_nothing_to_whoever_has_left_before(academy: Academy) -> None:
    purchase = disputed(academy)
    academy.post(f"/enrollments/{purchase['enrollment']['id']}/withdraw", purchase["person"])
    cancel(academy, purchase["run_id"])
    see_through(academy, purchase["run_id"])
    move(academy, purchase, "won")
    assert refunds_of(academy, purchase) == []


def test_who_leaves_a_cancelled_run_while_a_bank_decides_gets_it_afterwards(
    academy: Academy,
) -> None:
    purchase = disputed(academy)
    cancel(academy, purchase["run_id"])
    academy.post(f"/enrollments/{purchase['enrollment']['id']}/withdraw", purchase["person"])
    see_through(academy, purchase["run_id"])
    move(academy, purchase, "won")
    assert [row["amount"] for row in refunds_of(academy, purchase)] == [4900]


def test_what_a_bank_leaves_of_a_payment_is_given_back(academy: Academy) -> None:
    purchase = disputed(academy, amount=1000)
    cancel(academy, purchase["run_id"])
    see_through(academy, purchase["run_id"])
    move(academy, purchase, "lost")
    assert [row["amount"] for row in refunds_of(academy, purchase)] == [3900]
    academy.assert_books_balance()


def test_what_a_bank_took_for_good_is_not_given_back_again(academy: Academy) -> None:
    purchase = disputed(academy, amount=1000)
    move(academy, purchase, "lost")
    cancel(academy, purchase["run_id"])
    see_through(academy, purchase["run_id"])
    assert [row["amount"] for row in refunds_of(academy, purchase)] == [3900]
    academy.assert_books_balance()
