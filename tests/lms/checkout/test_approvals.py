"""Runs that ask for approval: requested with a seat, then approved or declined."""

from __future__ import annotations

from uuid import UUID

from lms.core.queue import EXPIRE_ENROLLMENT
from tests.factories.money import Academy
from tests.factories.people import Person
from tests.lms.checkout.waiting import PRICE, accept, ask, history, leave, offer, stands, wait

BECAUSE = {"reason": "Asked for by the team lead."}


def request(
    academy: Academy, *, price: int = PRICE, money: int = 0, **body: bool
) -> tuple[UUID, Person, str]:
    """Somebody who asks for a seat of a run with approval: gives run, person and enrollment."""
    run_id = academy.run(price=price, capacity=1, approval_required=True)
    person = academy.person(money=money)
    answer = ask(academy, person, run_id, "wallet" if price else "free", **body)
    assert answer.status_code == 202, answer.text
    assert answer.get_json()["payment"] is None
    return run_id, person, answer.get_json()["enrollment"]["id"]


def test_a_request_keeps_its_seat_and_costs_nothing_yet(academy: Academy) -> None:
    run_id, person, enrollment_id = request(academy, money=PRICE)
    assert stands(academy, enrollment_id) == ("pending", "approval")
    assert (academy.seats_taken(run_id), academy.balance(person)) == (1, PRICE)
    assert ask(academy, academy.person(), run_id, wait=False).get_json()["code"] == "run_full"
    assert academy.work(EXPIRE_ENROLLMENT, enrollment_id) == []


def test_the_run_says_that_it_asks_for_approval(academy: Academy) -> None:
    run_id, person, _ = request(academy)
    assert academy.get(f"/runs/{run_id}", person).get_json()["approval_required"] is True


def test_approved_without_a_price_one_is_active(academy: Academy) -> None:
    _, _, enrollment_id = request(academy, price=0)
    admin, path = academy.person("admin"), f"/enrollments/{enrollment_id}/approve"
    answer = academy.post(path, admin)
    assert (answer.status_code, answer.get_json()["state"]) == (200, "active")
    assert history(academy, enrollment_id) == ["awaiting_approval", "approved", "free"]
    assert academy.post(path, admin).get_json()["state"] == "active"
    academy.assert_books_balance()


def test_approved_with_a_price_one_is_offered_the_seat(academy: Academy) -> None:
    _, person, enrollment_id = request(academy, money=PRICE)
    answer = academy.post(f"/enrollments/{enrollment_id}/approve", academy.person("admin"))
    assert (answer.get_json()["state"], answer.get_json()["awaiting"]) == ("pending", "offer")
    assert academy.work(EXPIRE_ENROLLMENT, enrollment_id)
    assert accept(academy, person, enrollment_id).status_code == 201
    assert stands(academy, enrollment_id) == ("active", None)


def test_approved_one_is_charged_as_agreed(academy: Academy) -> None:
    _, person, enrollment_id = request(academy, money=PRICE, pay_automatically=True)
    academy.post(f"/enrollments/{enrollment_id}/approve", academy.person("admin"))
    assert (stands(academy, enrollment_id)[0], academy.balance(person)) == ("active", 0)


def test_nothing_is_accepted_before_it_is_approved(academy: Academy) -> None:
    _, person, enrollment_id = request(academy, money=PRICE)
    problem = accept(academy, person, enrollment_id).get_json()
    assert (problem["code"], problem["awaiting"]) == ("offer_not_open", "approval")


def test_declined_the_seat_is_the_next_ones(academy: Academy) -> None:
    run_id, _, enrollment_id = request(academy)
    waiting_id = wait(academy, academy.person(), run_id)
    path = f"/enrollments/{enrollment_id}/decline"
    answer = academy.post(path, academy.person("admin"), BECAUSE)
    assert (answer.status_code, answer.get_json()["state"]) == (200, "cancelled")
    assert history(academy, enrollment_id)[-1] == "declined"
    offer(academy, run_id)
    assert stands(academy, waiting_id) == ("pending", "approval")


def test_who_was_approved_while_waiting_is_not_asked_about_again(academy: Academy) -> None:
    run_id, first, first_id = request(academy)
    person = academy.person()
    waiting_id = wait(academy, person, run_id)
    answer = academy.post(f"/enrollments/{waiting_id}/approve", academy.person("admin"))
    assert answer.get_json()["state"] == "waitlisted"
    leave(academy, first, first_id)
    offer(academy, run_id)
    assert stands(academy, waiting_id) == ("pending", "offer")


def test_staff_take_people_from_the_waiting_list(academy: Academy) -> None:
    run_id, _, _ = request(academy)
    waiting_id = wait(academy, academy.person(), run_id)
    academy.post(f"/enrollments/{waiting_id}/decline", academy.person("admin"), BECAUSE)
    assert stands(academy, waiting_id)[0] == "cancelled"


def test_what_waits_for_nothing_is_not_decided(academy: Academy) -> None:
    admin = academy.person("admin")
    purchase = academy.enroll(academy.person(), academy.run(price=0), "free").get_json()
    path = f"/enrollments/{purchase['enrollment']['id']}"
    for answer in (
        academy.post(f"{path}/approve", admin),
        academy.post(f"{path}/decline", admin, BECAUSE),
    ):
        problem = answer.get_json()
        assert (answer.status_code, problem["code"]) == (409, "nothing_to_approve")
        assert (problem["state"], problem["awaiting"]) == ("active", None)


