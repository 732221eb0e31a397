"""Steps that meet: what is accepted, extended, left or closed at the moment of being swept."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from jobs import waitlists
from lms.checkout import holds, settlement, withdrawals
from lms.checkout.applications import wait_for_seat
from lms.checkout.operations import start_purchase
from lms.checkout.orders import Order
from lms.core.clock import now
from lms.core.ids import new_id
from lms.core.queue import CLOSE_WAITLIST, EXPIRE_ENROLLMENT, OFFER_SEATS, Doorbell
from tests.factories.jobs import until
from tests.factories.money import DEADLINE, Academy
from tests.factories.people import Person
from tests.lms.checkout.test_late_money_waits import pay_late
from tests.lms.checkout.test_offers import offered
from tests.lms.checkout.waiting import (
    PRICE,
    accept,
    ask,
    full_run,
    leave,
    let_hold_run_out,
    offer,
    stands,
    wait,
)


def run_of(academy: Academy, enrollment_id: str) -> UUID:
    sql = "SELECT run_id FROM enrollments WHERE id = :id"
    return academy.rows(sql, id=UUID(enrollment_id))[0]["run_id"]


def at_once(step: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=step)
    thread.start()
    return thread


def accept_slowly(
    academy: Academy,
    person: Person,
    enrollment_id: str,
    taken: threading.Event,
    wait_for_end: Callable[[], Any],
) -> Callable[[], None]:
    """Accept an offer by the provider, in a transaction that ends after its hold has run out."""

    def step() -> None:
        with academy.database.transaction(academy.scope) as session:
            order = Order(
                payment_id=new_id(),
                run_id=run_of(academy, enrollment_id),
                method="provider",
                provider="sandbox",
                hold_seconds=1800,
                offer_id=UUID(enrollment_id),
            )
            doorbell = Doorbell(academy.settings.redis_url)
            start_purchase(session, doorbell, person.actor, order, token="tok_pending")
            taken.set()
            wait_for_end()

    return step


def wait_until(academy: Academy, condition: str, **values: Any) -> None:
    """Wait until something is so by the database's clock."""
    until(lambda: academy.rows(f"SELECT {condition} AS is_so", **values)[0]["is_so"], DEADLINE)


LAPSED = "(SELECT hold_until <= now() FROM enrollments WHERE id = :id)"
CLOSED = "(SELECT enrollment_closes_at <= now() FROM course_runs WHERE id = :id)"


def nearly_lapsed(academy: Academy) -> tuple[Person, str, UUID]:
    """An offer that holds for two seconds more."""
    person, enrollment_id = offered(academy)
    academy.execute_as_owner(
        "UPDATE enrollments SET hold_until = now() + interval '2 seconds' WHERE id = :id",
        id=enrollment_id,
    )
    return person, enrollment_id, run_of(academy, enrollment_id)


def test_who_leaves_while_accepting_leaves_no_open_payment(
    academy: Academy, monkeypatch: pytest.MonkeyPatch
) -> None:
    person, enrollment_id = offered(academy)
    find, answers = withdrawals._find, list[Any]()  # pyright: ignore[reportPrivateUsage]

    def racing(*args: Any) -> Any:
        found = find(*args)
        if not answers:
            answers.append(accept(academy, person, enrollment_id, "provider", token="tok_pending"))
        return found

    monkeypatch.setattr(withdrawals, "_find", racing)
    assert leave(academy, person, enrollment_id)["enrollment"]["state"] == "cancelled"
    assert answers[0].status_code == 202
    academy.assert_books_balance()
    run_id = run_of(academy, enrollment_id)
    again = ask(academy, person, run_id, payment={"method": "provider", "token": "tok_success"})
    assert again.status_code == 201, again.text


def test_an_offer_that_is_just_accepted_does_not_lapse(academy: Academy) -> None:
    person, enrollment_id, run_id = nearly_lapsed(academy)
    taken, done = threading.Event(), threading.Event()
    ends = partial(done.wait, DEADLINE)
    thread = at_once(accept_slowly(academy, person, enrollment_id, taken, ends))
    assert taken.wait(DEADLINE)
    wait_until(academy, LAPSED, id=UUID(enrollment_id))
    with academy.database.transaction(academy.scope) as session:
        holds.make_room(session, run_id)
    done.set()
    thread.join()
    assert stands(academy, enrollment_id) == ("pending", "payment")
    academy.assert_books_balance()


