"""A refund that is refused, or takes its time: nobody is left with neither seat nor money."""

from __future__ import annotations

import json
import time
from typing import Any
from uuid import UUID, uuid4

from lms.checkout.refund_answers import apply_refund
from lms.core.queue import EXPIRE_ENROLLMENT, SETTLE_PAYMENT
from lms.payments.attempts import Answer
from lms.payments.providers.signing import sign
from tests.factories.money import Academy
from tests.factories.people import Person
from tests.factories.sandbox import WEBHOOK_SECRET

REFUSAL = "refund_exceeds_payment"


def buy(
    academy: Academy, person: Person, run_id: UUID, token: str = "tok_success"
) -> dict[str, Any]:
    answer = academy.enroll(person, run_id, "provider", token=token)
    assert answer.status_code == 201
    return answer.get_json()


def refund_by_admin(academy: Academy, purchase: dict[str, Any]) -> Any:
    path = f"/payments/{purchase['payment']['id']}/refunds"
    return academy.post(path, academy.person("admin"), {"reason": "The course was moved"})


def withdraw(academy: Academy, person: Person, purchase: dict[str, Any]) -> dict[str, Any]:
    answer = academy.post(f"/enrollments/{purchase['enrollment']['id']}/withdraw", person)
    assert answer.status_code == 200
    return answer.get_json()


def standing(academy: Academy, purchase: dict[str, Any]) -> tuple[str, bool, int]:
    """The enrollment's state, whether the payment is live, and what of it is (to be) given back."""
    (row,) = academy.rows(
        "SELECT e.state, p.live, p.refunded_amount FROM payments p"
        " JOIN enrollments e ON e.payment_id = p.id WHERE p.id = :id",
        id=UUID(purchase["payment"]["id"]),
    )
    return row["state"], row["live"], row["refunded_amount"]


def refund_row(academy: Academy, refund_id: str) -> dict[str, Any]:
    (row,) = academy.rows("SELECT * FROM refunds WHERE id = :id", id=UUID(refund_id))
    return row


def test_who_is_refused_an_admins_refund_keeps_the_seat(academy: Academy) -> None:
    person, run_id = academy.person(), academy.run(capacity=1)
    purchase = buy(academy, person, run_id)
    with academy.refused(REFUSAL) as refused:
        answer = refund_by_admin(refused, purchase)
    assert (answer.status_code, answer.get_json()["code"]) == (409, "refund_refused")
    assert answer.get_json()["failure_code"] == REFUSAL
    assert standing(academy, purchase) == ("active", True, 0)
    assert academy.seats_taken(run_id) == 1
    academy.assert_books_balance()
    assert refund_by_admin(academy, purchase).status_code == 201
    assert standing(academy, purchase) == ("withdrawn", False, 4900)
    academy.assert_books_balance()


def test_while_the_provider_is_away_an_admins_refund_leaves_the_seat(
    academy: Academy, offline: Academy
) -> None:
    person, run_id = academy.person(), academy.run()
    purchase = buy(academy, person, run_id)
    refund = refund_by_admin(offline, purchase).get_json()
    assert standing(academy, purchase) == ("active", True, 4900)
    with academy.refused(REFUSAL) as refused:
        refused.do_work(SETTLE_PAYMENT, refund["id"])
    assert refund_row(academy, refund["id"])["state"] == "created"
    academy.do_work(SETTLE_PAYMENT, refund["id"])
    assert refund_row(academy, refund["id"])["state"] == "succeeded"
    assert standing(academy, purchase) == ("withdrawn", False, 4900)
    assert academy.seats_taken(run_id) == 0


def test_who_left_and_was_refused_the_refund_gets_it_when_it_is_asked_anew(
    academy: Academy,
) -> None:
    person, run_id = academy.person(), academy.run()
    purchase = buy(academy, person, run_id)
    with academy.refused(REFUSAL) as refused:
        refund = withdraw(refused, person, purchase)["refund"]
        assert (refund["state"], refund["failure_code"]) == ("created", REFUSAL)
        refused.do_work(SETTLE_PAYMENT, refund["id"])
    assert refund_row(academy, refund["id"])["state"] == "created"
    assert standing(academy, purchase) == ("withdrawn", False, 4900)
    academy.do_work(SETTLE_PAYMENT, refund["id"])
    row = refund_row(academy, refund["id"])
    assert (row["state"], row["failure_code"]) == ("succeeded", None)
    keys = academy.rows(
        "SELECT outcome FROM provider_attempts WHERE subject_id = :id ORDER BY attempt",
        id=UUID(refund["id"]),
    )
    assert [key["outcome"] for key in keys] == ["failed", "failed", "succeeded"]
    academy.assert_books_balance()


def test_late_money_that_the_provider_will_not_take_back_is_asked_anew(academy: Academy) -> None:
    person, run_id = academy.person(), academy.run(capacity=1)
    purchase = academy.enroll(person, run_id, "provider", token="tok_pending").get_json()
    withdraw(academy, person, purchase)
    academy.settle_at_provider(academy.recorded_name(purchase["payment"]["id"]))
    academy.do_work(SETTLE_PAYMENT, purchase["payment"]["id"])
    (refund,) = academy.rows(
        "SELECT id FROM refunds WHERE payment_id = :id", id=UUID(purchase["payment"]["id"])
    )
    with academy.refused(REFUSAL) as refused:
        refused.do_work(SETTLE_PAYMENT, refund["id"])
    assert refund_row(academy, str(refund["id"]))["failure_code"] == REFUSAL
    academy.do_work(SETTLE_PAYMENT, refund["id"])
    assert refund_row(academy, str(refund["id"]))["state"] == "succeeded"
    academy.assert_books_balance()