def test_who_does_not_teach_the_run_decides_nothing(academy: Academy) -> None:
    _, person, enrollment_id = request(academy)
    path = f"/enrollments/{enrollment_id}/approve"
    assert academy.post(path, academy.person("instructor")).status_code == 404
    assert academy.post(path, person).status_code == 403
    assert stands(academy, enrollment_id) == ("pending", "approval")


def test_who_teaches_the_run_decides(academy: Academy) -> None:
    teacher = academy.person("instructor")
    run_id = academy.run(price=0, capacity=1, approval_required=True, teacher=teacher)
    enrollment_id = ask(academy, academy.person(), run_id, "free").get_json()["enrollment"]["id"]
    answer = academy.post(f"/enrollments/{enrollment_id}/approve", teacher)
    assert answer.get_json()["state"] == "active"


def test_what_is_not_accepted_yet_is_taken_back_by_who_teaches_the_run(academy: Academy) -> None:
    teacher = academy.person("instructor")
    run_id = academy.run(capacity=1, approval_required=True, teacher=teacher)
    enrollment_id = ask(academy, academy.person(), run_id).get_json()["enrollment"]["id"]
    path = f"/enrollments/{enrollment_id}"
    assert academy.post(f"{path}/approve", teacher).get_json()["awaiting"] == "offer"
    assert academy.post(f"{path}/decline", teacher, BECAUSE).get_json()["state"] == "cancelled"
    assert academy.seats_taken(run_id) == 0


def test_where_nothing_is_approved_nobody_who_waits_is(academy: Academy) -> None:
    run_id = academy.run(price=0, capacity=1)
    academy.enroll(academy.person(), run_id, "free")
    waiting_id = wait(academy, academy.person(), run_id, "free")
    answer = academy.post(f"/enrollments/{waiting_id}/approve", academy.person("admin"))
    assert answer.get_json()["code"] == "nothing_to_approve"


def test_requests_are_checked_as_purchases_are(academy: Academy) -> None:
    run_id = academy.run(price=0, approval_required=True)
    wrong = ask(academy, academy.person(), run_id, "wallet").get_json()
    assert wrong["code"] == "payment_method_not_possible"
    unknown = ask(academy, academy.person(), run_id, "free", coupon="NONE").get_json()
    assert unknown["code"] == "coupon_unknown"


def test_staff_are_told_what_stands_in_the_way_of_enrolling_somebody(academy: Academy) -> None:
    run_id, person, enrollment_id = request(academy, price=0)
    admin, path = academy.person("admin"), f"/runs/{run_id}/learners"
    body = {"user_id": str(person.id), "reason": "On the list."}
    there = academy.post(path, admin, body).get_json()
    assert (there["code"], there["enrollment_id"]) == ("already_enrolled", enrollment_id)
    assert (there["awaiting"], there["remedy"]) == (
        "approval",
        "Approve the enrollment that there is.",
    )
    other = {**body, "user_id": str(academy.person().id)}
    assert academy.post(path, admin, other).get_json()["code"] == "run_full"


def test_staff_enroll_without_approval(academy: Academy) -> None:
    run_id = academy.run(price=0, approval_required=True)
    body = {"user_id": str(academy.person().id), "reason": "On the list."}
    answer = academy.post(f"/runs/{run_id}/learners", academy.person("admin"), body)
    assert (answer.status_code, answer.get_json()["state"]) == (201, "active")


def test_what_the_wallet_does_not_pay_stays_an_offer(academy: Academy) -> None:
    _, _, enrollment_id = request(academy, money=PRICE - 1, pay_automatically=True)
    answer = academy.post(f"/enrollments/{enrollment_id}/approve", academy.person("admin"))
    assert (answer.status_code, answer.get_json()["awaiting"]) == (200, "offer")


def test_nobody_is_approved_for_an_archived_run(academy: Academy) -> None:
    run_id, _, enrollment_id = request(academy)
    academy.execute_as_owner("UPDATE course_runs SET state = 'archived' WHERE id = :id", id=run_id)
    admin, path = academy.person("admin"), f"/enrollments/{enrollment_id}"
    answer = academy.post(f"{path}/approve", admin)
    assert (answer.status_code, answer.get_json()["code"]) == (409, "run_state_not_allowed")
    assert academy.post(f"{path}/decline", admin, BECAUSE).get_json()["state"] == "cancelled"


def test_an_offer_of_an_archived_run_says_that_it_takes_nobody(academy: Academy) -> None:
    run_id, person, enrollment_id = request(academy, money=PRICE)
    academy.post(f"/enrollments/{enrollment_id}/approve", academy.person("admin"))
    academy.execute_as_owner("UPDATE course_runs SET state = 'archived' WHERE id = :id", id=run_id)
    problem = accept(academy, person, enrollment_id).get_json()
    assert (problem["code"], problem["run_state"]) == ("enrollment_closed", "archived")


def test_late_money_of_a_request_waits_only_if_that_was_chosen(academy: Academy) -> None:
    for wait_for_it in (True, False):
        run_id = academy.run(capacity=1, approval_required=True)
        answer = ask(academy, academy.person(), run_id, wait=wait_for_it)
        sql = "SELECT accepts_waitlist FROM enrollments WHERE id = :id"
        (row,) = academy.rows(sql, id=UUID(answer.get_json()["enrollment"]["id"]))
        assert row["accepts_waitlist"] is wait_for_it
