from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from lms.checkout.policy import step_at
from lms.core.clock import now
from lms.core.queue import SETTLE_PAYMENT
from tests.factories.money import Academy
from tests.factories.people import Person

AT = now()


def in_days(days: float) -> str:
    return (AT + timedelta(days=days)).isoformat().replace("+00:00", "Z")


@pytest.mark.parametrize(
    ("policy", "starts_in", "percent"),
    [
        ([], 1, 100),
        ([], -1, 0),
        ([], 0, 0),
        ([(1, 80)], -1, 80),
        ([(-1, 100)], 1, 0),
        ([(5, 50), (2, 90)], 9, 90),
        ([(5, 50), (-2, 90)], 9, 50),
    ],
)
def test_the_refund_is_what_the_earliest_step_still_ahead_says(
    policy: list[tuple[int, int]], starts_in: int, percent: int
) -> None:
    steps = [{"until": in_days(days), "percent": share} for days, share in policy]
    starts_at = AT + timedelta(days=starts_in)
    assert step_at(steps, now=AT, starts_at=starts_at).percent == percent


def withdraw(academy: Academy, person: Person, purchase: dict[str, Any], **kwargs: Any) -> Any:
    path = f"/enrollments/{purchase['enrollment']['id']}/withdraw"
    return academy.post(path, person, **kwargs)


def test_who_leaves_before_the_start_gets_the_whole_price_back_into_the_wallet(
    academy: Academy,
) -> None:
    person, run_id = academy.person(money=4900), academy.run(capacity=1)
    purchase = academy.enroll(person, run_id).get_json()
    answer = withdraw(academy, person, purchase)
    body = answer.get_json()
    assert (answer.status_code, body["enrollment"]["state"]) == (200, "withdrawn")
    assert body["enrollment"]["ended_at"] is not None
    assert (body["refund"]["state"], body["refund"]["destination"]) == ("succeeded", "wallet")
    assert body["refund"]["amount"] == {"amount": 4900, "currency": "EUR"}
    assert (academy.balance(person), academy.seats_taken(run_id)) == (4900, 0)
    row = academy.get("/wallet/transactions", person).get_json()["items"][0]
    assert (row["kind"], row["refund_id"]) == ("refund", body["refund"]["id"])
    academy.assert_books_balance()


def test_who_leaves_after_the_start_gets_nothing_back_without_a_policy(academy: Academy) -> None:
    person, run_id = academy.person(money=4900), academy.run(starts_in=-0.5)
    purchase = academy.enroll(person, run_id).get_json()
    body = withdraw(academy, person, purchase).get_json()
    assert (body["enrollment"]["state"], body["refund"]) == ("withdrawn", None)
    assert academy.balance(person) == 0
    academy.assert_books_balance()


def test_the_policy_that_held_when_it_was_paid_decides(academy: Academy) -> None:
    policy = [{"until": in_days(5), "percent": 33}]
    person = academy.person(money=4999)
    run_id = academy.run(price=4999, starts_in=-0.5, refund_policy=policy)
    purchase = academy.enroll(person, run_id).get_json()
    academy.execute_as_owner(
        "UPDATE course_runs SET refund_policy = '[]' WHERE id = :id", id=run_id
    )
    assert withdraw(academy, person, purchase).get_json()["refund"]["amount"]["amount"] == 1649
    assert academy.balance(person) == 1649
    academy.assert_books_balance()


def test_a_card_payment_goes_back_to_the_card(academy: Academy) -> None:
    person, run_id = academy.person(), academy.run()
    purchase = academy.enroll(person, run_id, "provider", token="tok_success").get_json()
    refund = withdraw(academy, person, purchase).get_json()["refund"]
    assert (refund["state"], refund["destination"]) == ("succeeded", "provider")
    (row,) = academy.rows(
        "SELECT provider_payment_id FROM payments WHERE user_id = :id", id=person.id
    )
    assert academy.at_provider(row["provider_payment_id"])["refunded_amount"] == 4900
    academy.assert_books_balance()


def test_who_leaves_while_the_provider_is_away_gets_the_money_later(
    academy: Academy, offline: Academy
) -> None:
    person, run_id = academy.person(), academy.run()
    purchase = academy.enroll(person, run_id, "provider", token="tok_success").get_json()
    body = withdraw(offline, person, purchase).get_json()
    assert (body["enrollment"]["state"], body["refund"]["state"]) == ("withdrawn", "created")
    academy.do_work(SETTLE_PAYMENT, body["refund"]["id"])
    (row,) = academy.rows("SELECT state FROM refunds WHERE id = :id", id=body["refund"]["id"])
    assert row["state"] == "succeeded"


def test_leaving_twice_is_refused_and_pays_once(academy: Academy) -> None:
    person, key = academy.person(money=4900), str(uuid4())
    purchase = academy.enroll(person, academy.run()).get_json()
    first = withdraw(academy, person, purchase, key=key)
    again = withdraw(academy, person, purchase, key=key)
    assert again.get_json() == first.get_json()
    other = withdraw(academy, person, purchase)
    problem = other.get_json()
    assert (other.status_code, problem["code"]) == (409, "transition_not_allowed")
    assert (problem["state"], problem["allowed"]) == ("withdrawn", [])
    assert academy.balance(person) == 4900


def test_a_withdrawal_whose_answer_was_lost_is_resumed(academy: Academy) -> None:
    person, key = academy.person(money=4900), str(uuid4())
    purchase = academy.enroll(person, academy.run()).get_json()
    first = withdraw(academy, person, purchase, key=key)
    academy.execute_as_owner(
        "UPDATE idempotency_keys SET status = NULL, body = NULL, claimed_until = now()"
        " WHERE key = :key",
        key=key,
    )
    again = withdraw(academy, person, purchase, key=key)
    assert (again.status_code, again.get_json()) == (200, first.get_json())
    assert academy.balance(person) == 4900


def test_who_left_may_enroll_again(academy: Academy) -> None:
    person, run_id = academy.person(money=4900), academy.run()
    withdraw(academy, person, academy.enroll(person, run_id).get_json())
    again = academy.enroll(person, run_id)
    assert (again.status_code, again.get_json()["enrollment"]["attempt"]) == (201, 2)
    academy.assert_books_balance()


def test_a_free_place_is_left_without_a_refund(academy: Academy) -> None:
    person = academy.person()
    purchase = academy.enroll(person, academy.run(price=0), "free").get_json()
    body = withdraw(academy, person, purchase).get_json()
    assert (body["enrollment"]["state"], body["refund"]) == ("withdrawn", None)
    academy.assert_books_balance()


def test_a_completed_enrollment_is_not_left(academy: Academy) -> None:
    person = academy.person(money=4900)
    purchase = academy.enroll(person, academy.run()).get_json()
    academy.execute_as_owner(
        "UPDATE enrollments SET state = 'completed', completed_at = now() WHERE id = :id",
        id=purchase["enrollment"]["id"],
    )
    answer = withdraw(academy, person, purchase)
    assert (answer.status_code, answer.get_json()["allowed"]) == (409, ["active"])
    assert academy.balance(person) == 0


def test_only_the_learner_and_admins_end_an_enrollment(academy: Academy) -> None:
    person = academy.person()
    purchase = academy.enroll(person, academy.run(price=0), "free").get_json()
    for refused in (academy.person(), academy.person("instructor")):
        assert withdraw(academy, refused, purchase).status_code == 404
    assert withdraw(academy, academy.person("admin"), purchase).status_code == 200
