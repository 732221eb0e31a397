"""Payments that wait for a learner who is gone are cancelled: no money comes late."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import httpx
import pytest

from lms.core.queue import EXPIRE_ENROLLMENT, SETTLE_PAYMENT
from tests.factories.money import Academy
from tests.factories.people import Person


def begin(
    academy: Academy, token: str = "tok_3d_secure", *, person: Person | None = None
) -> dict[str, Any]:
    """Start to pay; the learner has to act."""
    person, run_id = person or academy.person(), academy.run(capacity=1)
    answer = academy.enroll(person, run_id, "provider", token=token)
    assert answer.status_code == 202
    purchase = answer.get_json()
    return {**purchase, "person": person, "run_id": run_id}


def let_hold_run_out(academy: Academy, purchase: dict[str, Any]) -> None:
    academy.execute_as_owner(
        "UPDATE enrollments SET hold_until = now() - interval '1 second' WHERE id = :id",
        id=purchase["enrollment"]["id"],
    )


def expire(academy: Academy, purchase: dict[str, Any]) -> None:
    let_hold_run_out(academy, purchase)
    academy.do_work(EXPIRE_ENROLLMENT, purchase["enrollment"]["id"])


def states(academy: Academy, purchase: dict[str, Any]) -> tuple[str, str, str]:
    """Of the enrollment, of the payment, and of the payment at the provider."""
    (row,) = academy.rows(
        "SELECT e.state, p.state AS payment, p.provider_payment_id FROM payments p"
        " JOIN enrollments e ON e.payment_id = p.id WHERE p.id = :id",
        id=UUID(purchase["payment"]["id"]),
    )
    there = academy.at_provider(row["provider_payment_id"])["status"]
    return row["state"], row["payment"], there


def authenticate(academy: Academy, purchase: dict[str, Any], *, passed: bool = True) -> int:
    """Let the learner act, as the front end's script does."""
    name = academy.recorded_name(purchase["payment"]["id"])
    answer = httpx.post(
        f"{academy.settings.sandbox_url}/v1/payments/{name}/authentication",
        json={"client_secret": purchase["client_secret"], "passed": passed},
    )
    return answer.status_code


@pytest.mark.parametrize(
    ("passed", "expected"),
    [(True, ("active", "succeeded", "succeeded")), (False, ("cancelled", "failed", "failed"))],
)
def test_who_acts_in_time_has_the_seat_or_not(
    academy: Academy, passed: bool, expected: tuple[str, str, str]
) -> None:
    purchase = begin(academy)
    assert purchase["client_secret"] is not None
    assert authenticate(academy, purchase, passed=passed) == 200
    academy.do_work(SETTLE_PAYMENT, purchase["payment"]["id"])
    assert states(academy, purchase) == expected
    academy.assert_books_balance()


def test_when_the_hold_runs_out_the_payment_is_cancelled_there_too(academy: Academy) -> None:
    purchase = begin(academy)
    expire(academy, purchase)
    assert states(academy, purchase) == ("expired", "canceled", "canceled")
    assert authenticate(academy, purchase) == 400
    assert academy.seats_taken(purchase["run_id"]) == 0
    academy.do_work(SETTLE_PAYMENT, purchase["payment"]["id"])
    assert academy.work(SETTLE_PAYMENT, purchase["payment"]["id"]) == []
    academy.assert_books_balance()


def test_who_needed_the_seat_sooner_leaves_the_payment_to_the_clock(academy: Academy) -> None:
    purchase = begin(academy)
    let_hold_run_out(academy, purchase)
    assert academy.enroll(academy.person(money=4900), purchase["run_id"]).status_code == 201
    assert states(academy, purchase) == ("expired", "pending", "pending")
    academy.do_work(EXPIRE_ENROLLMENT, purchase["enrollment"]["id"])
    assert states(academy, purchase) == ("expired", "canceled", "canceled")


def test_what_is_on_its_way_already_is_not_cancelled(academy: Academy) -> None:
    purchase = begin(academy, "tok_pending")
    expire(academy, purchase)
    assert states(academy, purchase) == ("expired", "pending", "pending")
    academy.settle_at_provider(academy.recorded_name(purchase["payment"]["id"]))
    academy.do_work(SETTLE_PAYMENT, purchase["payment"]["id"])
    assert states(academy, purchase) == ("active", "succeeded", "succeeded")


def test_who_paid_at_the_last_moment_gets_the_seat(academy: Academy) -> None:
    purchase = begin(academy)
    assert authenticate(academy, purchase) == 200
    expire(academy, purchase)
    assert states(academy, purchase) == ("active", "succeeded", "succeeded")
    academy.assert_books_balance()


def test_while_the_provider_is_away_it_is_cancelled_later(
    academy: Academy, offline: Academy
) -> None:
    purchase = begin(academy)
    expire(offline, purchase)
    assert states(academy, purchase) == ("expired", "pending", "pending")
    academy.do_work(SETTLE_PAYMENT, purchase["payment"]["id"])
    assert states(academy, purchase) == ("expired", "canceled", "canceled")


def test_a_payment_that_was_made_after_its_hold_ran_out_is_cancelled(
    academy: Academy, offline: Academy
) -> None:
    person, run_id = academy.person(), academy.run(capacity=1)
    answer = offline.enroll(person, run_id, "provider", token="tok_3d_secure")
    purchase = {**answer.get_json(), "person": person, "run_id": run_id}
    expire(academy, purchase)
    academy.do_work(SETTLE_PAYMENT, purchase["payment"]["id"])
    assert states(academy, purchase) == ("expired", "canceled", "canceled")


def test_who_left_before_paying_is_not_charged_any_more(academy: Academy) -> None:
    purchase = begin(academy)
    path = f"/enrollments/{purchase['enrollment']['id']}/withdraw"
    assert academy.post(path, purchase["person"]).status_code == 200
    academy.do_work(SETTLE_PAYMENT, purchase["payment"]["id"])
    assert states(academy, purchase) == ("cancelled", "canceled", "canceled")


def test_who_still_waits_is_left_alone(academy: Academy) -> None:
    purchase = begin(academy)
    academy.do_work(SETTLE_PAYMENT, purchase["payment"]["id"])
    assert states(academy, purchase) == ("pending", "pending", "pending")


def test_a_cancelled_learner_may_try_again(academy: Academy) -> None:
    purchase = begin(academy)
    expire(academy, purchase)
    again = academy.enroll(purchase["person"], purchase["run_id"], "provider", token="tok_success")
    assert again.status_code == 201
    academy.assert_books_balance()
