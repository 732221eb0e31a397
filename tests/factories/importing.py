"""Files of learners, and imports that are worked off as workers do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from jobs.context import JobContext
from jobs.run import run_work
from lms.compose import create_storage
from lms.core.queue import Doorbell
from tests.factories.money import Academy
from tests.factories.people import Person

REASON = "Paid by invoice 2027-14."
IMPORT = "import_learners"


def file_of(*rows: str, header: str = "email,name") -> str:
    """Return a file with these rows."""
    return "\n".join((header, *rows, ""))


def joined(academy: Academy, count: int = 1) -> list[Person]:
    """Make people who have accepted their invitation."""
    people = [academy.person() for _ in range(count)]
    academy.execute_as_owner(
        "UPDATE users SET password_hash = 'set' WHERE id = ANY(:ids)",
        ids=[person.id for person in people],
    )
    return people


def start(academy: Academy, actor: Person, run_id: UUID, csv: str, **options: Any) -> str:
    """Ask for an import; returns its id."""
    body = {"csv": csv, "mode": "partial", "reason": REASON, **options}
    answer = academy.post(f"/runs/{run_id}/learner-imports", actor, body)
    assert answer.status_code == 202, answer.get_json()
    return answer.get_json()["id"]


def run_import(
    academy: Academy, actor: Person, run_id: UUID, csv: str, **options: Any
) -> dict[str, Any]:
    """Import a file to the end; returns the import."""
    import_id = start(academy, actor, run_id, csv, **options)
    academy.do_work(IMPORT, import_id)
    return read_import(academy, actor, import_id)


def read_import(academy: Academy, actor: Person, import_id: str) -> dict[str, Any]:
    return academy.get(f"/learner-imports/{import_id}", actor).get_json()


def rows_of(academy: Academy, actor: Person, import_id: str, **query: str) -> list[dict[str, Any]]:
    """Read what became of each row, all pages."""
    found: list[dict[str, Any]] = []
    while True:
        page = academy.get(f"/learner-imports/{import_id}/rows", actor, **query).get_json()
        found += page["items"]
        if page["next_cursor"] is None:
            return found
        query["cursor"] = page["next_cursor"]


def work_off(
    academy: Academy, import_id: str, *, should_stop: Callable[[], bool] = lambda: False
) -> dict[str, Any]:
    """Let a worker take up the open work of an import once; returns the row of work."""
    (row,) = academy.work(IMPORT, import_id)
    academy.execute_as_owner(
        "UPDATE platform.work SET due_at = now() - interval '1 second', attempts = max_attempts - 1"
        " WHERE id = :id",
        id=row["id"],
    )
    context = JobContext(
        database=academy.database,
        storage=create_storage(academy.settings),
        settings=academy.settings,
        doorbell=Doorbell(academy.settings.redis_url),
        scope=academy.scope,
        should_stop=should_stop,
    )
    run_work(context, row["id"])
    (done,) = academy.rows("SELECT * FROM platform.work WHERE id = :id", id=row["id"])
    return done
