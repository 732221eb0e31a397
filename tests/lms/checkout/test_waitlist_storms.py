"""Many who want few seats, and many who leave at once: nobody is skipped, nothing is oversold."""

from __future__ import annotations

from uuid import UUID

from lms.core.queue import OFFER_SEATS
from tests.factories.money import Academy, together
from tests.lms.checkout.storms import no_deadlock, one, tally, told
from tests.lms.checkout.waiting import ask, leave

LEARNERS = 64
SEATS = 10

FIRST_WAITING = """
    SELECT min(waitlisted_at) FROM enrollments WHERE run_id = :id AND state = 'waitlisted'
"""
LAST_OFFERED = """
    SELECT max(waitlisted_at) FROM enrollments WHERE run_id = :id AND state <> 'waitlisted'
"""


def count(academy: Academy, run_id: UUID, state: str) -> int:
    sql = "SELECT count(*) FROM enrollments WHERE run_id = :id AND state = :state"
    return one(academy, sql, id=run_id, state=state)


def test_who_gets_no_seat_waits_in_order(academy: Academy) -> None:
    run_id = academy.run(price=0, capacity=SEATS)
    people = [academy.person() for _ in range(LEARNERS)]
    with no_deadlock(academy):
        outcomes = together(
            LEARNERS, lambda number: told(lambda: ask(academy, people[number], run_id, "free"))
        )
    assert tally(outcomes) == {201: SEATS, 202: LEARNERS - SEATS}
    assert academy.seats_taken(run_id) == count(academy, run_id, "active") == SEATS
    assert count(academy, run_id, "waitlisted") == LEARNERS - SEATS
    academy.assert_books_balance()


def test_as_many_as_leave_at_once_are_promoted(academy: Academy) -> None:
    leaving, waiting = 20, 30
    run_id = academy.run(price=0, capacity=leaving)
    seated = [academy.person() for _ in range(leaving)]
    ids = [
        academy.enroll(person, run_id, "free").get_json()["enrollment"]["id"] for person in seated
    ]
    for _ in range(waiting):
        assert ask(academy, academy.person(), run_id, "free").status_code == 202
    with no_deadlock(academy):
        together(leaving, lambda number: leave(academy, seated[number], ids[number]))
        academy.do_work(OFFER_SEATS, run_id)
    assert academy.work(OFFER_SEATS, run_id) == []
    assert academy.seats_taken(run_id) == count(academy, run_id, "active") == leaving
    assert count(academy, run_id, "waitlisted") == waiting - leaving
    assert one(academy, LAST_OFFERED, id=run_id) < one(academy, FIRST_WAITING, id=run_id)
    academy.assert_books_balance()


def test_seats_that_come_free_while_others_are_offered_are_not_missed(academy: Academy) -> None:
    leaving = 12
    run_id = academy.run(price=0, capacity=leaving)
    seated = [academy.person() for _ in range(leaving)]
    ids = [
        academy.enroll(person, run_id, "free").get_json()["enrollment"]["id"] for person in seated
    ]
    for _ in range(leaving):
        assert ask(academy, academy.person(), run_id, "free").status_code == 202

    def step(number: int) -> None:
        if number < leaving:
            leave(academy, seated[number], ids[number])
            return
        for _ in range(leaving):
            if academy.work(OFFER_SEATS, run_id):
                academy.do_work(OFFER_SEATS, run_id)

    with no_deadlock(academy):
        together(leaving + 1, step)
        while academy.work(OFFER_SEATS, run_id):
            academy.do_work(OFFER_SEATS, run_id)
    assert count(academy, run_id, "waitlisted") == 0
    assert academy.seats_taken(run_id) == count(academy, run_id, "active") == leaving
    academy.assert_books_balance()
