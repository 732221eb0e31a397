"""Offered seats: accepted, lapsed, declined by a card, or taken at once as was agreed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from jobs import waitlists
from lms.core.clock import now
from lms.core.queue import EXPIRE_ENROLLMENT, OFFER_SEATS, SETTLE_PAYMENT, TAKE_OFFER
from tests.factories.money import Academy
from tests.factories.people import Person
from tests.lms.checkout.waiting import (
    PRICE,
    accept,
    full_run,
    history,
    lapse,
    leave,
    let_hold_run_out,
    offer,
    read,
    stands,
    wait,
)


def offered(
    academy: Academy, *, money: int = 0, price: int = PRICE, **body: Any
) -> tuple[Person, str]:
    """Somebody who waited, and was offered the seat that came free."""
    run_id, first, first_id = full_run(academy, price=price)
    person = academy.person(money=money)
    enrollment_id = wait(academy, person, run_id, "wallet" if price else "free", **body)
    leave(academy, first, first_id)
    offer(academy, run_id)
    return person, enrollment_id


def test_an_offer_stands_for_a_day(academy: Academy) -> None:
    person, enrollment_id = offered(academy)
    enrollment = read(academy, person, enrollment_id)
    assert (enrollment["state"], enrollment["awaiting"]) == ("pending", "offer")
    left = datetime.fromisoformat(enrollment["hold_until"]) - now()
    assert timedelta(hours=23) < left < timedelta(hours=25)
    assert history(academy, enrollment_id) == ["run_full", "offered"]


def test_who_accepts_pays_and_is_active(academy: Academy) -> None:
    person, enrollment_id = offered(academy, money=PRICE)
    answer = accept(academy, person, enrollment_id)
    assert answer.status_code == 201, answer.text
    purchase = answer.get_json()
    assert (purchase["enrollment"]["id"], purchase["enrollment"]["state"]) == (
        enrollment_id,
        "active",
    )
    assert (purchase["payment"]["state"], academy.balance(person)) == ("succeeded", 0)
    assert history(academy, enrollment_id)[-1] == "paid"
    assert read(academy, person, enrollment_id)["hold_until"] is None
    assert len(academy.get("/receipts", person).get_json()["items"]) == 1
    academy.assert_books_balance()


def test_an_offer_is_accepted_once_with_one_key_and_once_in_all(academy: Academy) -> None:
    person, enrollment_id = offered(academy, money=2 * PRICE)
    path, body = f"/enrollments/{enrollment_id}/accept", {"payment": {"method": "wallet"}}
    first = academy.post(path, person, body, key="one")
    assert academy.post(path, person, body, key="one").get_json() == first.get_json()
    again = accept(academy, person, enrollment_id)
    problem = again.get_json()
    assert (again.status_code, problem["code"]) == (409, "offer_not_open")
    assert (problem["state"], problem["awaiting"]) == ("active", None)
    assert academy.balance(person) == PRICE


def test_a_coupon_is_taken_when_an_offer_is_accepted(academy: Academy) -> None:
    person, enrollment_id = offered(academy, money=PRICE)
    code = academy.coupon(percent_off=50)
    answer = accept(academy, person, enrollment_id, coupon=code)
    assert answer.status_code == 201, answer.text
    assert (academy.balance(person), academy.coupon_uses(code)) == (PRICE // 2, 1)
    academy.assert_books_balance()


def test_without_the_money_the_offer_stands(academy: Academy) -> None:
    person, enrollment_id = offered(academy)
    answer = accept(academy, person, enrollment_id)
    assert (answer.status_code, answer.get_json()["code"]) == (402, "insufficient_funds")
    assert stands(academy, enrollment_id) == ("pending", "offer")


@pytest.mark.parametrize(
    ("token", "status", "state"),
    [("tok_success", 201, "active"), ("tok_pending", 202, "pending")],
)
def test_an_offer_is_paid_by_the_provider(
    academy: Academy, token: str, status: int, state: str
) -> None:
    person, enrollment_id = offered(academy)
    until = read(academy, person, enrollment_id)["hold_until"]
    answer = accept(academy, person, enrollment_id, "provider", token=token)
    assert (answer.status_code, answer.get_json()["enrollment"]["state"]) == (status, state)
    if state == "pending":
        assert answer.get_json()["enrollment"]["awaiting"] == "payment"
        assert answer.get_json()["enrollment"]["hold_until"] == until
        assert academy.work(EXPIRE_ENROLLMENT, enrollment_id)
        assert academy.work(SETTLE_PAYMENT, answer.get_json()["payment"]["id"])
    academy.assert_books_balance()


def test_a_declined_card_does_not_cost_the_offer(academy: Academy) -> None:
    person, enrollment_id = offered(academy, money=PRICE)
    until = read(academy, person, enrollment_id)["hold_until"]
    answer = accept(academy, person, enrollment_id, "provider", token="tok_declined")
    assert (answer.status_code, answer.get_json()["code"]) == (402, "payment_declined")
    newest, *_ = academy.get("/enrollments", person).get_json()["items"]
    assert answer.get_json()["offered_again_as"] == newest["id"]
    old = accept(academy, person, enrollment_id).get_json()
    assert (old["code"], old["enrollment_id"]) == ("offer_not_open", newest["id"])
    assert (newest["state"], newest["awaiting"], newest["attempt"]) == ("pending", "offer", 2)
    assert newest["hold_until"] == until
    assert academy.work(EXPIRE_ENROLLMENT, newest["id"])
    assert accept(academy, person, newest["id"]).status_code == 201
    academy.assert_books_balance()


def test_a_lapsed_offer_goes_to_the_next(academy: Academy) -> None:
    run_id, first, first_id = full_run(academy)
    second, third = academy.person(money=PRICE), academy.person()
    second_id, third_id = wait(academy, second, run_id), wait(academy, third, run_id)
    leave(academy, first, first_id)
    offer(academy, run_id)
    lapse(academy, second_id)
    assert stands(academy, second_id)[0] == "expired"
    assert history(academy, second_id)[-1] == "offer_lapsed"
    offer(academy, run_id)
    assert stands(academy, third_id) == ("pending", "offer")
    problem = accept(academy, second, second_id).get_json()
    assert (problem["code"], problem["lapsed_at"] is None) == ("offer_not_open", False)


def test_an_offer_is_over_at_its_moment_also_before_it_is_swept(academy: Academy) -> None:
    person, enrollment_id = offered(academy, money=PRICE)
    let_hold_run_out(academy, enrollment_id)
    problem = accept(academy, person, enrollment_id).get_json()
    assert (problem["code"], problem["awaiting"]) == ("offer_not_open", "offer")
    assert problem["lapsed_at"] is not None
    assert academy.balance(person) == PRICE


def test_nobody_accepts_for_somebody_else(academy: Academy) -> None:
    _, enrollment_id = offered(academy)
    for account_type in ("student", "instructor", "admin"):
        other = academy.person(account_type, money=PRICE)
        assert accept(academy, other, enrollment_id).status_code == 404


def test_who_gives_an_offered_seat_back_lets_the_next_have_it(academy: Academy) -> None:
    run_id, first, first_id = full_run(academy)
    second, third = academy.person(), academy.person()
    second_id, third_id = wait(academy, second, run_id), wait(academy, third, run_id)
    leave(academy, first, first_id)
    offer(academy, run_id)
    assert leave(academy, second, second_id)["enrollment"]["state"] == "cancelled"
    offer(academy, run_id)
    assert stands(academy, third_id) == ("pending", "offer")


def test_a_seat_that_costs_nothing_is_taken_at_once(academy: Academy) -> None:
    person, enrollment_id = offered(academy, price=0)
    enrollment = read(academy, person, enrollment_id)
    assert (enrollment["state"], enrollment["awaiting"]) == ("active", None)
    assert history(academy, enrollment_id) == ["run_full", "offered", "free"]
    academy.assert_books_balance()


def test_who_agreed_to_it_is_charged_at_once(academy: Academy) -> None:
    person, enrollment_id = offered(academy, money=PRICE, pay_automatically=True)
    assert stands(academy, enrollment_id) == ("active", None)
    assert academy.balance(person) == 0
    assert len(academy.get("/receipts", person).get_json()["items"]) == 1
    academy.assert_books_balance()


@pytest.mark.parametrize("price", [0, PRICE])
def test_what_was_agreed_is_seen_through_when_the_worker_dies_after_the_offer(
    academy: Academy, monkeypatch: pytest.MonkeyPatch, price: int
) -> None:
    monkeypatch.setattr(waitlists, "_take", lambda *_: None)
    person, enrollment_id = offered(academy, money=PRICE, price=price, pay_automatically=True)
    assert stands(academy, enrollment_id) == ("pending", "offer")
    monkeypatch.undo()
    academy.do_work(TAKE_OFFER, enrollment_id)
    assert stands(academy, enrollment_id) == ("active", None)
    assert academy.balance(person) == PRICE - price
    academy.assert_books_balance()


def test_who_did_not_agree_is_not_charged(academy: Academy) -> None:
    person, enrollment_id = offered(academy, money=PRICE)
    assert academy.work(TAKE_OFFER, enrollment_id) == []
    assert academy.balance(person) == PRICE


def test_a_coupon_is_kept_for_who_is_charged_at_once(academy: Academy) -> None:
    code = academy.coupon(percent_off=50)
    person, enrollment_id = offered(academy, money=PRICE, pay_automatically=True, coupon=code)
    assert stands(academy, enrollment_id) == ("active", None)
    assert (academy.balance(person), academy.coupon_uses(code)) == (PRICE // 2, 1)
    academy.assert_books_balance()


def test_a_coupon_that_is_not_taken_any_more_leaves_the_offer(academy: Academy) -> None:
    code = academy.coupon(percent_off=50)
    run_id, first, first_id = full_run(academy)
    person = academy.person(money=PRICE)
    enrollment_id = wait(academy, person, run_id, pay_automatically=True, coupon=code)
    academy.execute_as_owner("UPDATE coupons SET is_active = false WHERE code = :code", code=code)
    leave(academy, first, first_id)
    offer(academy, run_id)
    assert (stands(academy, enrollment_id), academy.balance(person)) == (
        ("pending", "offer"),
        PRICE,
    )


def test_what_the_platform_does_by_itself_names_nobody(academy: Academy) -> None:
    person, enrollment_id = offered(academy, money=PRICE, pay_automatically=True)
    changes = academy.get(f"/enrollments/{enrollment_id}/changes", person).get_json()["items"]
    assert [(one["reason"], one["actor_id"]) for one in changes] == [
        ("run_full", str(person.id)),
        ("offered", None),
        ("paid", None),
    ]


@pytest.mark.parametrize("state", ["waitlisted", "active"])
def test_where_no_offer_is_the_remedy_fits(academy: Academy, state: str) -> None:
    run_id, first, first_id = full_run(academy)
    waiting = academy.person()
    waiting_id = wait(academy, waiting, run_id)
    person, enrollment_id = (waiting, waiting_id) if state == "waitlisted" else (first, first_id)
    problem = accept(academy, person, enrollment_id).get_json()
    assert problem["code"] == "offer_not_open"
    expected = {"waitlisted": "in your turn", "active": "the seat is yours"}[state]
    assert expected in problem["remedy"]


def test_whom_the_wallet_does_not_pay_keeps_the_offer(academy: Academy) -> None:
    _, enrollment_id = offered(academy, money=PRICE - 1, pay_automatically=True)
    academy.do_work(TAKE_OFFER, enrollment_id)
    assert stands(academy, enrollment_id) == ("pending", "offer")


def test_nobody_is_charged_more_than_they_agreed_to(academy: Academy) -> None:
    run_id, first, first_id = full_run(academy)
    person = academy.person(money=2 * PRICE)
    enrollment_id = wait(academy, person, run_id, pay_automatically=True)
    academy.execute_as_owner(
        "UPDATE course_runs SET price_amount = price_amount + 1 WHERE id = :id", id=run_id
    )
    leave(academy, first, first_id)
    offer(academy, run_id)
    academy.do_work(TAKE_OFFER, enrollment_id)
    assert (stands(academy, enrollment_id), academy.balance(person)) == (
        ("pending", "offer"),
        2 * PRICE,
    )


def test_an_offer_is_of_the_version_that_the_run_has_by_then(academy: Academy) -> None:
    run_id, first, first_id = full_run(academy, price=0)
    person = academy.person()
    enrollment_id = wait(academy, person, run_id, "free")
    academy.execute_as_owner(
        """
        WITH version AS (
            INSERT INTO course_versions (id, course_id, number, state, published_at)
            SELECT gen_random_uuid(), course_id, 2, 'published', now()
              FROM course_runs WHERE id = :id
            RETURNING id, course_id
        ), published AS (
            INSERT INTO published_versions
                   (version_id, course_id, content_hash, outline, rules, published_by)
            SELECT version.id, version.course_id, '1', '{}', '{}', gen_random_uuid() FROM version
            RETURNING version_id
        )
        UPDATE course_runs SET version_id = published.version_id FROM published WHERE id = :id
        """,
        id=run_id,
    )
    leave(academy, first, first_id)
    offer(academy, run_id)
    (run,) = academy.rows("SELECT version_id FROM course_runs WHERE id = :id", id=run_id)
    enrollment = read(academy, person, enrollment_id)
    assert (enrollment["state"], enrollment["version_id"]) == ("active", str(run["version_id"]))


def test_work_that_finds_nobody_ends(academy: Academy) -> None:
    run_id, first, first_id = full_run(academy)
    person = academy.person()
    enrollment_id = wait(academy, person, run_id)
    leave(academy, first, first_id)
    leave(academy, person, enrollment_id)
    offer(academy, run_id)
    assert academy.work(OFFER_SEATS, run_id) == []
    assert academy.enroll(academy.person(money=PRICE), run_id).status_code == 201