def test_a_refund_that_takes_its_time_ends_the_enrollment_and_is_seen_through(
    academy: Academy,
) -> None:
    person, run_id = academy.person(), academy.run()
    purchase = buy(academy, person, run_id, "tok_pending_refund")
    answer = refund_by_admin(academy, purchase)
    refund = answer.get_json()
    assert (answer.status_code, refund["state"]) == (202, "pending")
    assert standing(academy, purchase) == ("withdrawn", False, 4900)
    academy.do_work(SETTLE_PAYMENT, refund["id"])
    row = refund_row(academy, refund["id"])
    assert row["state"] == "pending"
    academy.settle_refund_at_provider(row["provider_refund_id"])
    academy.do_work(SETTLE_PAYMENT, refund["id"])
    assert refund_row(academy, refund["id"])["state"] == "succeeded"
    assert academy.work(SETTLE_PAYMENT, refund["id"]) == []
    academy.assert_books_balance()


def test_a_pending_refund_whose_answer_was_lost_is_asked_how_it_stands_now(
    academy: Academy,
) -> None:
    person = academy.person()
    purchase = buy(academy, person, academy.run(), "tok_pending_refund")
    refund = withdraw(academy, person, purchase)["refund"]
    academy.settle_refund_at_provider(refund_row(academy, refund["id"])["provider_refund_id"])
    academy.forget_provider_id(refund["id"])
    academy.execute_as_owner(
        "UPDATE refunds SET state = 'created', provider_refund_id = NULL WHERE id = :id",
        id=refund["id"],
    )
    academy.do_work(SETTLE_PAYMENT, refund["id"])
    assert refund_row(academy, refund["id"])["state"] == "succeeded"


def test_a_pending_refund_that_fails_at_the_provider_is_asked_anew(academy: Academy) -> None:
    person = academy.person()
    purchase = buy(academy, person, academy.run(), "tok_pending_refund")
    refund = withdraw(academy, person, purchase)["refund"]
    with academy.database.transaction(academy.scope) as session:
        apply_refund(session, UUID(refund["id"]), Answer("failed", "re_1", "refund_failed"))
    row = refund_row(academy, refund["id"])
    assert (row["state"], row["failure_code"]) == ("created", "refund_failed")
    assert academy.work(SETTLE_PAYMENT, refund["id"]) != []
    academy.assert_books_balance()


def test_news_of_a_refund_completes_it(academy: Academy) -> None:
    person = academy.person()
    purchase = buy(academy, person, academy.run(), "tok_pending_refund")
    refund = withdraw(academy, person, purchase)["refund"]
    assert refund["state"] == "pending"
    academy.settle_refund_at_provider(refund_row(academy, refund["id"])["provider_refund_id"])
    event = {
        "id": f"evt_{uuid4().hex}",
        "type": "payment.refunded",
        "created": int(time.time()),
        "account": str(academy.organization_id),
        "data": {"object": {"id": academy.recorded_name(purchase["payment"]["id"])}},
    }
    body = json.dumps(event).encode()
    signature = sign(body, secret=WEBHOOK_SECRET, timestamp=int(time.time()))
    assert academy.deliver(body, signature).status_code == 204
    assert refund_row(academy, refund["id"])["state"] == "succeeded"


def test_who_paid_too_late_is_told_so_with_the_refund(academy: Academy) -> None:
    person, run_id, key = academy.person(), academy.run(capacity=1), str(uuid4())
    first = academy.enroll(person, run_id, "provider", token="tok_pending", key=key)
    purchase = first.get_json()
    academy.execute_as_owner(
        "UPDATE enrollments SET hold_until = now() - interval '1 second' WHERE id = :id",
        id=purchase["enrollment"]["id"],
    )
    academy.do_work(EXPIRE_ENROLLMENT, purchase["enrollment"]["id"])
    academy.enroll(academy.person(money=4900), run_id)
    academy.settle_at_provider(academy.recorded_name(purchase["payment"]["id"]))
    academy.forget_answer(key)
    answers = [
        academy.enroll(person, run_id, "provider", token="tok_pending", key=key) for _ in range(2)
    ]
    problem = answers[0].get_json()
    assert (answers[0].status_code, problem["code"]) == (409, "run_full")
    assert problem["refund"]["amount"] == {"amount": 4900, "currency": "EUR"}
    assert problem["refund"]["state"] == "created"
    assert answers[1].get_json() == problem


def test_a_request_resumed_after_its_enrollment_ended_tells_its_state(academy: Academy) -> None:
    person, run_id, key = academy.person(), academy.run(), str(uuid4())
    first = academy.enroll(person, run_id, "provider", token="tok_success", key=key)
    withdraw(academy, person, first.get_json())
    academy.forget_answer(key)
    again = academy.enroll(person, run_id, "provider", token="tok_success", key=key)
    assert (again.status_code, again.get_json()["enrollment"]["state"]) == (201, "withdrawn")
