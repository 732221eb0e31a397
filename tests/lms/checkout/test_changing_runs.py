"""Enrolling while the run changes, and while its seats are held by those who do not pay."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from lms.checkout.holds import make_room
from lms.checkout.orders import Order
from lms.checkout.purchase import enroll
from lms.core.ids import new_id
from lms.core.queue import EXPIRE_ENROLLMENT, SETTLE_PAYMENT
from lms.courses.errors import RunHasLearnersError
from lms.courses.operations.runs import update_run
from tests.factories.money import DEADLINE, Academy, together

ANOTHER_VERSION = """
    WITH version AS (
        INSERT INTO course_versions (id, course_id, number, state, published_at)
        SELECT :version_id, course_id, 2, 'published', now() FROM course_runs WHERE id = :run_id
        RETURNING id, course_id
    )
    INSERT INTO published_versions
           (version_id, course_id, content_hash, outline, rules, published_by)
    SELECT version.id, version.course_id, repeat('0', 64), '{}', '{}', p.published_by
      FROM version JOIN published_versions p ON p.course_id = version.course_id
"""


def another_version(academy: Academy, run_id: UUID) -> UUID:
    """Publish a second version of the run's course."""
    version_id = new_id()
    with academy.database.transaction(academy.scope) as session:
        values = {"version_id": version_id, "run_id": run_id}
        session.execute(text(ANOTHER_VERSION), values)
    return version_id


def overdue(academy: Academy, purchase: dict[str, Any]) -> None:
    academy.execute_as_owner(
        "UPDATE enrollments SET hold_until = now() - interval '1 second' WHERE id = :id",
        id=purchase["enrollment"]["id"],
    )


def test_who_enrolls_while_the_version_changes_gets_the_new_one(academy: Academy) -> None:
    admin, person = academy.person("admin"), academy.person(money=4900)
    run_id = academy.run(capacity=5)
    version_id = another_version(academy, run_id)
    with ThreadPoolExecutor(1) as pool:
        with academy.database.transaction(academy.scope) as session:
            changes = {"version_id": version_id}
            update_run(session, admin.actor, run_id, changes, expected=None)
            waiting = pool.submit(academy.enroll, person, run_id)
            academy.wait_for_a_lock()
        answer = waiting.result(DEADLINE)
    assert answer.status_code == 201
    assert answer.get_json()["enrollment"]["version_id"] == str(version_id)


def test_nobody_enrolls_in_a_run_that_is_just_archived(academy: Academy) -> None:
    admin, person = academy.person("admin"), academy.person(money=4900)
    run_id = academy.run()
    with ThreadPoolExecutor(1) as pool:
        with academy.database.transaction(academy.scope) as session:
            update_run(session, admin.actor, run_id, {"state": "archived"}, expected=None)
            waiting = pool.submit(academy.enroll, person, run_id)
            academy.wait_for_a_lock()
        answer = waiting.result(DEADLINE)
    assert (answer.status_code, answer.get_json()["code"]) == (409, "enrollment_closed")
    assert academy.seats_taken(run_id) == 0


def test_the_version_stays_for_one_who_is_just_enrolling(academy: Academy) -> None:
    admin, person = academy.person("admin"), academy.person(money=4900)
    run_id = academy.run()
    version_id = another_version(academy, run_id)

    def change() -> None:
        with academy.database.transaction(academy.scope) as session:
            changes = {"version_id": version_id}
            update_run(session, admin.actor, run_id, changes, expected=None)

    with ThreadPoolExecutor(1) as pool:
        with academy.database.transaction(academy.scope) as session:
            order = Order(payment_id=new_id(), run_id=run_id, method="wallet")
            purchase, _ = enroll(session, person.actor, order)
            waiting = pool.submit(change)
            academy.wait_for_a_lock()
        with pytest.raises(RunHasLearnersError):
            waiting.result(DEADLINE)
    assert purchase.enrollment.version_id != version_id


