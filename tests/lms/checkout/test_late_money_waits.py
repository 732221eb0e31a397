"""Money that comes when the seat is gone: it waits for the next one, if its learner chose so."""

from __future__ import annotations

from typing import Any

import pytest

from lms.core.queue import CANCEL_RUN, CLOSE_WAITLIST, EXPIRE_ENROLLMENT, SETTLE_PAYMENT
from tests.factories import provider_side as there
from tests.factories.money import Academy
from tests.factories.people import Person
from tests.lms.checkout.waiting import (
    PRICE,
    ask,
    history,
    leave,
    let_hold_run_out,
    offer,
    read,
    stands,
)


def pay_late(academy: Academy, *, wait: bool = True, coupon: str | None = None) -> dict[str, Any]:
    """Somebody's hold runs out, somebody else takes the seat, and then the money comes."""
    person, run_id = academy.person(), academy.run(capacity=1)
    payment = {"method": "provider", "token": "tok_pending"}
    answer = ask(academy, person, run_id, payment=payment, wait=wait, coupon=coupon)
    assert answer.status_code == 202, answer.text
    purchase = answer.get_json()
    enrollment_id, payment_id = purchase["enrollment"]["id"], purchase["payment"]["id"]
    let_hold_run_out(academy, enrollment_id)
    academy.do_work(EXPIRE_ENROLLMENT, enrollment_id)
    other = academy.person(money=PRICE)
    seat = academy.enroll(other, run_id)
    assert seat.status_code == 201, seat.text
    academy.settle_at_provider(academy.recorded_name(payment_id))
    academy.do_work(SETTLE_PAYMENT, payment_id)
    return {
        "person": person,
        "run_id": run_id,
        "id": enrollment_id,
        "payment_id": payment_id,
        "other": other,
        "other_id": seat.get_json()["enrollment"]["id"],
    }


def payment_of(academy: Academy, late: dict[str, Any]) -> dict[str, Any]:
    return academy.get(f"/payments/{late['payment_id']}", late["person"]).get_json()


def refunded(academy: Academy, late: dict[str, Any]) -> int:
    return payment_of(academy, late)["refunded_amount"]["amount"]


def test_it_waits_paid(academy: Academy) -> None:
    late = pay_late(academy)
    assert stands(academy, late["id"])[0] == "waitlisted"
    assert (payment_of(academy, late)["state"], refunded(academy, late)) == ("succeeded", 0)
    assert history(academy, late["id"])[-1] == "paid_late"
    assert academy.work(CLOSE_WAITLIST, late["run_id"])


def test_it_is_given_back_when_nobody_chose_to_wait(academy: Academy) -> None:
    late = pay_late(academy, wait=False)
    assert stands(academy, late["id"])[0] == "expired"
    assert refunded(academy, late) == PRICE


def test_the_next_seat_is_theirs_at_once(academy: Academy) -> None:
    late = pay_late(academy)
    leave(academy, late["other"], late["other_id"])
    offer(academy, late["run_id"])
    enrollment = read(academy, late["person"], late["id"])
    assert (enrollment["state"], enrollment["payment_id"]) == ("active", late["payment_id"])
    academy.assert_books_balance()


def test_who_stops_waiting_gets_all_of_it_back(academy: Academy) -> None:
    late = pay_late(academy)
    quote = academy.get(f"/payments/{late['payment_id']}/refund-quote", late["person"]).get_json()
    assert quote["amount"]["amount"] == PRICE
    withdrawal = leave(academy, late["person"], late["id"])
    assert withdrawal["enrollment"]["state"] == "cancelled"
    assert withdrawal["refund"]["amount"]["amount"] == PRICE
    academy.assert_books_balance()


def test_when_the_list_is_closed_it_is_given_back(academy: Academy) -> None:
    late = pay_late(academy)
    academy.execute_as_owner(
        "UPDATE course_runs SET enrollment_closes_at = now() WHERE id = :id", id=late["run_id"]
    )
    academy.do_work(CLOSE_WAITLIST, late["run_id"])
    assert stands(academy, late["id"])[0] == "cancelled"
    assert refunded(academy, late) == PRICE
    academy.assert_books_balance()


