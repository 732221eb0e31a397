"""What tests of waiting lists, offers and approvals have in common."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from werkzeug.test import TestResponse

from lms.core.queue import EXPIRE_ENROLLMENT, OFFER_SEATS
from tests.factories.money import Academy
from tests.factories.people import Person

PRICE = 4900


def ask(
    academy: Academy, person: Person, run_id: UUID, method: str = "wallet", **body: Any
) -> TestResponse:
    """Enroll, or wait for a seat."""
    body = {"payment": {"method": method}, "wait": True, **body}
    return academy.post(f"/runs/{run_id}/enrollments", person, body)


def wait(
    academy: Academy, person: Person, run_id: UUID, method: str = "wallet", **body: Any
) -> str:
    """Join the waiting list of a full run; gives the enrollment's id."""
    answer = ask(academy, person, run_id, method, **body)
    assert answer.status_code == 202, answer.text
    enrollment = answer.get_json()["enrollment"]
    assert (enrollment["state"], answer.get_json()["payment"]) == ("waitlisted", None)
    return enrollment["id"]


def full_run(academy: Academy, *, price: int = PRICE, **changes: Any) -> tuple[UUID, Person, str]:
    """A run with one seat, and who has it: gives run, person and enrollment."""
    run_id = academy.run(price=price, capacity=1, **changes)
    person = academy.person(money=price)
    answer = academy.enroll(person, run_id, "wallet" if price else "free")
    assert answer.status_code == 201, answer.text
    return run_id, person, answer.get_json()["enrollment"]["id"]


def leave(academy: Academy, person: Person, enrollment_id: str) -> dict[str, Any]:
    answer = academy.post(f"/enrollments/{enrollment_id}/withdraw", person)
    assert answer.status_code == 200, answer.text
    return answer.get_json()


def offer(academy: Academy, run_id: UUID) -> None:
    """Let the worker offer what came free."""
    academy.do_work(OFFER_SEATS, run_id)


def accept(
    academy: Academy, person: Person, enrollment_id: str, method: str = "wallet", **body: Any
) -> TestResponse:
    payment = {"method": method, **({"token": body.pop("token")} if "token" in body else {})}
    path = f"/enrollments/{enrollment_id}/accept"
    return academy.post(path, person, {"payment": payment, **body})


def let_hold_run_out(academy: Academy, enrollment_id: str) -> None:
    academy.execute_as_owner(
        "UPDATE enrollments SET hold_until = now() - interval '1 second',"
        " offered_until = now() - interval '1 second' WHERE id = :id",
        id=enrollment_id,
    )


def lapse(academy: Academy, enrollment_id: str) -> None:
    let_hold_run_out(academy, enrollment_id)
    academy.do_work(EXPIRE_ENROLLMENT, enrollment_id)


def read(academy: Academy, person: Person, enrollment_id: str) -> dict[str, Any]:
    answer = academy.get(f"/enrollments/{enrollment_id}", person)
    assert answer.status_code == 200, answer.text
    return answer.get_json()


def stands(academy: Academy, enrollment_id: str) -> tuple[str, str | None]:
    """State, and for what it waits."""
    sql = "SELECT state, awaiting FROM enrollments WHERE id = :id"
    (row,) = academy.rows(sql, id=UUID(enrollment_id))
    return row["state"], row["awaiting"]


def history(academy: Academy, enrollment_id: str) -> list[str]:
    """The reasons of an enrollment's changes, oldest first."""
    sql = "SELECT reason FROM enrollment_changes WHERE enrollment_id = :id ORDER BY at, id"
    return [row["reason"] for row in academy.rows(sql, id=UUID(enrollment_id))]
