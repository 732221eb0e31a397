"""News of disputes in any order and more than once, and those that cannot be booked."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from tests.factories import provider_side as there
from tests.factories.contested import (
    EUR,
    buy,
    dispute_row,
    marks,
    record,
    refund,
    said,
)
from tests.factories.money import Academy


def test_news_come_in_any_order_and_more_than_once(academy: Academy) -> None:
    purchase = buy(academy)
    dispute_id = purchase["dispute"] = there.contest(academy, purchase["name"])
    bodies = [there.event_of(academy, purchase["name"], dispute_id=dispute_id) for _ in range(3)]
    there.decide(academy, dispute_id, "lost")
    for body in (*reversed(bodies), *bodies):
        assert there.deliver(academy, body).status_code == 204
    row = dispute_row(academy, purchase)
    assert (row["status"], row["version"]) == ("lost", 1)
    assert marks(academy, purchase) == ("lost", False, 4900)


FORWARD = [
    ("inquiry", "needs_response"),
    ("inquiry", "under_review"),
    ("inquiry", "won"),
    ("chargeback", "needs_response"),
    ("chargeback", "under_review"),
    ("chargeback", "lost"),
]


def test_a_dispute_moves_forward_only(academy: Academy) -> None:
    purchase = buy(academy)
    for number, (kind, status) in enumerate(FORWARD):
        assert record(academy, purchase, said(purchase, kind=kind, status=status))
        for earlier_kind, earlier in FORWARD[:number]:
            if (kind, status) == ("inquiry", "under_review"):
                continue  # evidence may be asked for again while it is open
            if (kind, status, earlier) == ("chargeback", "under_review", "needs_response"):
                continue
            assert record(academy, purchase, said(purchase, kind=earlier_kind, status=earlier))
            (row,) = academy.rows(
                "SELECT kind, status FROM disputes WHERE payment_id = :id",
                id=UUID(purchase["payment"]["id"]),
            )
            assert (row["kind"], row["status"]) == (kind, status)
    assert marks(academy, purchase) == ("lost", False, 4900)


def test_an_appeal_may_win_what_was_lost_and_nothing_loses_it_again(academy: Academy) -> None:
    purchase = buy(academy)
    for status in ("needs_response", "lost", "won", "lost", "under_review"):
        assert record(academy, purchase, said(purchase, status=status))
    (row,) = academy.rows(
        "SELECT status FROM disputes WHERE payment_id = :id", id=UUID(purchase["payment"]["id"])
    )
    assert row["status"] == "won"
    assert marks(academy, purchase) == ("none", False, 0)
    academy.assert_books_balance()


def test_an_event_that_was_kept_has_had_its_effect_once_its_dispute_is_recorded(
    academy: Academy,
) -> None:
    purchase = buy(academy)
    dispute_id = there.contest(academy, purchase["name"])
    body = there.event_of(academy, purchase["name"], dispute_id=dispute_id)
    there.tell(academy, purchase["name"], dispute_id=dispute_id)
    assert there.deliver(academy, body).status_code == 204
    academy.execute_as_owner(
        "UPDATE webhook_events SET applied_at = NULL WHERE provider_dispute_id = :id", id=dispute_id
    )
    there.tell(academy, purchase["name"], dispute_id=dispute_id)
    assert there.is_applied(academy, body) is True


def test_evidence_may_be_asked_for_again_while_it_is_open(academy: Academy) -> None:
    purchase = buy(academy)
    for status in ("needs_response", "under_review", "needs_response"):
        record(academy, purchase, said(purchase, status=status))
        (row,) = academy.rows(
            "SELECT status FROM disputes WHERE payment_id = :id",
            id=UUID(purchase["payment"]["id"]),
        )
        assert row["status"] == status


def test_an_inquiry_takes_nothing_until_it_becomes_a_chargeback(academy: Academy) -> None:
    purchase = buy(academy)
    record(academy, purchase, said(purchase, kind="inquiry"))
    assert marks(academy, purchase) == ("none", False, 0)
    assert refund(academy, purchase, amount={"amount": 100, "currency": EUR}).status_code == 201
    record(academy, purchase, said(purchase, kind="inquiry", status="won"))
    record(academy, purchase, said(purchase))
    assert marks(academy, purchase) == ("open", True, 0)
    assert refund(academy, purchase).get_json()["code"] == "payment_disputed"


def test_of_two_disputes_of_a_payment_both_count(academy: Academy) -> None:
    purchase = buy(academy)
    one, other = (
        said(purchase, id=f"dp_{number}_{purchase['name']}", amount=2000) for number in range(2)
    )
    record(academy, purchase, one)
    record(academy, purchase, other)
    record(academy, purchase, replace(one, status="lost"))
    assert marks(academy, purchase) == ("open", True, 2000)
    record(academy, purchase, replace(other, status="lost", amount=4000))
    assert marks(academy, purchase) == ("lost", False, 4900)


def test_a_dispute_of_a_payment_that_we_do_not_know_yet_is_asked_for_again(
    academy: Academy,
) -> None:
    purchase = buy(academy)
    purchase["dispute"] = there.contest(academy, purchase["name"])
    change = "UPDATE payments SET provider_payment_id = :name WHERE id = :id"
    payment_id = purchase["payment"]["id"]
    academy.execute_as_owner(change, name="pay_of_another", id=payment_id)
    body = there.event_of(academy, purchase["name"], dispute_id=purchase["dispute"])
    answer = there.deliver(academy, body)
    assert (answer.status_code, answer.get_json()["code"]) == (503, "provider_unavailable")
    assert there.is_applied(academy, body) is False
    academy.execute_as_owner(change, name=purchase["name"], id=payment_id)
    there.tell(academy, purchase["name"])  # news of the payment are not those of its dispute
    assert there.is_applied(academy, body) is False
    assert there.deliver(academy, body).status_code == 204
    assert there.is_applied(academy, body) is True
    assert marks(academy, purchase) == ("open", True, 0)


def test_while_the_provider_is_away_the_event_is_asked_for_again(
    academy: Academy, offline: Academy
) -> None:
    purchase = buy(academy)
    dispute_id = there.contest(academy, purchase["name"])
    body = there.event_of(academy, purchase["name"], dispute_id=dispute_id)
    assert there.deliver(offline, body).status_code == 503
    assert there.is_applied(academy, body) is None


def test_a_dispute_in_another_currency_is_not_booked(academy: Academy) -> None:
    purchase = buy(academy)
    assert not record(academy, purchase, said(purchase, currency="USD"))
    assert marks(academy, purchase) == ("none", False, 0)


def test_money_that_did_not_come_cannot_be_disputed(academy: Academy) -> None:
    person = academy.person()
    answer = academy.enroll(person, academy.run(), "provider", token="tok_pending")
    purchase = {**answer.get_json(), "person": person}
    purchase["name"] = academy.recorded_name(purchase["payment"]["id"])
    assert not record(academy, purchase, said(purchase))
    assert marks(academy, purchase) == ("none", False, 0)
