from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from jobs.payments import next_look
from lms.checkout.settlement import apply
from lms.config import Settings
from lms.core.clock import now
from lms.core.queue import EXPIRE_ENROLLMENT, SETTLE_PAYMENT, Doorbell
from lms.payments.attempts import Answer
from tests.factories.money import Academy
from tests.factories.people import Person
from tests.factories.sandbox import paying_app


def enrollment_of(academy: Academy, person: Person, purchase: dict[str, Any]) -> dict[str, Any]:
    return academy.get(f"/enrollments/{purchase['enrollment']['id']}", person).get_json()


def payment_of(academy: Academy, purchase: dict[str, Any]) -> dict[str, Any]:
    (row,) = academy.rows(
        "SELECT * FROM payments WHERE id = :id", id=UUID(purchase["payment"]["id"])
    )
    return row


def begin(academy: Academy, person: Person, run_id: UUID) -> dict[str, Any]:
    """Pay with a card that the provider takes its time with."""
    answer = academy.enroll(person, run_id, "provider", token="tok_pending")
    assert answer.status_code == 202
    return answer.get_json()


def let_hold_run_out(academy: Academy, purchase: dict[str, Any]) -> None:
    academy.execute_as_owner(
        "UPDATE enrollments SET hold_until = now() - interval '1 second' WHERE id = :id",
        id=purchase["enrollment"]["id"],
    )
    academy.do_work(EXPIRE_ENROLLMENT, purchase["enrollment"]["id"])


def let_money_arrive(academy: Academy, purchase: dict[str, Any]) -> None:
    academy.settle_at_provider(payment_of(academy, purchase)["provider_payment_id"])
    academy.do_work(SETTLE_PAYMENT, purchase["payment"]["id"])


def test_a_card_that_pays_at_once_makes_the_enrollment_active(academy: Academy) -> None:
    person, run_id = academy.person(), academy.run(capacity=1)
    answer = academy.enroll(person, run_id, "provider", token="tok_success")
    body = answer.get_json()
    assert answer.status_code == 201
    assert (body["enrollment"]["state"], body["payment"]["state"]) == ("active", "succeeded")
    assert body["enrollment"]["hold_until"] is None
    paid = academy.at_provider(payment_of(academy, body)["provider_payment_id"])
    assert (paid["amount"], paid["currency"], paid["status"]) == (4900, "EUR", "succeeded")
    academy.assert_books_balance()


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("tok_declined", "card_declined"),
        ("tok_insufficient_funds", "insufficient_funds"),
        ("tok_of_nobody", "unknown_token"),
    ],
)
def test_a_decline_says_why_and_leaves_nothing_live(
    academy: Academy, token: str, code: str
) -> None:
    person, run_id, key = academy.person(), academy.run(capacity=1), str(uuid4())
    answer = academy.enroll(person, run_id, "provider", token=token, key=key)
    problem = answer.get_json()
    assert answer.status_code == 402
    assert (problem["code"], problem["decline_code"]) == ("payment_declined", code)
    (row,) = academy.rows(
        "SELECT p.state, p.live, p.failure_code, e.state AS enrollment FROM payments p"
        " JOIN enrollments e ON e.payment_id = p.id WHERE p.user_id = :id",
        id=person.id,
    )
    assert row == {
        "state": "failed",
        "live": False,
        "failure_code": code,
        "enrollment": "cancelled",
    }
    assert academy.seats_taken(run_id) == 0
    again = academy.enroll(person, run_id, "provider", token=token, key=key)
    assert (again.status_code, again.get_json()) == (402, problem)
    academy.assert_books_balance()


def test_a_decline_whose_answer_was_lost_is_told_again(academy: Academy) -> None:
    person, run_id, key = academy.person(), academy.run(), str(uuid4())
    first = academy.enroll(person, run_id, "provider", token="tok_declined", key=key)
    academy.execute_as_owner(
        "UPDATE idempotency_keys SET status = NULL, body = NULL, claimed_until = now()"
        " WHERE key = :key",
        key=key,
    )
    again = academy.enroll(person, run_id, "provider", token="tok_declined", key=key)
    assert (again.status_code, again.get_json()["code"]) == (402, "payment_declined")
    assert again.get_json()["decline_code"] == first.get_json()["decline_code"]
    academy.assert_books_balance()


def test_money_that_comes_after_a_decline_is_given_back(academy: Academy) -> None:
    person, run_id = academy.person(), academy.run()
    academy.enroll(person, run_id, "provider", token="tok_declined")
    (row,) = academy.rows("SELECT id FROM payments WHERE user_id = :id", id=person.id)
    for _ in range(2):
        with academy.database.transaction(academy.scope) as session:
            bell = Doorbell(academy.settings.redis_url)
            apply(session, bell, "payment", row["id"], Answer("succeeded"))
    refunds = academy.rows(
        "SELECT amount, reason FROM refunds WHERE payment_id = :id", id=row["id"]
    )
    assert refunds == [{"amount": 4900, "reason": "late_money"}]
    assert academy.seats_taken(run_id) == 0
    academy.assert_books_balance()


