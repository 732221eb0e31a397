"""Cancelling a run with workers that stop, meet or fail: everybody is given back once, or found."""

from __future__ import annotations

from uuid import UUID

import pytest

from jobs import runs as handler
from jobs.claims import claim
from jobs.context import HandBackError
from jobs.run import run_work
from lms.checkout.cancellations import end_enrollment
from lms.core.ids import derived_id
from lms.core.queue import CANCEL_RUN, SETTLE_PAYMENT, Doorbell
from tests.factories import books
from tests.factories.money import Academy, together
from tests.lms.checkout.cancelling import (
    buy,
    cancel,
    read,
    refunds_of,
    see_through,
    state_of,
    worker,
)


def test_more_than_are_done_at_once_are_asked_for_anew(
    academy: Academy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handler, "ENROLLMENTS_AT_ONCE", 2)
    run_id = academy.run()
    people = [buy(academy, run_id)[0] for _ in range(5)]
    cancel(academy, run_id)
    left = []
    while academy.work(CANCEL_RUN, run_id):
        academy.do_work(CANCEL_RUN, run_id)
        left.append(read(academy, run_id)["enrollments_left"])
    assert left == [3, 1, 0]
    assert [academy.balance(person) for person in people] == [4900] * 5
    academy.assert_books_balance()


def test_an_enrollment_that_cannot_be_ended_holds_up_nobody_else(
    academy: Academy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its history has the change already that ending it would write: a fault of ours."""
    monkeypatch.setattr(handler, "ENROLLMENTS_AT_ONCE", 2)
    run_id = academy.run()
    (unlucky, bad), *others = [buy(academy, run_id) for _ in range(5)]
    cancel(academy, run_id)
    enrollment_id = UUID(bad["enrollment"]["id"])
    (run,) = academy.rows("SELECT cancelled_at FROM course_runs WHERE id = :id", id=run_id)
    change_id = derived_id(run["cancelled_at"], enrollment_id)
    academy.execute_as_owner(
        "INSERT INTO enrollment_changes (id, enrollment_id, to_state, reason)"
        " VALUES (:id, :enrollment_id, 'active', 'misplaced')",
        id=change_id,
        enrollment_id=enrollment_id,
    )
    while read(academy, run_id)["enrollments_left"] > 1:
        academy.do_work(CANCEL_RUN, run_id)
    assert [academy.balance(person) for person, _ in others] == [4900] * 4
    assert academy.balance(unlucky) == 0

    (row,) = academy.work(CANCEL_RUN, run_id)
    run_work(worker(academy), row["id"])
    (failed,) = academy.work(CANCEL_RUN, run_id)
    assert (failed["attempts"], failed["error"].split(":")[0]) == (1, "IntegrityError")
    academy.execute_as_owner("DELETE FROM enrollment_changes WHERE id = :id", id=change_id)
    see_through(academy, run_id)
    assert academy.balance(unlucky) == 4900
    academy.assert_books_balance()


def test_a_worker_that_is_asked_to_stop_leaves_the_rest_to_another(academy: Academy) -> None:
    run_id = academy.run()
    people = [buy(academy, run_id)[0] for _ in range(3)]
    cancel(academy, run_id)
    (row,) = academy.work(CANCEL_RUN, run_id)
    answers = iter([False, True])
    with academy.database.transaction(academy.scope) as session:
        held = claim(session, academy.organization_id, row["id"], lease_seconds=60)
    assert held is not None
    with pytest.raises(HandBackError):
        handler.cancel_run(worker(academy, should_stop=lambda: next(answers)), held)
    assert read(academy, run_id)["enrollments_left"] == 2
    academy.execute_as_owner(
        "UPDATE platform.work SET state = 'waiting', lease_until = NULL WHERE id = :id",
        id=row["id"],
    )
    see_through(academy, run_id)
    assert [academy.balance(person) for person in people] == [4900] * 3
    academy.assert_books_balance()


def test_two_workers_at_the_same_enrollments_give_everything_back_once(academy: Academy) -> None:
    run_id = academy.run()
    bought = [buy(academy, run_id) for _ in range(4)]
    cancel(academy, run_id)
    doorbell = Doorbell(academy.settings.redis_url)

    def end(number: int) -> None:
        for _, purchase in bought[:: 1 if number % 2 else -1]:
            with academy.database.transaction(academy.scope) as session:
                end_enrollment(session, doorbell, UUID(purchase["enrollment"]["id"]))

    together(4, end)
    assert [academy.balance(person) for person, _ in bought] == [4900] * 4
    assert [len(refunds_of(academy, purchase)) for _, purchase in bought] == [1] * 4
    see_through(academy, run_id)
    academy.assert_books_balance()


def test_learners_who_leave_meanwhile_get_their_money_once(academy: Academy) -> None:
    run_id = academy.run()
    bought = [buy(academy, run_id) for _ in range(4)]
    cancel(academy, run_id)

    def race(number: int) -> None:
        if number == 0:
            see_through(academy, run_id)
        else:
            person, purchase = bought[number - 1]
            academy.post(f"/enrollments/{purchase['enrollment']['id']}/withdraw", person)

    together(5, race)
    assert [academy.balance(person) for person, _ in bought] == [4900] * 4
    assert read(academy, run_id)["enrollments_left"] == 0
    academy.assert_books_balance()


def test_an_enrollment_of_a_run_that_goes_on_is_left_alone(academy: Academy) -> None:
    run_id = academy.run()
    person, purchase = buy(academy, run_id)
    with academy.database.transaction(academy.scope) as session:
        doorbell = Doorbell(academy.settings.redis_url)
        end_enrollment(session, doorbell, UUID(purchase["enrollment"]["id"]))
    assert (state_of(academy, purchase)[0], academy.balance(person)) == ("active", 0)


def test_a_cancelled_run_leaves_books_that_agree(school: Academy) -> None:
    run_id = school.run()
    buy(school, run_id)
    buy(school, run_id, "provider", "tok_success")
    buy(school, run_id, "provider", "tok_pending")
    cancel(school, run_id)
    see_through(school, run_id)
    assert books.check(school).findings == []


def test_a_cancelled_run_that_nobody_works_off_is_found(school: Academy) -> None:
    run_id = school.run()
    buy(school, run_id)
    cancel(school, run_id)
    assert books.check(school).findings == []
    school.execute_as_owner("DELETE FROM platform.work WHERE subject_id = :id", id=run_id)
    (finding,) = books.check(school).findings
    assert (finding.check, finding.subject_type) == ("work_lost", "run")
    assert finding.subject_id == str(run_id)


def test_what_the_provider_will_not_give_back_stays_owed(school: Academy) -> None:
    run_id = school.run()
    _, purchase = buy(school, run_id, "provider", "tok_success")
    cancel(school, run_id)
    see_through(school, run_id)
    (refund,) = refunds_of(school, purchase)
    with school.refused("provider_down") as refusing:
        refusing.do_work(SETTLE_PAYMENT, refund["id"])
    assert refunds_of(school, purchase)[0]["state"] == "created"
    school.do_work(SETTLE_PAYMENT, refund["id"])
    assert refunds_of(school, purchase)[0]["state"] == "succeeded"
