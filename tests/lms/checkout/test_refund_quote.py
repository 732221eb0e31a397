"""What one would get back now: the same as withdrawing gives, and why."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from lms.checkout.policy import Quote, quote_refund
from lms.core.clock import now
from lms.core.ids import new_id
from lms.payments.models import Payment
from tests.factories.money import Academy
from tests.factories.people import Person

AT = now()
POLICY = [(-2, 90), (3, 50), (6, 25)]


def in_days(days: float) -> str:
    return (AT + timedelta(days=days)).isoformat().replace("+00:00", "Z")


def steps_of(policy: list[tuple[float, int]]) -> list[dict[str, Any]]:
    return [{"until": in_days(days), "percent": percent} for days, percent in policy]


def quote(academy: Academy, person: Person, purchase: dict[str, Any]) -> dict[str, Any]:
    answer = academy.get(f"/payments/{purchase['payment']['id']}/refund-quote", person)
    assert answer.status_code == 200
    return answer.get_json()


def buy(academy: Academy, person: Person, **changes: Any) -> dict[str, Any]:
    answer = academy.enroll(person, academy.run(**changes))
    assert answer.status_code == 201
    return answer.get_json()


def refund(academy: Academy, purchase: dict[str, Any], amount: int) -> None:
    body = {"amount": {"amount": amount, "currency": "EUR"}}
    path = f"/payments/{purchase['payment']['id']}/refunds"
    assert academy.post(path, academy.person("admin"), body).status_code == 201


def withdraw(academy: Academy, person: Person, purchase: dict[str, Any]) -> int:
    """Leave, and tell what came back."""
    answer = academy.post(f"/enrollments/{purchase['enrollment']['id']}/withdraw", person)
    assert answer.status_code == 200
    made = answer.get_json()["refund"]
    return 0 if made is None else made["amount"]["amount"]


def short(quoted: dict[str, Any]) -> tuple[int, int, int | None, str | None]:
    return (
        quoted["amount"]["amount"],
        quoted["percent"],
        quoted["next_percent"],
        quoted["nothing_because"],
    )


@pytest.mark.parametrize(
    ("policy", "starts_in", "told", "until"),
    [
        ([(2, 90), (5, 50)], 7, (4500, 90, 50, None), 2),
        ([(-1, 90), (5, 50)], 7, (2500, 50, 0, None), 5),
        ([(-2, 90), (-1, 50)], 7, (0, 0, None, "after_last_step"), None),
        ([(2, 0), (5, 50)], 7, (0, 0, 50, "step_gives_nothing"), 2),
        ([], 7, (5000, 100, 0, None), 7),
        ([], -0.5, (0, 0, None, "after_last_step"), None),
    ],
)
def test_at_each_step_of_a_policy_the_quote_is_what_withdrawing_gives(
    academy: Academy,
    policy: list[tuple[float, int]],
    starts_in: float,
    told: tuple[int, int, int | None, str | None],
    until: float | None,
) -> None:
    person = academy.person(money=5000)
    run = {"starts_at": AT + timedelta(days=starts_in), "refund_policy": steps_of(policy)}
    purchase = buy(academy, person, price=5000, **run)
    quoted = quote(academy, person, purchase)
    assert short(quoted) == told
    assert quoted["until"] == (None if until is None else in_days(until))
    assert quoted["amount"]["currency"] == "EUR"
    assert quoted["destination"] == "wallet"
    assert withdraw(academy, person, purchase) == told[0] == academy.balance(person)
    academy.assert_books_balance()


def test_what_was_given_back_before_counts_towards_the_policy(academy: Academy) -> None:
    person = academy.person(money=5000)
    purchase = buy(academy, person, price=5000, refund_policy=steps_of(POLICY))
    refund(academy, purchase, 1000)
    quoted = quote(academy, person, purchase)
    assert short(quoted) == (1500, 50, 25, None)
    assert quoted["refunded_amount"] == {"amount": 1000, "currency": "EUR"}
    assert withdraw(academy, person, purchase) == 1500
    assert academy.balance(person) == 2500
    academy.assert_books_balance()


@pytest.mark.parametrize("given", [2500, 4000])
def test_who_was_given_as_much_as_the_policy_gives_gets_nothing_more(
    academy: Academy, given: int
) -> None:
    person = academy.person(money=5000)
    purchase = buy(academy, person, price=5000, refund_policy=steps_of(POLICY))
    refund(academy, purchase, given)
    assert short(quote(academy, person, purchase)) == (0, 50, 25, "already_given_back")
    assert withdraw(academy, person, purchase) == 0
    assert academy.balance(person) == given
    academy.assert_books_balance()


def test_who_left_with_a_part_may_still_be_given_the_rest(academy: Academy) -> None:
    person = academy.person(money=5000)
    purchase = buy(academy, person, price=5000, refund_policy=steps_of(POLICY))
    withdraw(academy, person, purchase)
    refund(academy, purchase, 2500)
    assert academy.balance(person) == 5000
    academy.assert_books_balance()


def test_the_sum_is_rounded_down(academy: Academy) -> None:
    person = academy.person(money=4999)
    purchase = buy(academy, person, price=4999, refund_policy=steps_of([(5, 33)]))
    assert quote(academy, person, purchase)["amount"]["amount"] == 1649


def test_the_policy_that_held_when_it_was_paid_is_quoted(academy: Academy) -> None:
    person = academy.person(money=4900)
    purchase = buy(academy, person, refund_policy=steps_of([(5, 50)]))
    academy.execute_as_owner(
        "UPDATE course_runs SET refund_policy = '[]' WHERE id = :id",
        id=purchase["payment"]["run_id"],
    )
    assert short(quote(academy, person, purchase)) == (2450, 50, 0, None)


def test_a_suspended_learner_is_quoted_as_an_active_one(academy: Academy) -> None:
    person = academy.person(money=4900)
    purchase = buy(academy, person)
    academy.execute_as_owner(
        "UPDATE enrollments SET state = 'suspended' WHERE id = :id", id=purchase["enrollment"]["id"]
    )
    assert short(quote(academy, person, purchase)) == (4900, 100, 0, None)
    assert withdraw(academy, person, purchase) == 4900


def test_a_card_payment_would_go_back_to_the_card(academy: Academy) -> None:
    person = academy.person()
    purchase = academy.enroll(person, academy.run(), "provider", token="tok_success").get_json()
    quoted = quote(academy, person, purchase)
    assert (quoted["amount"]["amount"], quoted["destination"]) == (4900, "provider")


def test_what_is_not_paid_is_not_given_back(academy: Academy) -> None:
    person = academy.person()
    purchase = academy.enroll(person, academy.run(), "provider", token="tok_pending").get_json()
    assert short(quote(academy, person, purchase)) == (0, 0, None, "not_paid")


def test_a_free_place_has_nothing_to_give_back(academy: Academy) -> None:
    person = academy.person()
    purchase = academy.enroll(person, academy.run(price=0), "free").get_json()
    quoted = quote(academy, person, purchase)
    assert (short(quoted), quoted["destination"]) == ((0, 0, None, "free"), None)


def test_nothing_is_left_when_everything_was_given_back(academy: Academy) -> None:
    person = academy.person(money=4900)
    purchase = buy(academy, person)
    refund(academy, purchase, 4900)
    assert short(quote(academy, person, purchase)) == (0, 0, None, "already_given_back")


def test_who_left_gets_nothing_more(academy: Academy) -> None:
    person = academy.person(money=4900)
    purchase = buy(academy, person, refund_policy=steps_of([(5, 50)]))
    withdraw(academy, person, purchase)
    assert short(quote(academy, person, purchase)) == (0, 0, None, "enrollment_ended")


def test_who_completed_the_run_gets_nothing_back(academy: Academy) -> None:
    person = academy.person(money=4900)
    purchase = buy(academy, person)
    academy.execute_as_owner(
        "UPDATE enrollments SET state = 'completed', completed_at = now() WHERE id = :id",
        id=purchase["enrollment"]["id"],
    )
    assert short(quote(academy, person, purchase)) == (0, 0, None, "enrollment_completed")


def test_the_learner_and_admins_are_told_and_nobody_else(academy: Academy) -> None:
    teacher, person = academy.person("instructor"), academy.person(money=4900)
    purchase = buy(academy, person, teacher=teacher)
    for allowed in (person, academy.person("admin")):
        assert quote(academy, allowed, purchase)["payment_id"] == purchase["payment"]["id"]
    path = f"/payments/{purchase['payment']['id']}/refund-quote"
    for refused in (academy.person(), teacher):
        assert academy.get(path, refused).status_code == 404
    nothing = f"/payments/{new_id()}/refund-quote"
    assert academy.get(nothing, academy.person("admin")).status_code == 404


def test_asking_changes_nothing(academy: Academy) -> None:
    person = academy.person(money=4900)
    purchase = buy(academy, person)
    quote(academy, person, purchase)
    (row,) = academy.rows(
        "SELECT version, refunded_amount FROM payments WHERE id = :id",
        id=UUID(purchase["payment"]["id"]),
    )
    assert row == {"version": 1, "refunded_amount": 0}


def paid(amount: int, refunded: int, policy: list[tuple[float, int]]) -> Payment:
    return Payment(
        amount=amount,
        refunded_amount=refunded,
        lost_amount=0,
        state="succeeded",
        refund_policy=steps_of(policy),
    )


def rule(payment: Payment, state: str = "active") -> Quote:
    return quote_refund(
        payment,
        enrollment_state=state,
        run_state="scheduled",
        now=AT,
        starts_at=AT + timedelta(days=7),
    )


def test_never_more_than_is_left_and_never_less_than_nothing() -> None:
    for percent in (0, 1, 33, 50, 99, 100):
        for refunded in range(102):
            given = rule(paid(101, refunded, [(5, percent)])).amount
            assert given == max(101 * percent // 100 - refunded, 0)
            assert 0 <= given <= 101 - refunded


def test_a_step_ends_at_its_very_moment() -> None:
    assert rule(paid(100, 0, [(0, 90), (5, 50)])).amount == 50


@pytest.mark.parametrize("state", ["withdrawn", "expired", "cancelled", "transferred", "pending"])
def test_only_who_is_in_the_run_is_given_something_back(state: str) -> None:
    assert rule(paid(100, 0, []), state).nothing_because == "enrollment_ended"


def test_so_little_that_it_rounds_to_nothing_is_said_to_be_nothing() -> None:
    assert rule(paid(1, 0, [(5, 50)])).nothing_because == "step_gives_nothing"
