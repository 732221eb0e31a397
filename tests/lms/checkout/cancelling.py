"""Cancelling a run, and what is seen of it: for the tests about it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from jobs.context import JobContext
from lms.compose import create_storage
from lms.core.queue import CANCEL_RUN, Doorbell
from tests.factories.money import Academy
from tests.factories.people import Person

REASON = "The instructor has fallen ill."


def cancel(academy: Academy, run_id: UUID, person: Person | None = None, **body: Any) -> Any:
    body = body or {"reason": REASON}
    return academy.post(f"/runs/{run_id}/cancel", person or academy.person("admin"), body)


def see_through(academy: Academy, run_id: UUID) -> None:
    """Let the workers do all that cancelling a run asks for."""
    while academy.work(CANCEL_RUN, run_id):
        academy.do_work(CANCEL_RUN, run_id)


def read(academy: Academy, run_id: UUID, person: Person | None = None) -> dict[str, Any]:
    answer = academy.get(f"/runs/{run_id}", person or academy.person("admin"))
    assert answer.status_code == 200, answer.text
    return answer.get_json()


def state_of(academy: Academy, purchase: dict[str, Any]) -> tuple[str, str]:
    """The state of an enrollment, and the reason of its last change."""
    (row,) = academy.rows(
        "SELECT e.state, c.reason FROM enrollments e JOIN enrollment_changes c"
        " ON c.enrollment_id = e.id WHERE e.id = :id ORDER BY c.at DESC, c.id DESC LIMIT 1",
        id=UUID(purchase["enrollment"]["id"]),
    )
    return row["state"], row["reason"]


def refunds_of(academy: Academy, purchase: dict[str, Any]) -> list[dict[str, Any]]:
    return academy.rows(
        "SELECT id, amount, destination, state, reason, created_by FROM refunds"
        " WHERE payment_id = :id ORDER BY id",
        id=UUID(purchase["payment"]["id"]),
    )


def buy(
    academy: Academy, run_id: UUID, method: str = "wallet", token: str | None = None
) -> tuple[Person, dict[str, Any]]:
    person = academy.person(money=4900 if method == "wallet" else 0)
    answer = academy.enroll(person, run_id, method, token=token)
    assert answer.status_code in (201, 202), answer.text
    return person, answer.get_json()


def complete(academy: Academy, purchase: dict[str, Any]) -> None:
    academy.execute_as_owner(
        "UPDATE enrollments SET state = 'completed', completed_at = now(), percent = 100"
        " WHERE id = :id",
        id=purchase["enrollment"]["id"],
    )


def worker(academy: Academy, **changes: Any) -> JobContext:
    options: dict[str, Any] = {
        "database": academy.database,
        "storage": create_storage(academy.settings),
        "settings": academy.settings,
        "doorbell": Doorbell(academy.settings.redis_url),
        "scope": academy.scope,
        "should_stop": lambda: False,
        **changes,
    }
    return JobContext(**options)
