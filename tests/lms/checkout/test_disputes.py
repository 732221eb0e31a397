"""Disputed payments for runs: marked, not given back meanwhile, and lost for good."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from lms.checkout.open_work import open_work
from lms.core.queue import SETTLE_PAYMENT
from tests.factories import provider_side as there
from tests.factories.contested import (
    EUR,
    buy,
    dispute_row,
    disputed,
    enrollment_state,
    marks,
    move,
    payment_of,
    refund,
)
from tests.factories.money import Academy


def refund_rows(academy: Academy, purchase: dict[str, Any]) -> list[dict[str, Any]]:
    sql = "SELECT * FROM refunds WHERE payment_id = :id ORDER BY id"
    return academy.rows(sql, id=UUID(purchase["payment"]["id"]))


def test_a_disputed_payment_says_so_to_its_learner_and_to_staff(academy: Academy) -> None:
    purchase = disputed(academy)
    assert marks(academy, purchase) == ("open", True, 0)
    assert enrollment_state(academy, purchase) == "active"
    query = {"user_id": str(purchase["person"].id)}
    (listed,) = academy.get("/payments", academy.person("admin"), **query).get_json()["items"]
    assert listed == payment_of(academy, purchase)
    academy.assert_books_balance()


def test_staff_see_the_dispute_with_what_to_do_until_when(academy: Academy) -> None:
    purchase = disputed(academy, reason="duplicate")
    admin = academy.person("admin")
    query = {"payment_id": purchase["payment"]["id"]}
    (listed,) = academy.get("/disputes", admin, **query).get_json()["items"]
    assert listed == {
        "id": str(dispute_row(academy, purchase)["id"]),
        "payment_id": purchase["payment"]["id"],
        "top_up_id": None,
        "user_id": str(purchase["person"].id),
        "provider": "sandbox",
        "provider_dispute_id": purchase["dispute"],
        "amount": {"amount": 4900, "currency": EUR},
        "kind": "chargeback",
        "status": "needs_response",
        "reason": "duplicate",
        "evidence_due_at": listed["evidence_due_at"],
        "opened_at": listed["opened_at"],
        "closed_at": None,
    }
    due_at = datetime.fromisoformat(listed["evidence_due_at"])
    assert due_at - datetime.fromisoformat(listed["opened_at"]) == timedelta(days=14)
    answer = academy.get(f"/disputes/{listed['id']}", admin)
    assert (answer.get_json(), answer.headers["ETag"]) == (listed, '"1"')


def test_the_list_is_filtered_by_status_and_paged(school: Academy) -> None:
    made = [disputed(school) for _ in range(3)]
    move(school, made[0], "won")
    admin = school.person("admin")

    def names(**query: str) -> list[str]:
        items = school.get("/disputes", admin, **query).get_json()["items"]
        return [item["provider_dispute_id"] for item in items]

    newest_first = [one["dispute"] for one in reversed(made)]
    assert names() == newest_first
    assert names(status="won") == [made[0]["dispute"]]
    assert names(status="needs_response") == newest_first[:2]
    assert names(status="lost") == []
    first = school.get("/disputes", admin, limit="2").get_json()
    assert names(limit="2", cursor=first["next_cursor"]) == newest_first[2:]
    assert school.get("/disputes", admin, status="open").status_code == 422
    assert school.get("/disputes", admin, cursor="nonsense").status_code == 422


@pytest.mark.parametrize("role", ["student", "instructor"])
def test_nobody_else_sees_disputes(academy: Academy, role: Any) -> None:
    purchase = disputed(academy)
    person = academy.person(role)
    assert academy.get("/disputes", person).status_code == 403
    path = f"/disputes/{dispute_row(academy, purchase)['id']}"
    assert academy.get(path, person).status_code == 403


def test_there_is_no_such_dispute(academy: Academy) -> None:
    path = f"/disputes/{academy.person().id}"
    assert academy.get(path, academy.person("admin")).status_code == 404


def test_every_effect_is_audited_with_before_and_after(academy: Academy) -> None:
    purchase = disputed(academy)
    move(academy, purchase, "lost")
    row = dispute_row(academy, purchase)
    events = academy.rows(
        "SELECT action, actor_id, before, after FROM audit_events"
        " WHERE subject_id IN (:dispute, :payment) ORDER BY id",
        dispute=row["id"],
        payment=UUID(purchase["payment"]["id"]),
    )
    assert [event["action"] for event in events] == [
        *("dispute.open", "payment.dispute", "dispute.change", "payment.dispute"),
    ]
    assert {event["actor_id"] for event in events} == {None}
    assert (events[0]["before"], events[0]["after"]["payment"]) == (
        *(None, purchase["payment"]["id"]),
    )
    opened_at = row["opened_at"].astimezone(UTC).isoformat()
    assert (events[1]["before"], events[1]["after"]) == (
        {"disputed_at": None, "lost_amount": 0},
        {"disputed_at": opened_at, "lost_amount": 0},
    )
    assert (events[2]["before"]["status"], events[2]["after"]["status"]) == (
        *("needs_response", "lost"),
    )
    assert (events[3]["before"], events[3]["after"]) == (
        {"disputed_at": opened_at, "lost_amount": 0},
        {"disputed_at": None, "lost_amount": 4900},
    )


@pytest.mark.parametrize("destination", ["source", "wallet"])
def test_nothing_is_given_back_while_the_bank_decides(academy: Academy, destination: str) -> None:
    purchase = disputed(academy)
    for status in ("needs_response", "under_review"):
        answer = refund(academy, purchase, destination=destination)
        problem = answer.get_json()
        assert (answer.status_code, problem["code"]) == (409, "payment_disputed")
        assert problem["type"] == "/problems/payment-disputed"
        assert problem["disputed_at"] == payment_of(academy, purchase)["disputed_at"]
        if status == "needs_response":
            move(academy, purchase, "under_review")
    academy.assert_books_balance()


def test_who_leaves_meanwhile_gets_nothing_and_the_quote_says_why(academy: Academy) -> None:
    purchase = disputed(academy)
    path = f"/payments/{purchase['payment']['id']}/refund-quote"
    quote = academy.get(path, purchase["person"]).get_json()
    assert (quote["amount"]["amount"], quote["nothing_because"]) == (0, "disputed")
    path = f"/enrollments/{purchase['enrollment']['id']}/withdraw"
    withdrawn = academy.post(path, purchase["person"]).get_json()
    assert (withdrawn["enrollment"]["state"], withdrawn["refund"]) == ("withdrawn", None)
    academy.assert_books_balance()


def test_a_refund_that_was_asked_for_before_is_refused_by_the_provider(
    academy: Academy, offline: Academy
) -> None:
    purchase = buy(academy)
    ours = refund(offline, purchase).get_json()
    there.contest(academy, purchase["name"])
    academy.do_work(SETTLE_PAYMENT, ours["id"])
    (row,) = academy.rows("SELECT * FROM refunds WHERE id = :id", id=UUID(ours["id"]))
    assert (row["state"], row["failure_code"]) == ("failed", "payment_disputed")
    assert payment_of(academy, purchase)["refunded_amount"]["amount"] == 0
    assert enrollment_state(academy, purchase) == "active"


def test_a_dispute_that_was_won_leaves_no_mark(academy: Academy) -> None:
    purchase = disputed(academy, "won")
    assert marks(academy, purchase) == ("none", False, 0)
    row = dispute_row(academy, purchase)
    assert row["status"] == "won"
    assert row["closed_at"] is not None
    assert refund(academy, purchase).status_code == 201
    assert enrollment_state(academy, purchase) == "withdrawn"
    academy.assert_books_balance()


def test_a_lost_payment_is_gone_and_staff_decide_about_the_enrollment(academy: Academy) -> None:
    purchase = disputed(academy, "lost")
    assert marks(academy, purchase) == ("lost", False, 4900)
    assert enrollment_state(academy, purchase) == "active"
    answer = refund(academy, purchase)
    problem = answer.get_json()
    assert (answer.status_code, problem["code"]) == (409, "not_refundable")
    assert (problem["left"]["amount"], problem["lost"]["amount"]) == (0, 4900)
    path = f"/enrollments/{purchase['enrollment']['id']}/withdraw"
    withdrawn = academy.post(path, academy.person("admin")).get_json()
    assert (withdrawn["enrollment"]["state"], withdrawn["refund"]) == ("withdrawn", None)
    assert academy.seats_taken(purchase["run_id"]) == 0
    academy.assert_books_balance()


def test_what_was_not_disputed_may_still_be_given_back_to_the_wallet(academy: Academy) -> None:
    purchase = disputed(academy, "lost", amount=4000)
    assert marks(academy, purchase) == ("lost", False, 4000)
    refused = refund(academy, purchase, amount={"amount": 901, "currency": EUR})
    assert refused.get_json()["left"] == {"amount": 900, "currency": EUR}
    assert refund(academy, purchase, destination="wallet").get_json()["amount"]["amount"] == 900
    assert academy.balance(purchase["person"]) == 900
    academy.assert_books_balance()


def test_what_the_bank_took_counts_towards_what_the_policy_gives(academy: Academy) -> None:
    until = (datetime.now(UTC) + timedelta(days=5)).isoformat()
    purchase = buy(academy, refund_policy=[{"until": until, "percent": 50}])
    purchase["dispute"] = there.contest(academy, purchase["name"], amount=1450)
    move(academy, purchase, "lost")
    path = f"/payments/{purchase['payment']['id']}/refund-quote"
    quote = academy.get(path, purchase["person"]).get_json()
    assert (quote["amount"]["amount"], quote["percent"]) == (1000, 50)


def test_a_refund_that_is_owed_ends_when_the_bank_gave_the_money_back(
    academy: Academy, offline: Academy
) -> None:
    purchase = buy(academy)
    path = f"/enrollments/{purchase['enrollment']['id']}/withdraw"
    owed = offline.post(path, purchase["person"]).get_json()["refund"]
    purchase["dispute"] = there.contest(academy, purchase["name"])
    there.tell(academy, purchase["name"], dispute_id=purchase["dispute"])
    academy.do_work(SETTLE_PAYMENT, owed["id"])
    sql = "SELECT state, failure_code FROM refunds WHERE id = :id"
    assert academy.rows(sql, id=UUID(owed["id"])) == [
        {"state": "created", "failure_code": "payment_disputed"}
    ]
    move(academy, purchase, "lost")
    academy.do_work(SETTLE_PAYMENT, owed["id"])
    assert academy.rows(sql, id=UUID(owed["id"])) == [
        {"state": "failed", "failure_code": "payment_disputed"}
    ]
    assert academy.work(SETTLE_PAYMENT, owed["id"]) == []
    payment = payment_of(academy, purchase)
    assert (payment["refunded_amount"]["amount"], payment["lost_amount"]["amount"]) == (0, 4900)
    academy.assert_books_balance()


def test_what_the_bank_left_of_a_refund_that_was_owed_goes_to_the_wallet(
    academy: Academy, offline: Academy
) -> None:
    """The provider gives nothing back of a payment whose dispute was lost, now and ever after."""
    purchase = buy(academy)
    path = f"/enrollments/{purchase['enrollment']['id']}/withdraw"
    owed = offline.post(path, purchase["person"]).get_json()["refund"]
    purchase["dispute"] = there.contest(academy, purchase["name"], amount=4000)
    move(academy, purchase, "lost")
    academy.do_work(SETTLE_PAYMENT, owed["id"])
    rest = refund_rows(academy, purchase)[-1]
    assert (rest["amount"], rest["state"]) == (900, "created")
    for _ in range(2):  # asked and refused, then given
        academy.do_work(SETTLE_PAYMENT, str(rest["id"]))
    assert [
        (row["amount"], row["destination"], row["state"]) for row in refund_rows(academy, purchase)
    ] == [
        (4900, "provider", "failed"),
        (900, "provider", "failed"),
        (900, "wallet", "succeeded"),
    ]
    assert academy.balance(purchase["person"]) == 900
    kinds = academy.get("/receipts", purchase["person"]).get_json()["items"]
    assert [row["kind"] for row in kinds] == ["refund", "payment"]
    academy.assert_books_balance()


def test_who_leaves_after_a_part_was_lost_gets_the_rest_into_the_wallet(academy: Academy) -> None:
    purchase = disputed(academy, "lost", amount=4000)
    path = f"/enrollments/{purchase['enrollment']['id']}/withdraw"
    withdrawn = academy.post(path, purchase["person"]).get_json()
    assert withdrawn["refund"]["amount"]["amount"] == 900
    academy.do_work(SETTLE_PAYMENT, withdrawn["refund"]["id"])
    assert academy.balance(purchase["person"]) == 900
    assert academy.work(SETTLE_PAYMENT, withdrawn["refund"]["id"]) == []
    academy.assert_books_balance()


def test_nothing_goes_to_the_wallet_while_a_try_at_the_provider_may_have_given_it_back(
    academy: Academy,
) -> None:
    purchase = disputed(academy, "lost", amount=4000)
    path = f"/enrollments/{purchase['enrollment']['id']}/withdraw"
    refund_id = academy.post(path, purchase["person"]).get_json()["refund"]["id"]
    with academy.database.transaction(academy.scope) as session:
        assert open_work(session, UUID(refund_id)) is not None  # asked, and the answer is lost
    academy.do_work(SETTLE_PAYMENT, refund_id)
    assert academy.balance(purchase["person"]) == 0
    academy.do_work(SETTLE_PAYMENT, refund_id)
    assert academy.balance(purchase["person"]) == 900
    academy.assert_books_balance()


def test_the_export_marks_disputed_payments_and_takes_lost_ones_off(academy: Academy) -> None:
    for status, marked, entries in (
        (None, "open", ["payment"]),
        ("won", "", ["payment"]),
        ("lost", "lost", ["payment", "dispute"]),
    ):
        purchase = disputed(academy, status)
        answer = academy.get("/payments/export.csv", academy.person("admin"))
        rows = [
            row
            for row in csv.DictReader(io.StringIO(answer.text, newline=""))
            if row["payment_id"] == purchase["payment"]["id"]
        ]
        assert [row["entry"] for row in rows] == entries
        assert rows[0]["dispute"] == marked
        total = sum(int(row["amount_minor"]) for row in rows)
        assert total == (0 if status == "lost" else 4900)
