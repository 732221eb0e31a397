"""Imports that are killed, overtaken and raced: each row has one effect, and all or nothing is."""

from __future__ import annotations

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from lms.checkout.imports import enrolling, report, work
from tests.factories.accounts import held
from tests.factories.importing import (
    IMPORT,
    file_of,
    joined,
    read_import,
    rows_of,
    run_import,
    start,
    work_off,
)
from tests.factories.log_lines import written
from tests.factories.money import Academy, together
from tests.factories.people import Person
from tests.factories.statements import counted


def file_for(people: list[Person]) -> str:
    return file_of(*(person.email for person in people), header="email")


def effects(academy: Academy, run_id: UUID) -> dict[str, int]:
    """How many rows of each kind a run's imports have left."""
    (found,) = academy.rows(
        "SELECT (SELECT count(*) FROM enrollments WHERE run_id = :run_id) AS enrollments,"
        " (SELECT count(*) FROM payments WHERE run_id = :run_id) AS payments,"
        " (SELECT taken FROM run_seats WHERE run_id = :run_id) AS seats,"
        " (SELECT count(*) FROM enrollment_changes c JOIN enrollments e ON e.id = c.enrollment_id"
        "   WHERE e.run_id = :run_id) AS changes,"
        " (SELECT count(*) FROM audit_events WHERE action = 'enrollment.grant'"
        "   AND after ->> 'run_id' = CAST(:run_id AS text)) AS audited",
        run_id=run_id,
    )
    return found


def each(number: int) -> dict[str, int]:
    return dict.fromkeys(("enrollments", "payments", "seats", "changes", "audited"), number)


@pytest.fixture
def admin(academy: Academy) -> Person:
    return academy.person("admin")