def test_a_change_of_the_version_waits_for_the_run_before_it_locks_the_seats(
    academy: Academy,
) -> None:
    admin, run_id = academy.person("admin"), academy.run()
    version_id = another_version(academy, run_id)

    def change() -> None:
        with academy.database.transaction(academy.scope) as session:
            changes = {"version_id": version_id}
            update_run(session, admin.actor, run_id, changes, expected=None)

    with ThreadPoolExecutor(1) as pool:
        with academy.database.transaction(academy.scope) as session:
            values = {"run_id": run_id}
            hold = text("SELECT id FROM course_runs WHERE id = :run_id FOR SHARE")
            session.execute(hold, values)
            waiting = pool.submit(change)
            academy.wait_for_a_lock()
            take = "SELECT taken FROM run_seats WHERE run_id = :run_id FOR NO KEY UPDATE NOWAIT"
            assert session.execute(text(take), values).scalar() == 0
        waiting.result(DEADLINE)


@pytest.mark.parametrize("change", ["archived", "version"])
def test_late_money_for_a_run_that_changed_is_given_back(academy: Academy, change: str) -> None:
    admin, person = academy.person("admin"), academy.person()
    run_id = academy.run()
    purchase = academy.enroll(person, run_id, "provider", token="tok_pending").get_json()
    overdue(academy, purchase)
    academy.do_work(EXPIRE_ENROLLMENT, purchase["enrollment"]["id"])
    changes: dict[str, Any] = {"state": "archived"}
    if change == "version":
        changes = {"version_id": another_version(academy, run_id)}
    with academy.database.transaction(academy.scope) as session:
        update_run(session, admin.actor, run_id, changes, expected=None)
    academy.settle_at_provider(academy.recorded_name(purchase["payment"]["id"]))
    academy.do_work(SETTLE_PAYMENT, purchase["payment"]["id"])
    refunds = academy.rows(
        "SELECT amount, reason FROM refunds WHERE payment_id = :id",
        id=UUID(purchase["payment"]["id"]),
    )
    assert refunds == [{"amount": 4900, "reason": "late_money"}]
    assert academy.seats_taken(run_id) == 0
    academy.assert_books_balance()


def test_a_full_run_gives_the_seats_of_those_who_did_not_pay_in_time(academy: Academy) -> None:
    run_id = academy.run(capacity=2)
    held = [
        academy.enroll(academy.person(), run_id, "provider", token="tok_pending").get_json()
        for _ in range(2)
    ]
    refused = academy.enroll(academy.person(money=4900), run_id).get_json()
    assert (refused["code"], refused["capacity"]) == ("run_full", 2)
    assert refused["next_hold_until"] == min(p["enrollment"]["hold_until"] for p in held)
    for purchase in held:
        overdue(academy, purchase)
    buyers = [academy.person(money=4900) for _ in range(4)]
    answers = together(4, lambda number: academy.enroll(buyers[number], run_id))
    assert sorted(answer.status_code for answer in answers) == [201, 201, 409, 409]
    states = academy.rows(
        "SELECT c.reason FROM enrollment_changes c JOIN enrollments e ON e.id = c.enrollment_id"
        " WHERE e.run_id = :run_id AND e.state = 'expired' AND c.to_state = 'expired'",
        run_id=run_id,
    )
    assert states == [{"reason": "hold_ran_out"}] * 2
    academy.assert_books_balance()


def test_holds_that_run_out_wait_for_whoever_changes_their_run(academy: Academy) -> None:
    run_id = academy.run(capacity=1)
    purchase = academy.enroll(academy.person(), run_id, "provider", token="tok_pending")
    overdue(academy, purchase.get_json())

    def expire() -> bool:
        with academy.database.transaction(academy.scope) as session:
            return make_room(session, run_id)

    with ThreadPoolExecutor(1) as pool:
        with academy.database.transaction(academy.scope) as session:
            hold = text("SELECT id FROM course_runs WHERE id = :id FOR NO KEY UPDATE")
            session.execute(hold, {"id": run_id})
            waiting = pool.submit(expire)
            academy.wait_for_a_lock()
            held = text("SELECT id FROM payments WHERE run_id = :id FOR NO KEY UPDATE NOWAIT")
            assert len(session.execute(held, {"id": run_id}).all()) == 1
        assert waiting.result(DEADLINE) is True
    academy.assert_books_balance()


def test_a_full_run_without_unpaid_seats_names_no_hold(academy: Academy) -> None:
    run_id = academy.run(capacity=1)
    academy.enroll(academy.person(money=4900), run_id)
    answer = academy.enroll(academy.person(), run_id, "provider", token="tok_success")
    assert (answer.status_code, answer.get_json()["next_hold_until"]) == (409, None)
