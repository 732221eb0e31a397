"""A full run's waiting list: who is next, and whose a seat is that comes free."""

from __future__ import annotations

from uuid import UUID

import pytest

from lms.core.queue import CANCEL_RUN, CLOSE_WAITLIST, OFFER_SEATS
from tests.factories.money import Academy
from tests.lms.checkout.waiting import (
    PRICE,
    ask,
    full_run,
    history,
    leave,
    offer,
    read,
    stands,
    wait,
)


def test_a_full_run_tells_that_one_can_wait(academy: Academy) -> None:
    run_id, *_ = full_run(academy)
    wait(academy, academy.person(), run_id)
    answer = academy.enroll(academy.person(money=PRICE), run_id)
    problem = answer.get_json()
    assert (answer.status_code, problem["code"], problem["waitlisted"]) == (409, "run_full", 1)
    assert "`wait: true`" in problem["detail"]


def test_nobody_pays_for_waiting(academy: Academy) -> None:
    run_id, *_ = full_run(academy)
    person = academy.person(money=PRICE)
    enrollment_id = wait(academy, person, run_id)
    assert academy.balance(person) == PRICE
    assert read(academy, person, enrollment_id)["waitlisted_at"] is not None
    assert academy.get(f"/runs/{run_id}", person).get_json()["seats"] == {
        "capacity": 1,
        "taken": 1,
        "waitlisted": 1,
        "available": 0,
    }


def test_while_there_are_seats_nobody_waits(academy: Academy) -> None:
    answer = ask(academy, academy.person(money=PRICE), academy.run(capacity=1))
    assert (answer.status_code, answer.get_json()["enrollment"]["state"]) == (201, "active")


def test_one_waits_once(academy: Academy) -> None:
    run_id, *_ = full_run(academy)
    person = academy.person()
    enrollment_id = wait(academy, person, run_id)
    problem = ask(academy, person, run_id).get_json()
    assert (problem["code"], problem["enrollment_id"]) == ("already_enrolled", enrollment_id)


def test_a_repeated_request_has_one_place(academy: Academy) -> None:
    run_id, *_ = full_run(academy)
    person, body = academy.person(), {"payment": {"method": "wallet"}, "wait": True}
    path = f"/runs/{run_id}/enrollments"
    first = academy.post(path, person, body, key="the-same")
    second = academy.post(path, person, body, key="the-same")
    assert first.status_code == second.status_code == 202
    assert first.get_json() == second.get_json()
    assert second.headers["Idempotency-Replayed"] == "true"


def test_a_seat_that_comes_free_belongs_to_who_waits(academy: Academy) -> None:
    run_id, first, first_id = full_run(academy)
    waiting_id = wait(academy, academy.person(), run_id)
    leave(academy, first, first_id)
    late = academy.enroll(academy.person(money=PRICE), run_id)
    assert late.get_json()["code"] == "run_full"
    offer(academy, run_id)
    assert stands(academy, waiting_id) == ("pending", "offer")
    assert academy.seats_taken(run_id) == 1
    academy.assert_books_balance()


def test_seats_are_offered_in_the_order_of_waiting(academy: Academy) -> None:
    run_id, first, first_id = full_run(academy)
    second, third = academy.person(), academy.person()
    second_id, third_id = wait(academy, second, run_id), wait(academy, third, run_id)
    place = academy.get(f"/enrollments/{third_id}/place", third).get_json()
    assert (place["position"], place["waitlisted"], place["seats_offered"]) == (2, 2, 0)
    leave(academy, first, first_id)
    offer(academy, run_id)
    assert (stands(academy, second_id)[0], stands(academy, third_id)[0]) == (
        "pending",
        "waitlisted",
    )
    place = academy.get(f"/enrollments/{third_id}/place", third).get_json()
    assert (place["position"], place["waitlisted"], place["seats_offered"]) == (1, 1, 1)
    assert place["next_offer_ends_at"] == read(academy, second, second_id)["hold_until"]
    place = academy.get(f"/enrollments/{second_id}/place", second).get_json()
    assert place["position"] is None


def test_staff_read_the_list_in_its_order(academy: Academy) -> None:
    run_id, *_ = full_run(academy)
    ids = [wait(academy, academy.person(), run_id) for _ in range(3)]
    admin, path = academy.person("admin"), f"/runs/{run_id}/waitlist"
    answer = academy.get(path, admin).get_json()
    assert (answer["waitlisted"], [one["enrollment"]["id"] for one in answer["items"]]) == (3, ids)
    part = academy.get(path, admin, from_position="2", limit="1").get_json()
    assert [(one["position"], one["enrollment"]["id"]) for one in part["items"]] == [(2, ids[1])]
    assert academy.get(path, academy.person("instructor")).status_code == 404
    assert academy.get(path, academy.person()).status_code == 403


def test_others_do_not_learn_of_a_place(academy: Academy) -> None:
    run_id, *_ = full_run(academy)
    enrollment_id = wait(academy, academy.person(), run_id)
    assert academy.get(f"/enrollments/{enrollment_id}/place", academy.person()).status_code == 404


