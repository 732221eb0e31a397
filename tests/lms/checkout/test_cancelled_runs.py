"""Cancelling a run: at once for whoever would enroll, then one by one for those who are in it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest

from lms.checkout.cancellations import cancel_run, end_enrollment
from lms.checkout.orders import Order
from lms.checkout.purchase import enroll
from lms.core.ids import new_id
from lms.core.queue import CANCEL_RUN, EXPIRE_ENROLLMENT, SETTLE_PAYMENT, Doorbell
from tests.factories.money import DEADLINE, Academy
from tests.lms.checkout.cancelling import (
    REASON,
    buy,
    cancel,
    complete,
    read,
    refunds_of,
    see_through,
    state_of,
)


def test_a_cancelled_run_says_when_why_and_how_many_are_left(academy: Academy) -> None:
    run_id = academy.run()
    learner, _ = buy(academy, run_id)
    before = read(academy, run_id)
    assert (before["cancelled_at"], before["cancel_reason"]) == (None, None)
    assert before["enrollments_left"] is None

    answer = cancel(academy, run_id)

    assert answer.status_code == 202, answer.text
    body = answer.get_json()
    assert (body["state"], body["cancel_reason"], body["enrollments_left"]) == (
        *("cancelled", REASON),
        1,
    )
    assert body["cancelled_at"] is not None
    assert answer.headers["ETag"] == '"2"'
    assert read(academy, run_id, learner) == body
    see_through(academy, run_id)
    assert read(academy, run_id, learner)["enrollments_left"] == 0


def test_nobody_enrolls_in_a_cancelled_run(academy: Academy) -> None:
    run_id = academy.run()
    cancel(academy, run_id)
    answer = academy.enroll(academy.person(money=4900), run_id)
    problem = answer.get_json()
    assert (answer.status_code, problem["code"]) == (409, "enrollment_closed")
    assert problem["run_state"] == "cancelled"
    assert academy.seats_taken(run_id) == 0


def test_a_run_without_learners_asks_for_no_work(academy: Academy) -> None:
    run_id = academy.run()
    assert cancel(academy, run_id).get_json()["enrollments_left"] == 0
    assert academy.work(CANCEL_RUN, run_id) == []


@pytest.mark.parametrize("account_type", ["student", "instructor"])
def test_only_admins_cancel_since_it_moves_money(academy: Academy, account_type: Any) -> None:
    teacher = academy.person("instructor")
    run_id = academy.run(teacher=teacher)
    person = teacher if account_type == "instructor" else academy.person()
    assert cancel(academy, run_id, person).status_code == 403
    assert read(academy, run_id)["state"] == "scheduled"


def test_a_run_that_is_not_there_is_not_cancelled(academy: Academy) -> None:
    assert cancel(academy, uuid4()).status_code == 404


@pytest.mark.parametrize("reason", ["", "   ", "x" * 501, "a\u202eb", None, 7])
def test_a_reason_is_needed(academy: Academy, reason: Any) -> None:
    run_id = academy.run()
    answer = cancel(academy, run_id, reason=reason)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.get_json()["errors"]] == ["/reason"]


@pytest.mark.parametrize(("state", "allowed"), [("draft", ["scheduled"]), ("archived", [])])
def test_only_a_run_that_is_offered_is_cancelled(
    academy: Academy, state: str, allowed: list[str]
) -> None:
    problem = cancel(academy, academy.run(state=state)).get_json()
    assert (problem["status"], problem["code"]) == (409, "run_state_not_allowed")
    assert (problem["state"], problem["allowed"]) == (state, allowed)


def test_a_run_that_changed_since_it_was_read_is_not_cancelled(academy: Academy) -> None:
    run_id, admin = academy.run(), academy.person("admin")
    answer = academy.app.test_client().post(
        f"/api/v1/runs/{run_id}/cancel",
        base_url=f"http://{academy.slug}.localhost",
        headers={**admin.headers, "If-Match": '"7"'},
        json={"reason": REASON},
    )
    assert (answer.status_code, read(academy, run_id)["state"]) == (412, "scheduled")


def test_cancelling_is_on_record(academy: Academy) -> None:
    run_id, admin = academy.run(), academy.person("admin")
    cancel(academy, run_id, admin)
    (event,) = academy.rows(
        "SELECT actor_id, before, after FROM audit_events"
        " WHERE action = 'course_run.cancel' AND subject_id = :id",
        id=run_id,
    )
    assert event["actor_id"] == admin.id
    assert event["before"] == {"state": "scheduled"}
    assert event["after"] == {"state": "cancelled", "reason": REASON}


def test_cancelling_again_changes_nothing(academy: Academy) -> None:
    run_id = academy.run()
    buy(academy, run_id)
    first = cancel(academy, run_id).get_json()
    assert cancel(academy, run_id, reason="Another").get_json() == first
    assert len(academy.work(CANCEL_RUN, run_id)) == 1
    see_through(academy, run_id)
    third = cancel(academy, run_id).get_json()
    assert (third["cancelled_at"], third["cancel_reason"]) == (first["cancelled_at"], REASON)
    assert academy.work(CANCEL_RUN, run_id) == []


def test_cancelling_again_takes_up_work_that_was_given_up(academy: Academy) -> None:
    run_id = academy.run()
    person, _ = buy(academy, run_id)
    cancel(academy, run_id)
    academy.execute_as_owner(
        "UPDATE platform.work SET state = 'failed' WHERE subject_id = :id", id=run_id
    )
    cancel(academy, run_id)
    see_through(academy, run_id)
    assert academy.balance(person) == 4900


def test_who_is_just_enrolling_is_waited_for_and_gets_the_money_back(academy: Academy) -> None:
    admin, person, run_id = academy.person("admin"), academy.person(money=4900), academy.run()

    def change() -> int | None:
        with academy.database.transaction(academy.scope) as session:
            doorbell = Doorbell(academy.settings.redis_url)
            run = cancel_run(session, doorbell, admin.actor, run_id, reason=REASON, expected=None)
            return run.enrollments_left

    with ThreadPoolExecutor(1) as pool:
        with academy.database.transaction(academy.scope) as session:
            enroll(
                session,
                person.actor,
                Order(payment_id=new_id(), run_id=run_id, method="wallet"),
            )
            waiting = pool.submit(change)
            academy.wait_for_a_lock()
        assert waiting.result(DEADLINE) == 1
    see_through(academy, run_id)
    assert academy.balance(person) == 4900
    academy.assert_books_balance()


@pytest.mark.parametrize("starts_in", [7, -0.5])
def test_what_came_from_the_wallet_goes_back_in_full_whatever_the_policy(
    academy: Academy, starts_in: float
) -> None:
    run_id = academy.run(starts_in=starts_in, refund_policy=[])
    admin = academy.person("admin")
    person, purchase = buy(academy, run_id)
    cancel(academy, run_id, admin)
    see_through(academy, run_id)
    (refund,) = refunds_of(academy, purchase)
    assert (refund["amount"], refund["destination"], refund["state"]) == (
        *(4900, "wallet"),
        "succeeded",
    )
    assert (refund["reason"], refund["created_by"]) == ("run_cancelled", admin.id)
    assert state_of(academy, purchase) == ("withdrawn", "run_cancelled")
    assert (academy.balance(person), academy.seats_taken(run_id)) == (4900, 0)
    receipts = academy.rows("SELECT amount FROM receipts WHERE refund_id = :id", id=refund["id"])
    assert receipts == [{"amount": 4900}]
    academy.assert_books_balance()


def test_what_came_from_a_card_goes_back_to_the_card(academy: Academy) -> None:
    run_id = academy.run(starts_in=-0.5)
    _, purchase = buy(academy, run_id, "provider", "tok_success")
    cancel(academy, run_id)
    see_through(academy, run_id)
    (refund,) = refunds_of(academy, purchase)
    assert (refund["destination"], refund["state"]) == ("provider", "created")
    assert state_of(academy, purchase) == ("withdrawn", "run_cancelled")
    academy.do_work(SETTLE_PAYMENT, refund["id"])
    (refund,) = refunds_of(academy, purchase)
    assert (refund["amount"], refund["state"]) == (4900, "succeeded")
    name = academy.recorded_name(purchase["payment"]["id"])
    assert academy.at_provider(name)["refunded_amount"] == 4900
    academy.assert_books_balance()


def test_what_was_given_back_before_is_not_given_back_again(academy: Academy) -> None:
    run_id, admin = academy.run(), academy.person("admin")
    person, purchase = buy(academy, run_id)
    part = {"amount": {"amount": 1000, "currency": "EUR"}}
    academy.post(f"/payments/{purchase['payment']['id']}/refunds", admin, part)
    cancel(academy, run_id)
    see_through(academy, run_id)
    assert [row["amount"] for row in refunds_of(academy, purchase)] == [1000, 3900]
    assert academy.balance(person) == 4900
    academy.assert_books_balance()


def test_a_free_place_ends_without_a_refund(academy: Academy) -> None:
    run_id = academy.run(price=0)
    _, purchase = buy(academy, run_id, "free")
    cancel(academy, run_id)
    see_through(academy, run_id)
    assert state_of(academy, purchase) == ("withdrawn", "run_cancelled")
    assert refunds_of(academy, purchase) == []
    academy.assert_books_balance()


def test_an_enrollment_without_a_payment_ends_too(school: Academy) -> None:
    run_id = school.run(price=0)
    _, purchase = buy(school, run_id, "free")
    school.execute_as_owner(
        "UPDATE enrollments SET payment_id = NULL WHERE run_id = :id", id=run_id
    )
    cancel(school, run_id)
    see_through(school, run_id)
    assert state_of(school, purchase) == ("withdrawn", "run_cancelled")
    assert school.seats_taken(run_id) == 0


def test_a_suspended_learner_gets_the_money_back_too(academy: Academy) -> None:
    run_id = academy.run()
    person, purchase = buy(academy, run_id)
    academy.execute_as_owner(
        "UPDATE enrollments SET state = 'suspended' WHERE run_id = :id", id=run_id
    )
    cancel(academy, run_id)
    see_through(academy, run_id)
    assert (state_of(academy, purchase)[0], academy.balance(person)) == ("withdrawn", 4900)
    academy.assert_books_balance()


def test_who_completed_the_run_stays_completed_and_gets_nothing_back(academy: Academy) -> None:
    run_id = academy.run()
    person, purchase = buy(academy, run_id)
    complete(academy, purchase)
    assert cancel(academy, run_id).get_json()["enrollments_left"] == 0
    see_through(academy, run_id)
    path = f"/enrollments/{purchase['enrollment']['id']}"
    assert academy.get(path, person).get_json()["state"] == "completed"
    assert (academy.balance(person), academy.seats_taken(run_id)) == (0, 1)
    academy.assert_books_balance()


def test_who_completes_it_at_the_last_moment_keeps_it_and_gets_nothing_back(
    academy: Academy,
) -> None:
    run_id = academy.run()
    person, purchase = buy(academy, run_id)
    cancel(academy, run_id)
    complete(academy, purchase)
    with academy.database.transaction(academy.scope) as session:
        doorbell = Doorbell(academy.settings.redis_url)
        end_enrollment(session, doorbell, UUID(purchase["enrollment"]["id"]))
    assert (academy.balance(person), refunds_of(academy, purchase)) == (0, [])
    see_through(academy, run_id)
    academy.assert_books_balance()


@pytest.mark.parametrize("expires_first", [True, False])
def test_late_money_of_a_pending_one_is_given_back(academy: Academy, expires_first: bool) -> None:
    run_id = academy.run()
    _, purchase = buy(academy, run_id, "provider", "tok_pending")
    if expires_first:
        academy.execute_as_owner(
            "UPDATE enrollments SET hold_until = now() - interval '1 second' WHERE id = :id",
            id=purchase["enrollment"]["id"],
        )
        academy.do_work(EXPIRE_ENROLLMENT, purchase["enrollment"]["id"])
    cancel(academy, run_id)
    see_through(academy, run_id)
    assert state_of(academy, purchase) == (
        ("expired", "hold_ran_out") if expires_first else ("cancelled", "run_cancelled")
    )
    assert academy.seats_taken(run_id) == 0
    academy.settle_at_provider(academy.recorded_name(purchase["payment"]["id"]))
    academy.do_work(SETTLE_PAYMENT, purchase["payment"]["id"])
    (refund,) = refunds_of(academy, purchase)
    assert (refund["amount"], refund["reason"]) == (4900, "late_money")
    academy.do_work(SETTLE_PAYMENT, refund["id"])
    academy.assert_books_balance()


def test_who_pays_before_their_turn_comes_gets_the_money_back(academy: Academy) -> None:
    run_id = academy.run()
    _, purchase = buy(academy, run_id, "provider", "tok_pending")
    cancel(academy, run_id)
    academy.settle_at_provider(academy.recorded_name(purchase["payment"]["id"]))
    academy.do_work(SETTLE_PAYMENT, purchase["payment"]["id"])
    assert state_of(academy, purchase) == ("active", "paid")
    see_through(academy, run_id)
    (refund,) = refunds_of(academy, purchase)
    assert (refund["amount"], refund["reason"]) == (4900, "run_cancelled")
    academy.assert_books_balance()


def test_a_pending_ones_coupon_may_be_used_again(academy: Academy) -> None:
    run_id, code, person = academy.run(), academy.coupon(), academy.person()
    academy.enroll(person, run_id, "provider", token="tok_pending", coupon=code)
    assert academy.coupon_uses(code) == 1
    cancel(academy, run_id)
    see_through(academy, run_id)
    assert academy.coupon_uses(code) == 0
    academy.assert_books_balance()


def test_who_leaves_a_cancelled_run_by_themselves_gets_everything_too(academy: Academy) -> None:
    run_id = academy.run(starts_in=-0.5)
    person, purchase = buy(academy, run_id)
    path = f"/payments/{purchase['payment']['id']}/refund-quote"
    assert academy.get(path, person).get_json()["nothing_because"] == "after_last_step"
    cancel(academy, run_id)
    quote = academy.get(path, person).get_json()
    assert (quote["percent"], quote["amount"]["amount"], quote["until"]) == (100, 4900, None)
    academy.post(f"/enrollments/{purchase['enrollment']['id']}/withdraw", person)
    assert academy.balance(person) == 4900
    see_through(academy, run_id)
    assert len(refunds_of(academy, purchase)) == 1
    academy.assert_books_balance()