def test_when_the_run_is_cancelled_it_is_given_back(academy: Academy) -> None:
    late = pay_late(academy)
    body = {"reason": "The instructor has fallen ill."}
    academy.post(f"/runs/{late['run_id']}/cancel", academy.person("admin"), body)
    academy.do_work(CANCEL_RUN, late["run_id"])
    assert stands(academy, late["id"])[0] == "cancelled"
    assert refunded(academy, late) == PRICE
    academy.assert_books_balance()


def test_an_admin_who_gives_it_back_ends_the_waiting(academy: Academy) -> None:
    late = pay_late(academy)
    admin: Person = academy.person("admin")
    body = {"destination": "wallet"}
    answer = academy.post(f"/payments/{late['payment_id']}/refunds", admin, body)
    assert answer.status_code == 201, answer.text
    assert stands(academy, late["id"])[0] == "cancelled"
    assert academy.balance(late["person"]) == PRICE
    academy.assert_books_balance()


def test_its_coupon_is_counted_again(academy: Academy) -> None:
    code = academy.coupon(percent_off=50, max_uses=1)
    late = pay_late(academy, coupon=code)
    assert (stands(academy, late["id"])[0], academy.coupon_uses(code)) == ("waitlisted", 1)


def contest(academy: Academy, late: dict[str, Any], outcome: str | None = None) -> str:
    """Let the payer contest the payment at their bank, and the bank decide."""
    name = academy.recorded_name(late["payment_id"])
    dispute_id = there.contest(academy, name)
    there.tell(academy, name, dispute_id=dispute_id)
    if outcome is not None:
        decide(academy, late, dispute_id, outcome)
    return dispute_id


def decide(academy: Academy, late: dict[str, Any], dispute_id: str, outcome: str) -> None:
    there.decide(academy, dispute_id, outcome)
    there.tell(academy, academy.recorded_name(late["payment_id"]), dispute_id=dispute_id)


@pytest.mark.parametrize("how", ["closed", "declined", "left"])
def test_contested_money_of_who_stopped_waiting_is_given_back_once_it_is_the_academys(
    academy: Academy, how: str
) -> None:
    late = pay_late(academy)
    dispute_id = contest(academy, late)
    if how == "closed":
        academy.execute_as_owner(
            "UPDATE course_runs SET enrollment_closes_at = now() WHERE id = :id", id=late["run_id"]
        )
        academy.do_work(CLOSE_WAITLIST, late["run_id"])
    elif how == "declined":
        body = {"reason": "Too late."}
        academy.post(f"/enrollments/{late['id']}/decline", academy.person("admin"), body)
    else:
        leave(academy, late["person"], late["id"])
    assert (stands(academy, late["id"])[0], refunded(academy, late)) == ("cancelled", 0)
    decide(academy, late, dispute_id, "won")
    assert refunded(academy, late) == PRICE
    academy.assert_books_balance()


def test_whose_money_the_bank_took_back_gets_no_seat(academy: Academy) -> None:
    late = pay_late(academy)
    contest(academy, late, "lost")
    leave(academy, late["other"], late["other_id"])
    offer(academy, late["run_id"])
    assert stands(academy, late["id"])[0] == "cancelled"
    assert history(academy, late["id"])[-1] == "money_taken_back"


def test_who_contests_the_payment_is_passed_over_until_the_bank_has_decided(
    academy: Academy,
) -> None:
    late = pay_late(academy)
    dispute_id = contest(academy, late)
    leave(academy, late["other"], late["other_id"])
    offer(academy, late["run_id"])
    assert stands(academy, late["id"])[0] == "waitlisted"
    decide(academy, late, dispute_id, "won")
    offer(academy, late["run_id"])
    assert stands(academy, late["id"])[0] == "active"