def test_who_leaves_the_list_is_not_counted_any_more(academy: Academy) -> None:
    run_id, *_ = full_run(academy)
    person = academy.person()
    enrollment_id = wait(academy, person, run_id)
    assert leave(academy, person, enrollment_id)["enrollment"]["state"] == "cancelled"
    assert academy.get(f"/runs/{run_id}", person).get_json()["seats"]["waitlisted"] == 0
    assert history(academy, enrollment_id) == ["run_full", "withdrawn"]


def test_whose_account_is_deactivated_does_not_wait_any_more(academy: Academy) -> None:
    run_id, first, first_id = full_run(academy)
    gone = academy.person()
    gone_id, next_id = wait(academy, gone, run_id), wait(academy, academy.person(), run_id)
    academy.execute_as_owner("UPDATE users SET deactivated_at = now() WHERE id = :id", id=gone.id)
    leave(academy, first, first_id)
    offer(academy, run_id)
    assert (stands(academy, gone_id)[0], stands(academy, next_id)[0]) == ("cancelled", "pending")
    assert history(academy, gone_id)[-1] == "account_deactivated"


@pytest.mark.parametrize("capacity", [3, None])
def test_more_seats_are_offered_to_those_who_wait(academy: Academy, capacity: int | None) -> None:
    run_id, *_ = full_run(academy)
    ids = [wait(academy, academy.person(), run_id) for _ in range(2)]
    answer = academy.app.test_client().patch(
        f"/api/v1/runs/{run_id}",
        base_url=f"http://{academy.slug}.localhost",
        headers=academy.person("admin").headers,
        json={"capacity": capacity},
    )
    assert answer.status_code == 200, answer.text
    offer(academy, run_id)
    assert [stands(academy, one) for one in ids] == [("pending", "offer")] * 2


def test_when_enrolling_closes_nobody_waits_any_more(academy: Academy) -> None:
    run_id, *_ = full_run(academy)
    enrollment_id = wait(academy, academy.person(), run_id)
    (due,) = academy.work(CLOSE_WAITLIST, run_id)
    (run,) = academy.rows("SELECT enrollment_closes_at FROM course_runs WHERE id = :id", id=run_id)
    assert due["due_at"] == run["enrollment_closes_at"]
    academy.execute_as_owner(
        "UPDATE course_runs SET enrollment_closes_at = now() - interval '1 second' WHERE id = :id",
        id=run_id,
    )
    academy.do_work(CLOSE_WAITLIST, run_id)
    assert stands(academy, enrollment_id)[0] == "cancelled"
    assert history(academy, enrollment_id) == ["run_full", "waitlist_closed"]


def test_a_waiting_list_that_is_open_longer_is_closed_later(academy: Academy) -> None:
    run_id, *_ = full_run(academy)
    enrollment_id = wait(academy, academy.person(), run_id)
    academy.do_work(CLOSE_WAITLIST, run_id)
    assert stands(academy, enrollment_id)[0] == "waitlisted"
    assert len(academy.work(CLOSE_WAITLIST, run_id)) == 1


def test_of_an_archived_run_nobody_waits(academy: Academy) -> None:
    run_id, *_ = full_run(academy)
    enrollment_id = wait(academy, academy.person(), run_id)
    answer = academy.app.test_client().patch(
        f"/api/v1/runs/{run_id}",
        base_url=f"http://{academy.slug}.localhost",
        headers=academy.person("admin").headers,
        json={"state": "archived"},
    )
    assert answer.status_code == 200, answer.text
    (due,) = academy.rows(
        "SELECT due_at <= now() AS is_due FROM platform.work"
        " WHERE kind = 'close_waitlist' AND subject_id = :id",
        id=run_id,
    )
    assert due["is_due"]
    academy.do_work(CLOSE_WAITLIST, run_id)
    assert stands(academy, enrollment_id)[0] == "cancelled"


def test_of_a_cancelled_run_nobody_waits(academy: Academy) -> None:
    run_id, *_ = full_run(academy)
    enrollment_id = wait(academy, academy.person(), run_id)
    body = {"reason": "The instructor has fallen ill."}
    answer = academy.post(f"/runs/{run_id}/cancel", academy.person("admin"), body)
    assert answer.status_code == 202, answer.text
    academy.do_work(CANCEL_RUN, run_id)
    assert stands(academy, enrollment_id)[0] == "cancelled"
    if academy.work(OFFER_SEATS, run_id):
        offer(academy, run_id)
    assert academy.seats_taken(run_id) == 0


def test_a_closed_run_has_no_waiting_list(academy: Academy) -> None:
    run_id = academy.run(capacity=1, opens_in=-40)
    assert ask(academy, academy.person(), run_id).get_json()["code"] == "enrollment_closed"
    assert academy.rows("SELECT id FROM enrollments WHERE run_id = :id", id=UUID(str(run_id))) == []