@pytest.fixture
def by_twos(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let imports do two rows at a time."""
    monkeypatch.setattr(work, "ROWS_AT_ONCE", 2)


def stopping_after(checks: int) -> Callable[[], bool]:
    """Let a worker be asked to stop once it has looked so often."""
    answers = iter([False] * checks)
    return lambda: next(answers, True)


@pytest.mark.usefixtures("by_twos")
def test_progress_is_seen_while_an_import_runs_and_a_stopped_one_goes_on(
    academy: Academy, admin: Person
) -> None:
    run_id, people = academy.run(), joined(academy, 5)
    import_id = start(academy, admin, run_id, file_for(people))
    work_off(academy, import_id, should_stop=stopping_after(2))
    running = read_import(academy, admin, import_id)
    assert (running["state"], running["rows_done"], running["enrolled"]) == ("running", 4, 4)
    work_off(academy, import_id)
    assert read_import(academy, admin, import_id)["state"] == "done"
    assert effects(academy, run_id) == each(5)


@pytest.mark.usefixtures("by_twos")
@pytest.mark.parametrize(("mode", "kept"), [("partial", 2), ("all_or_nothing", 0)])
def test_what_breaks_leaves_whole_steps_and_is_gone_on_with(
    academy: Academy, admin: Person, monkeypatch: pytest.MonkeyPatch, mode: str, kept: int
) -> None:
    run_id, people = academy.run(), joined(academy, 5)
    import_id = start(academy, admin, run_id, file_for(people), mode=mode)
    accept, calls = report.accept, iter(range(100))

    def breaking(*arguments: Any) -> None:
        accept(*arguments)
        if next(calls) == kept // 2:
            raise RuntimeError("killed")

    monkeypatch.setattr(report, "accept", breaking)
    assert work_off(academy, import_id)["state"] == "failed"
    failed = read_import(academy, admin, import_id)
    assert (failed["state"], failed["failure"], failed["enrolled"]) == ("failed", "gave_up", kept)
    assert effects(academy, run_id) == each(kept)

    monkeypatch.setattr(report, "accept", accept)
    academy.execute_as_owner(
        "UPDATE platform.work SET state = 'waiting', attempts = 0, finished_at = NULL"
        " WHERE subject_id = :id",
        id=UUID(import_id),
    )
    academy.do_work(IMPORT, import_id)
    done = read_import(academy, admin, import_id)
    assert (done["state"], done["failure"], done["enrolled"]) == ("done", None, 5)
    assert effects(academy, run_id) == each(5)


def test_work_that_fails_tells_operators_nobodys_address(academy: Academy, admin: Person) -> None:
    run_id, people = academy.run(), joined(academy, 2)
    import_id = start(academy, admin, run_id, file_for(people))
    logged = io.BytesIO()
    hold = text("SELECT id FROM users WHERE id = :id FOR UPDATE")
    with written("json", logged), academy.database.transaction(academy.scope) as session:
        session.execute(hold, {"id": people[0].id})
        failed = work_off(academy, import_id)
    assert "LockNotAvailable" in failed["error"]
    assert "LockNotAvailable" in logged.getvalue().decode()
    assert "@" not in failed["error"] + logged.getvalue().decode()


def test_work_that_is_done_again_changes_nothing(academy: Academy, admin: Person) -> None:
    run_id, people = academy.run(), joined(academy, 3)
    done = run_import(academy, admin, run_id, file_for(people))
    academy.execute_as_owner(
        "UPDATE platform.work SET state = 'waiting', finished_at = NULL WHERE subject_id = :id",
        id=UUID(done["id"]),
    )
    academy.do_work(IMPORT, done["id"])
    assert read_import(academy, admin, done["id"]) == done
    assert effects(academy, run_id) == each(3)


def a_purchase(run_id: UUID, person: Person) -> str:
    """What a purchase writes before it commits."""
    return (
        "WITH paid AS (INSERT INTO payments (id, user_id, run_id, amount, currency, method, state,"
        f" succeeded_at, refund_policy) SELECT gen_random_uuid(), '{person.id}', id, 0, currency,"
        " 'free', 'succeeded', now(), refund_policy FROM course_runs"
        f" WHERE id = '{run_id}' RETURNING id, run_id, user_id),"
        " seat AS (UPDATE run_seats SET taken = taken + 1 FROM paid"
        " WHERE run_seats.run_id = paid.run_id)"
        " INSERT INTO enrollments (id, user_id, run_id, version_id, payment_id, state,"
        " activated_at) SELECT gen_random_uuid(), user_id, run_id, r.version_id, paid.id,"
        " 'active', now() FROM paid JOIN course_runs r ON r.id = run_id"
    )


@pytest.mark.parametrize(
    ("mode", "state", "seats"), [("partial", "done", 3), ("all_or_nothing", "failed", 1)]
)
def test_somebody_who_enrolls_at_the_same_moment_is_refused_in_the_file(
    academy: Academy, admin: Person, mode: str, state: str, seats: int
) -> None:
    run_id, people = academy.run(), joined(academy, 3)
    import_id = start(academy, admin, run_id, file_for(people), mode=mode)
    with ThreadPoolExecutor(1) as pool, held(academy.database, academy.scope) as purchase:
        purchase.sql(a_purchase(run_id, people[1]))
        waiting = pool.submit(academy.do_work, IMPORT, import_id)
        purchase.wait_until_in_the_way_of(waiting)
    waiting.result()
    assert read_import(academy, admin, import_id)["state"] == state
    refused = rows_of(academy, admin, import_id, outcome="refused")
    assert [(row["line"], row["code"]) for row in refused] == [(3, "already_enrolled")]
    assert academy.seats_taken(run_id) == seats
    academy.assert_books_balance()


def test_the_last_seat_goes_to_one_of_the_two_who_take_it_at_once(
    academy: Academy, admin: Person
) -> None:
    run_id, (ada, other) = academy.run(capacity=1), joined(academy, 2)
    import_id = start(academy, admin, run_id, file_for([ada]), mode="all_or_nothing")
    with ThreadPoolExecutor(1) as pool, held(academy.database, academy.scope) as purchase:
        purchase.sql(a_purchase(run_id, other))
        waiting = pool.submit(academy.do_work, IMPORT, import_id)
        purchase.wait_until_in_the_way_of(waiting)
    waiting.result()
    assert read_import(academy, admin, import_id)["state"] == "failed"
    [row] = rows_of(academy, admin, import_id)
    assert row["code"] == "run_full"
    academy.assert_books_balance()


@pytest.mark.usefixtures("by_twos")
def test_imports_and_learners_who_race_for_seats_fill_the_run_exactly(
    academy: Academy, admin: Person
) -> None:
    capacity = 12
    run_id = academy.run(price=0, capacity=capacity)
    crowds = [joined(academy, 8) for _ in range(3)]
    shared = joined(academy, 4)
    imports = [start(academy, admin, run_id, file_for([*crowd, *shared])) for crowd in crowds[:2]]

    def step(number: int) -> None:
        if number < 2:
            academy.do_work(IMPORT, imports[number])
        else:
            for person in (crowds[2] + shared)[number::2]:
                assert academy.enroll(person, run_id, "free").status_code in (201, 409)

    together(4, step)
    assert academy.seats_taken(run_id) == capacity
    academy.assert_books_balance()
    for import_id in imports:
        found = read_import(academy, admin, import_id)
        assert (found["state"], found["rows_done"]) == ("done", 12)


def test_two_files_that_name_the_same_people_in_another_order_wait_for_each_other(
    academy: Academy, admin: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(enrolling, "ROWS_A_STATEMENT", 1)
    run_id, people = academy.run(), joined(academy, 8)
    imports = [
        start(academy, admin, run_id, file_for(file), mode="all_or_nothing")
        for file in (people, people[::-1])
    ]
    together(2, lambda number: academy.do_work(IMPORT, imports[number]))
    states = sorted(read_import(academy, admin, one)["state"] for one in imports)
    assert states == ["done", "failed"]
    assert effects(academy, run_id) == each(8)


def test_all_accounts_are_made_before_anybody_is_enrolled(
    academy: Academy, admin: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else two imports wait for each other: one for an account, the other for an enrollment."""
    monkeypatch.setattr(enrolling, "ROWS_A_STATEMENT", 1)
    run_id, people = academy.run(), joined(academy, 3)
    new = [f"{letter}-{run_id.hex}@acme.example,New" for letter in "az"]
    file = file_of(*new, *(f"{person.email}," for person in people))
    import_id = UUID(start(academy, admin, run_id, file, mode="all_or_nothing"))
    database = academy.app.extensions["edge"].database
    with database.transaction(academy.scope) as session:
        work.begin(session, import_id)
        work.check(session, import_id)
        with counted(academy.app) as statements:
            work.enroll(session, import_id, after=None, most=1)
    accounts, enrollments = (
        [place for place, sent in enumerate(statements) if f"INSERT INTO {table}" in sent]
        for table in ("users", "enrollments")
    )
    assert (len(accounts), len(enrollments)) == (2, 5)
    assert max(accounts) < min(enrollments)


def test_a_step_takes_as_many_statements_however_many_rows_it_does(
    academy: Academy, admin: Person
) -> None:
    database = academy.app.extensions["edge"].database
    sent: list[int] = []
    for number in (2, 60):
        run_id = academy.run()
        file = file_of(
            *(f"{person.email}," for person in joined(academy, number)),
            *(f"new-{run_id.hex}-{place}@acme.example,New" for place in range(number)),
        )
        import_id = UUID(start(academy, admin, run_id, file))
        with counted(academy.app) as statements:
            for step in (work.begin, work.make_room, work.check):
                with database.transaction(academy.scope) as session:
                    step(session, import_id)
            with database.transaction(academy.scope) as session:
                assert work.enroll(session, import_id, after=None, most=200).finished
        assert academy.seats_taken(run_id) == 2 * number
        sent.append(len(statements))
    assert sent[0] == sent[1]
