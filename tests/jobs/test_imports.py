"""Workers that are killed in the middle of an import: each row has one effect, once."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from lms.core.ids import new_id
from tests.factories.importing import file_of, read_import, start
from tests.factories.jobs import Stack, children_of, kill_all, until
from tests.factories.money import Academy

SECONDS = 60
"""Deadline for what takes about ten."""

JOINED, NEW = 6000, 2000


def make_people(academy: Academy, tag: str) -> str:
    """Make people who have joined, and return a file with them and others."""
    academy.execute_as_owner(
        "INSERT INTO users (id, email, name, account_type, password_hash)"
        " SELECT gen_random_uuid(), 'p' || n || CAST(:tag AS text), 'P', 'student', 'set'"
        " FROM generate_series(1, :number) n",
        tag=f"-{tag}@acme.example",
        number=JOINED,
    )
    return file_of(*(f"p{n}-{tag}@acme.example,Somebody" for n in range(1, JOINED + NEW + 1)))


def effects(academy: Academy, run_id: UUID) -> dict[str, Any]:
    (found,) = academy.rows(
        "SELECT (SELECT count(*) FROM enrollments WHERE run_id = :run_id) AS enrollments,"
        " (SELECT count(*) FROM payments WHERE run_id = :run_id) AS payments,"
        " (SELECT taken FROM run_seats WHERE run_id = :run_id) AS seats,"
        " (SELECT count(*) FROM enrollment_changes) AS changes,"
        " (SELECT count(*) FROM audit_events WHERE action = 'enrollment.grant') AS granted,"
        " (SELECT count(*) FROM audit_events WHERE action = 'user.create') AS invited",
        run_id=run_id,
    )
    return found


@pytest.mark.parametrize("mode", ["partial", "all_or_nothing"])
def test_an_import_is_worked_off_once_though_its_workers_are_killed(
    stack: Stack, academy: Academy, mode: str
) -> None:
    admin, run_id = academy.person("admin"), academy.run()
    file = make_people(academy, new_id().hex[-12:])
    import_id = start(academy, admin, run_id, file, mode=mode)

    def found() -> dict[str, Any]:
        return read_import(academy, admin, import_id)

    def is_underway() -> bool:
        now = found()
        return now["rows_done"] > 0 if mode == "partial" else now["state"] == "running"

    stack.start("jobs.dispatch")
    worker = stack.start("jobs.worker", "default")
    until(is_underway, SECONDS)
    kill_all([*children_of(worker.pid), worker.pid])
    # In one look: the database may just be ending what the worker had sent.
    (killed,) = academy.rows(
        "SELECT i.state, i.enrolled + i.invited = s.taken AS agrees FROM learner_imports i"
        " JOIN run_seats s ON s.run_id = i.run_id WHERE i.id = :id",
        id=UUID(import_id),
    )
    assert killed == {"state": "running", "agrees": True}
    stack.start("jobs.worker", "default")
    until(lambda: found()["state"] == "done", SECONDS)

    assert (found()["enrolled"], found()["invited"], found()["refused"]) == (JOINED, NEW, 0)
    everybody = JOINED + NEW
    assert effects(academy, run_id) == {
        "enrollments": everybody,
        "payments": JOINED,
        "seats": everybody,
        "changes": everybody,
        "granted": everybody,
        "invited": NEW,
    }
    academy.assert_books_balance()
