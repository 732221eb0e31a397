from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import get_args
from uuid import UUID

import pytest
from sqlalchemy import text

from lms.core.errors import NotFoundError
from lms.core.ids import new_id
from lms.enrollments import operations
from lms.enrollments.errors import RunFullError, TransitionNotAllowedError
from lms.enrollments.models import SEATED_STATES
from lms.enrollments.transitions import (
    TRANSITIONS,
    Change,
    Pending,
    State,
    move,
    told,
    try_move,
)
from tests.factories.money import DEADLINE, Academy, together

STATES: tuple[State, ...] = get_args(State)
BECAUSE = Change("test")


def enrollment_in(academy: Academy, state: State, *, capacity: int | None = None) -> dict[str, str]:
    """An enrollment put into a state from behind, its seat with it."""
    answer = academy.enroll(academy.person(), academy.run(price=0, capacity=capacity), "free")
    enrollment = answer.get_json()["enrollment"]
    academy.execute_as_owner(
        "UPDATE enrollments SET state = :state, completed_at = now(), waitlisted_at = now(),"
        " awaiting = CASE WHEN :state = 'pending' THEN 'payment' END WHERE id = :id",
        state=state,
        id=enrollment["id"],
    )
    academy.execute_as_owner(
        "UPDATE run_seats SET taken = :taken, waitlisted = :waitlisted WHERE run_id = :run_id",
        taken=int(state in SEATED_STATES),
        waitlisted=int(state == "waitlisted"),
        run_id=enrollment["run_id"],
    )
    return enrollment


def move_to(academy: Academy, enrollment_id: str, state: State) -> None:
    with academy.database.transaction(academy.scope) as session:
        if state == "pending":
            offer = Pending("offer", hold_seconds=3600)
            if try_move(session, UUID(enrollment_id), state, BECAUSE, pending=offer):
                return
        move(session, UUID(enrollment_id), state, BECAUSE)


def state_of(academy: Academy, enrollment_id: str) -> str:
    sql = "SELECT state FROM enrollments WHERE id = :id"
    return academy.rows(sql, id=enrollment_id)[0]["state"]


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (
            "cancelled",
            "cancelled",
            (
                "This enrollment has ended: it was cancelled before it was active; it cannot be"
                " cancelled again."
            ),
        ),
        ("completed", "withdrawn", "This enrollment is completed; it cannot be withdrawn."),
        ("active", "active", "This enrollment is active; it cannot be activated again."),
    ],
)
def test_a_step_that_is_not_possible_is_told_in_plain_words(
    before: State, after: State, words: str
) -> None:
    assert told(before, after) == words


def test_there_are_words_for_every_step() -> None:
    for before, after in product(STATES, STATES):
        assert told(before, after).startswith("This enrollment ")


@pytest.mark.parametrize(
    ("before", "after"),
    [(before, after) for before, after in product(STATES, STATES) if after in TRANSITIONS[before]],
)
def test_each_step_of_the_table_is_taken_with_its_seat_and_its_history(
    academy: Academy, before: State, after: State
) -> None:
    enrollment = enrollment_in(academy, before)
    move_to(academy, enrollment["id"], after)
    assert state_of(academy, enrollment["id"]) == after
    assert academy.seats_taken(UUID(enrollment["run_id"])) == int(after in SEATED_STATES)
    sql = "SELECT waitlisted FROM run_seats WHERE run_id = :run_id"
    (seats,) = academy.rows(sql, run_id=enrollment["run_id"])
    assert seats["waitlisted"] == int(after == "waitlisted")
    changes = academy.rows(
        "SELECT from_state, to_state, reason FROM enrollment_changes"
        " WHERE enrollment_id = :id ORDER BY id",
        id=enrollment["id"],
    )
    assert changes[-1] == {"from_state": before, "to_state": after, "reason": "test"}


@pytest.mark.parametrize("before", STATES)
def test_every_other_step_is_refused_with_what_is_allowed(academy: Academy, before: State) -> None:
    enrollment = enrollment_in(academy, before)
    for after in STATES:
        if after in TRANSITIONS[before]:
            continue
        with pytest.raises(TransitionNotAllowedError) as refusal:
            move_to(academy, enrollment["id"], after)
        assert refusal.value.params["allowed"] == sorted(TRANSITIONS[before])
    assert state_of(academy, enrollment["id"]) == before


def test_an_enrollment_does_not_come_back_into_a_full_run(academy: Academy) -> None:
    enrollment = enrollment_in(academy, "expired", capacity=1)
    academy.enroll(academy.person(), UUID(enrollment["run_id"]), "free")
    with pytest.raises(RunFullError):
        move_to(academy, enrollment["id"], "active")
    assert state_of(academy, enrollment["id"]) == "expired"


def test_an_enrollment_that_is_not_there_cannot_change(academy: Academy) -> None:
    with pytest.raises(NotFoundError):
        move_to(academy, str(new_id()), "active")


def test_of_many_changes_at_once_one_happens(academy: Academy) -> None:
    enrollment = enrollment_in(academy, "active")

    def withdraw(_number: int) -> bool:
        with academy.database.transaction(academy.scope) as session:
            return try_move(session, UUID(enrollment["id"]), "withdrawn", BECAUSE)

    assert sum(together(4, withdraw)) == 1
    assert academy.seats_taken(UUID(enrollment["run_id"])) == 0


def test_a_change_that_waited_for_another_goes_on_from_what_that_left(academy: Academy) -> None:
    enrollment = enrollment_in(academy, "active")
    waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")

    def somebody_waits() -> bool:
        with academy.admin_engine.connect() as connection:
            return connection.execute(waiting).scalar_one() > 0

    with ThreadPoolExecutor(1) as pool:
        with academy.database.transaction(academy.scope) as session:
            move(session, UUID(enrollment["id"]), "suspended", BECAUSE)
            second = pool.submit(move_to, academy, enrollment["id"], "withdrawn")
            deadline = time.monotonic() + DEADLINE
            while not somebody_waits():
                assert time.monotonic() < deadline, "the second change did not wait"
        second.result(DEADLINE)
    (last,) = academy.rows(
        "SELECT from_state, to_state FROM enrollment_changes WHERE enrollment_id = :id"
        " ORDER BY id DESC LIMIT 1",
        id=enrollment["id"],
    )
    assert last == {"from_state": "suspended", "to_state": "withdrawn"}
    assert academy.seats_taken(UUID(enrollment["run_id"])) == 0


def test_completing_again_keeps_the_first_date(academy: Academy) -> None:
    enrollment = enrollment_in(academy, "active")
    enrollment_id = UUID(enrollment["id"])
    academy.execute_as_owner(
        "UPDATE enrollments SET completed_at = NULL WHERE id = :id", id=enrollment_id
    )
    seen = []
    for rules_hash in ("first", "second"):
        with academy.database.transaction(academy.scope) as session:
            done = operations.complete(session, enrollment_id, rules_hash=rules_hash)
            seen.append((done.state, done.completed_at, done.completed_rules_hash))
    assert seen[0] == seen[1]
    assert (seen[0][0], seen[0][2]) == ("completed", "first")
    assert seen[0][1] is not None


def test_a_withdrawn_enrollment_is_not_completed(academy: Academy) -> None:
    enrollment = enrollment_in(academy, "withdrawn")
    with academy.database.transaction(academy.scope) as session:
        found = operations.complete(session, UUID(enrollment["id"]), rules_hash="x")
    assert found.state == "withdrawn"