def test_the_clock_and_who_accepts_do_not_wait_for_one_another(academy: Academy) -> None:
    person, enrollment_id, _ = nearly_lapsed(academy)
    taken, ends = threading.Event(), academy.wait_for_a_lock
    thread = at_once(accept_slowly(academy, person, enrollment_id, taken, ends))
    assert taken.wait(DEADLINE)
    wait_until(academy, LAPSED, id=UUID(enrollment_id))
    academy.do_work(EXPIRE_ENROLLMENT, enrollment_id)
    thread.join()
    assert stands(academy, enrollment_id) == ("pending", "payment")
    assert len(academy.work(EXPIRE_ENROLLMENT, enrollment_id)) == 1
    academy.assert_books_balance()


@pytest.mark.parametrize("is_paid", [False, True])
def test_a_hold_that_is_just_extended_is_not_given_back(
    academy: Academy, monkeypatch: pytest.MonkeyPatch, is_paid: bool
) -> None:
    if is_paid:
        run_id = academy.run(capacity=1)
        body = {"payment": {"method": "provider", "token": "tok_pending"}}
        enrollment_id = ask(academy, academy.person(), run_id, **body).get_json()["enrollment"][
            "id"
        ]
    else:
        _, enrollment_id = offered(academy)
        run_id = run_of(academy, enrollment_id)
    let_hold_run_out(academy, enrollment_id)
    admin, step = academy.person("admin"), "_expire_overdue" if is_paid else "_lapse"
    real, answers = getattr(holds, step), list[Any]()

    def racing(*args: Any) -> Any:
        body = {"until": (now() + timedelta(days=3)).isoformat(), "reason": "Asked for it."}
        answers.append(academy.post(f"/enrollments/{enrollment_id}/extend", admin, body))
        return real(*args)

    monkeypatch.setattr(holds, step, racing)
    with academy.database.transaction(academy.scope) as session:
        if is_paid:
            holds.make_room(session, run_id)
        else:
            assert not holds.expire(session, UUID(enrollment_id))
    assert answers[0].status_code == 200, answers[0].text
    assert stands(academy, enrollment_id)[0] == "pending"
    academy.assert_books_balance()


def test_many_offers_that_lapse_together_do_not_wait_for_one_another(academy: Academy) -> None:
    run_id = academy.run(capacity=2)
    seated = [academy.person(money=PRICE) for _ in range(2)]
    ids = [academy.enroll(one, run_id).get_json()["enrollment"]["id"] for one in seated]
    waiting = [wait(academy, academy.person(), run_id) for _ in range(2)]
    for person, enrollment_id in zip(seated, ids, strict=True):
        leave(academy, person, enrollment_id)
    offer(academy, run_id)
    for enrollment_id in waiting:
        let_hold_run_out(academy, enrollment_id)
    held, passed, errors = threading.Event(), threading.Event(), list[Exception]()

    def job() -> None:
        try:
            with academy.database.transaction(academy.scope) as session:
                session.execute(holds.HOLD_LAPSED, {"run_id": run_id}).all()
                held.set()
                passed.wait(DEADLINE)
                for enrollment_id in reversed(waiting):
                    holds.expire(session, UUID(enrollment_id))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is shown
            errors.append(error)

    thread = at_once(job)
    held.wait(DEADLINE)
    with academy.database.transaction(academy.scope) as session:
        holds.make_room(session, run_id)
    passed.set()
    thread.join()
    assert errors == []
    assert [stands(academy, one)[0] for one in waiting] == ["expired"] * 2
    academy.assert_books_balance()