def test_repeated_and_older_news_of_a_payment_change_nothing(academy: Academy) -> None:
    person = academy.person()
    purchase = academy.enroll(person, academy.run(), "provider", token="tok_success").get_json()
    for status in ("succeeded", "pending", "failed", "canceled", "unknown"):
        with academy.database.transaction(academy.scope) as session:
            bell = Doorbell(academy.settings.redis_url)
            payment_id = UUID(purchase["payment"]["id"])
            apply(session, bell, "payment", payment_id, Answer(status, None, "late"))
    payment = academy.get(f"/payments/{purchase['payment']['id']}", person).get_json()
    assert payment == purchase["payment"]
    assert enrollment_of(academy, person, purchase) == purchase["enrollment"]


def test_after_a_decline_another_card_may_be_tried(academy: Academy) -> None:
    person, run_id = academy.person(), academy.run(capacity=1)
    academy.enroll(person, run_id, "provider", token="tok_declined")
    answer = academy.enroll(person, run_id, "provider", token="tok_success")
    assert (answer.status_code, answer.get_json()["enrollment"]["attempt"]) == (201, 2)


def test_a_pending_payment_holds_the_seat_until_the_money_arrives(academy: Academy) -> None:
    person, run_id = academy.person(), academy.run(capacity=1)
    purchase = begin(academy, person, run_id)
    assert purchase["enrollment"]["state"] == "pending"
    assert purchase["enrollment"]["hold_until"] > purchase["enrollment"]["created_at"]
    other = academy.enroll(academy.person(money=4900), run_id)
    assert other.get_json()["code"] == "run_full"
    academy.do_work(SETTLE_PAYMENT, purchase["payment"]["id"])
    assert enrollment_of(academy, person, purchase)["state"] == "pending"
    let_money_arrive(academy, purchase)
    enrollment = enrollment_of(academy, person, purchase)
    assert (enrollment["state"], enrollment["hold_until"]) == ("active", None)
    assert academy.work(SETTLE_PAYMENT, purchase["payment"]["id"]) == []
    academy.assert_books_balance()


def test_while_a_payment_is_pending_the_next_look_is_asked_for_later(academy: Academy) -> None:
    purchase = begin(academy, academy.person(), academy.run())
    (first,) = academy.work(SETTLE_PAYMENT, purchase["payment"]["id"])
    academy.do_work(SETTLE_PAYMENT, purchase["payment"]["id"])
    (second,) = academy.work(SETTLE_PAYMENT, purchase["payment"]["id"])
    assert (first["id"] != second["id"], second["attempts"]) == (True, 0)
    assert second["due_at"] > second["created_at"]


@pytest.mark.parametrize(
    ("open_for", "pause"),
    [(0, 30), (60, 30), (3600, 1800), (24 * 3600, 6 * 3600), (-5, 30)],
)
def test_the_pauses_between_looks_grow_within_bounds(open_for: int, pause: int) -> None:
    at = now()
    due_at = next_look(at - timedelta(seconds=open_for), at)
    assert due_at - at == timedelta(seconds=pause)


def test_an_answer_that_was_lost_after_the_money_was_taken_is_found(academy: Academy) -> None:
    person, run_id = academy.person(), academy.run()
    answer = academy.enroll(person, run_id, "provider", token="tok_timeout_after_success")
    purchase = answer.get_json()
    assert (answer.status_code, purchase["payment"]["state"]) == (202, "created")
    academy.do_work(SETTLE_PAYMENT, purchase["payment"]["id"])
    assert enrollment_of(academy, person, purchase)["state"] == "active"


def test_a_request_that_died_before_the_provider_was_asked_is_resumed_by_its_repeat(
    academy: Academy, offline: Academy
) -> None:
    person, run_id, key = academy.person(), academy.run(), str(uuid4())
    first = offline.enroll(person, run_id, "provider", token="tok_success", key=key)
    assert first.status_code == 202
    academy.execute_as_owner(
        "UPDATE idempotency_keys SET status = NULL, body = NULL, claimed_until = now()"
        " WHERE key = :key",
        key=key,
    )
    again = academy.enroll(person, run_id, "provider", token="tok_success", key=key)
    assert again.status_code == 201
    assert again.get_json()["payment"]["id"] == first.get_json()["payment"]["id"]
    assert academy.seats_taken(run_id) == 1


def test_while_the_provider_is_away_the_seat_is_held_and_asked_for_later(
    academy: Academy, offline: Academy
) -> None:
    person, run_id = academy.person(), academy.run(capacity=1)
    answer = offline.enroll(person, run_id, "provider", token="tok_success")
    purchase = answer.get_json()
    assert (answer.status_code, purchase["enrollment"]["state"]) == (202, "pending")
    offline.do_work(SETTLE_PAYMENT, purchase["payment"]["id"])
    assert enrollment_of(academy, person, purchase)["state"] == "pending"
    academy.do_work(SETTLE_PAYMENT, purchase["payment"]["id"])
    assert enrollment_of(academy, person, purchase)["state"] == "active"


def test_a_decline_that_the_sweeper_learns_of_frees_the_seat(
    academy: Academy, offline: Academy
) -> None:
    person, run_id = academy.person(), academy.run(capacity=1)
    purchase = offline.enroll(person, run_id, "provider", token="tok_declined").get_json()
    academy.do_work(SETTLE_PAYMENT, purchase["payment"]["id"])
    assert enrollment_of(academy, person, purchase)["state"] == "cancelled"
    assert academy.seats_taken(run_id) == 0
    academy.assert_books_balance()


def test_an_unpaid_seat_is_given_back_when_its_hold_runs_out(academy: Academy) -> None:
    person, run_id = academy.person(), academy.run(capacity=1)
    purchase = begin(academy, person, run_id)
    let_hold_run_out(academy, purchase)
    assert enrollment_of(academy, person, purchase)["state"] == "expired"
    assert academy.enroll(academy.person(money=4900), run_id).status_code == 201
    academy.assert_books_balance()


def test_a_seat_is_kept_while_its_hold_lasts_and_once_it_is_paid(academy: Academy) -> None:
    person, run_id = academy.person(), academy.run()
    purchase = begin(academy, person, run_id)
    academy.do_work(EXPIRE_ENROLLMENT, purchase["enrollment"]["id"])
    assert enrollment_of(academy, person, purchase)["state"] == "pending"
    paid = academy.enroll(person, academy.run(), "provider", token="tok_success").get_json()
    let_hold_run_out(academy, paid)
    assert enrollment_of(academy, person, paid)["state"] == "active"


def test_money_that_comes_late_gets_its_seat_when_one_is_free(academy: Academy) -> None:
    person, run_id = academy.person(), academy.run(capacity=1)
    purchase = begin(academy, person, run_id)
    let_hold_run_out(academy, purchase)
    let_money_arrive(academy, purchase)
    assert enrollment_of(academy, person, purchase)["state"] == "active"
    assert academy.seats_taken(run_id) == 1
    academy.assert_books_balance()


def assert_given_back(academy: Academy, purchase: dict[str, Any]) -> None:
    (refund,) = academy.rows(
        "SELECT * FROM refunds WHERE payment_id = :id", id=UUID(purchase["payment"]["id"])
    )
    assert (refund["reason"], refund["state"]) == ("late_money", "created")
    academy.do_work(SETTLE_PAYMENT, refund["id"])
    payment = payment_of(academy, purchase)
    assert (payment["state"], payment["refunded_amount"]) == ("succeeded", 4900)
    assert academy.at_provider(payment["provider_payment_id"])["refunded_amount"] == 4900
    (refund,) = academy.rows("SELECT state FROM refunds WHERE id = :id", id=refund["id"])
    assert refund["state"] == "succeeded"
    academy.assert_books_balance()


def test_money_that_comes_late_to_a_full_run_is_given_back(academy: Academy) -> None:
    person, run_id = academy.person(), academy.run(capacity=1)
    purchase = begin(academy, person, run_id)
    let_hold_run_out(academy, purchase)
    academy.enroll(academy.person(money=4900), run_id)
    let_money_arrive(academy, purchase)
    assert enrollment_of(academy, person, purchase)["state"] == "expired"
    assert_given_back(academy, purchase)


def test_money_that_comes_late_to_one_who_enrolled_anew_is_given_back(academy: Academy) -> None:
    person, run_id = academy.person(money=4900), academy.run()
    purchase = begin(academy, person, run_id)
    let_hold_run_out(academy, purchase)
    assert academy.enroll(person, run_id).status_code == 201
    let_money_arrive(academy, purchase)
    assert academy.seats_taken(run_id) == 1
    assert_given_back(academy, purchase)


def test_money_for_an_enrollment_that_the_learner_gave_up_is_given_back(academy: Academy) -> None:
    person, run_id = academy.person(), academy.run()
    purchase = begin(academy, person, run_id)
    answer = academy.post(f"/enrollments/{purchase['enrollment']['id']}/withdraw", person)
    assert answer.get_json()["enrollment"]["state"] == "cancelled"
    assert academy.seats_taken(run_id) == 0
    let_money_arrive(academy, purchase)
    assert enrollment_of(academy, person, purchase)["state"] == "cancelled"
    assert_given_back(academy, purchase)


def test_without_a_provider_nothing_is_begun(academy: Academy, settings: Settings) -> None:
    person, run_id = academy.person(), academy.run()
    with paying_app(settings, None) as app:
        answer = academy.with_app(app).enroll(person, run_id, "provider", token="tok_success")
    assert (answer.status_code, answer.get_json()["code"]) == (409, "provider_not_configured")
    assert academy.seats_taken(run_id) == 0