def test_a_seat_that_comes_free_while_late_money_joins_is_offered(
    academy: Academy, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = settlement._wait_again  # pyright: ignore[reportPrivateUsage]

    def racing(session: Any, payment_id: UUID, enrollment_id: UUID) -> bool:
        (seated,) = academy.rows(
            "SELECT id FROM enrollments WHERE state = 'active' AND run_id ="
            " (SELECT run_id FROM enrollments WHERE id = :id)",
            id=enrollment_id,
        )
        leave(academy, academy.person("admin"), str(seated["id"]))
        return again(session, payment_id, enrollment_id)

    monkeypatch.setattr(settlement, "_wait_again", racing)
    late = pay_late(academy)
    offer(academy, late["run_id"])
    assert stands(academy, late["id"])[0] == "active"


def test_who_joins_at_the_last_moment_does_not_wait_for_ever(academy: Academy) -> None:
    run_id, _, _ = full_run(academy)
    other = academy.person()
    leave(academy, other, wait(academy, other, run_id))
    academy.execute_as_owner(
        "UPDATE course_runs SET enrollment_closes_at = now() + interval '2 seconds' WHERE id = :id",
        id=run_id,
    )
    joined, person = threading.Event(), academy.person()
    order = Order(payment_id=new_id(), run_id=run_id, method="wallet")

    def joining() -> None:
        with academy.database.transaction(academy.scope) as session:
            wait_for_seat(session, person.actor, order, pay_automatically=False)
            joined.set()
            academy.wait_for_a_lock()

    thread = at_once(joining)
    assert joined.wait(DEADLINE)
    wait_until(academy, CLOSED, id=run_id)
    academy.do_work(CLOSE_WAITLIST, run_id)
    thread.join()
    (seats,) = academy.rows("SELECT waitlisted FROM run_seats WHERE run_id = :id", id=run_id)
    assert seats["waitlisted"] == 0
    academy.assert_books_balance()


def test_who_asks_again_while_the_seat_is_taken_for_them_is_enrolled_already(
    academy: Academy, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id, first, first_id = full_run(academy, price=0)
    person = academy.person()
    enrollment_id = wait(academy, person, run_id, "free")
    leave(academy, first, first_id)
    take, answers = waitlists._take, list[Any]()  # pyright: ignore[reportPrivateUsage]

    def racing(*args: Any) -> None:
        thread = at_once(lambda: answers.append(ask(academy, person, run_id, "free")))
        take(*args)
        thread.join()

    monkeypatch.setattr(waitlists, "_take", racing)
    offer(academy, run_id)
    assert answers[0].get_json()["code"] == "already_enrolled"
    assert stands(academy, enrollment_id)[0] == "active"


def test_one_whose_seat_cannot_be_taken_holds_up_nobody_else(academy: Academy) -> None:
    run_id, first, first_id = full_run(academy, price=0)
    second = academy.person()
    wait(academy, second, run_id, "free")
    third_id = wait(academy, academy.person(), run_id, "free")
    academy.execute_as_owner(
        "INSERT INTO payments (id, user_id, run_id, amount, currency, method, state, succeeded_at)"
        " VALUES (gen_random_uuid(), :user_id, :run_id, 0, 'EUR', 'free', 'succeeded', now())",
        user_id=second.id,
        run_id=run_id,
    )
    academy.execute_as_owner("UPDATE run_seats SET capacity = 2 WHERE run_id = :id", id=run_id)
    leave(academy, first, first_id)
    offer(academy, run_id)
    assert stands(academy, third_id)[0] == "active"
    academy.execute_as_owner("DELETE FROM payments WHERE user_id = :id", id=second.id)


def test_a_counter_that_is_too_high_keeps_no_worker_busy(academy: Academy) -> None:
    run_id, first, first_id = full_run(academy)
    wait(academy, academy.person(), run_id)
    academy.execute_as_owner(
        "UPDATE run_seats SET waitlisted = 2, capacity = 5 WHERE run_id = :id", id=run_id
    )
    leave(academy, first, first_id)
    offer(academy, run_id)
    assert academy.work(OFFER_SEATS, run_id) == []
    academy.execute_as_owner("UPDATE run_seats SET waitlisted = 0 WHERE run_id = :id", id=run_id)


def test_more_seats_than_are_given_at_once_are_given_in_turns(
    academy: Academy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waitlists, "SEATS_AT_ONCE", 2)
    run_id, _, _ = full_run(academy, price=0)
    ids = [wait(academy, academy.person(), run_id, "free") for _ in range(5)]
    answer = academy.app.test_client().patch(
        f"/api/v1/runs/{run_id}",
        base_url=f"http://{academy.slug}.localhost",
        headers=academy.person("admin").headers,
        json={"capacity": None},
    )
    assert answer.status_code == 200, answer.text
    turns = 0
    while academy.work(OFFER_SEATS, run_id):
        offer(academy, run_id)
        turns += 1
    assert turns == 3
    assert [stands(academy, one)[0] for one in ids] == ["active"] * 5


def test_a_closing_date_that_comes_sooner_ends_the_waiting_sooner(academy: Academy) -> None:
    run_id, _, _ = full_run(academy)
    wait(academy, academy.person(), run_id)
    closes_at = now() + timedelta(days=1)
    answer = academy.app.test_client().patch(
        f"/api/v1/runs/{run_id}",
        base_url=f"http://{academy.slug}.localhost",
        headers=academy.person("admin").headers,
        json={"enrollment_closes_at": closes_at.isoformat()},
    )
    assert answer.status_code == 200, answer.text
    (work,) = academy.work(CLOSE_WAITLIST, run_id)
    assert work["due_at"] == closes_at
