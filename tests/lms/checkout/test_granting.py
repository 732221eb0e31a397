"""Learners whom staff enroll."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from werkzeug.test import TestResponse

from lms.core.ids import new_id
from tests.factories.money import Academy
from tests.factories.people import Person


def grant(academy: Academy, actor: Person, run_id: UUID, user_id: UUID) -> TestResponse:
    body = {"user_id": str(user_id), "reason": "Paid by invoice 2027-14."}
    return academy.post(f"/runs/{run_id}/learners", actor, body)


def test_who_teaches_a_free_run_enrolls_a_learner_at_once(academy: Academy) -> None:
    teacher, person = academy.person("instructor"), academy.person()
    run_id = academy.run(price=0, teacher=teacher)
    answer = grant(academy, teacher, run_id, person.id)
    made = answer.get_json()
    assert answer.status_code == 201
    assert (made["state"], made["user_id"], made["run_id"]) == (
        "active",
        str(person.id),
        str(run_id),
    )
    assert academy.get(f"/enrollments/{made['id']}", person).get_json() == made
    assert academy.seats_taken(run_id) == 1


def test_only_admins_give_away_what_costs_money_and_nothing_is_paid(academy: Academy) -> None:
    teacher, person = academy.person("instructor"), academy.person(money=9900)
    run_id = academy.run(teacher=teacher)
    refused = grant(academy, teacher, run_id, person.id)
    assert (refused.status_code, refused.get_json()["code"]) == (403, "forbidden")
    made = grant(academy, academy.person("admin"), run_id, person.id).get_json()
    payment = academy.get(f"/payments/{made['payment_id']}", person).get_json()
    assert (payment["amount"]["amount"], payment["method"]) == (0, "free")
    assert academy.balance(person) == 9900


def test_history_and_audit_log_say_who_gave_the_seat_and_why(academy: Academy) -> None:
    admin, person = academy.person("admin"), academy.person()
    made = grant(academy, admin, academy.run(), person.id).get_json()
    [change] = academy.get(f"/enrollments/{made['id']}/changes", person).get_json()["items"]
    assert (change["reason"], change["actor_id"]) == ("granted", str(admin.id))
    with academy.database.transaction(academy.scope) as session:
        query = text("SELECT action, actor_id, after FROM audit_events WHERE subject_id = :id")
        [event] = session.execute(query, {"id": made["id"]}).all()
    assert (event.action, event.actor_id) == ("enrollment.grant", admin.id)
    assert event.after["reason"] == "Paid by invoice 2027-14."


@pytest.mark.parametrize(
    ("run", "code"),
    [
        ({"opens_in": 1}, "enrollment_closed"),
        ({"state": "draft"}, "not_found"),
        ({"state": "archived"}, "enrollment_closed"),
    ],
)
def test_a_run_that_takes_nobody_takes_nobody_from_staff(
    academy: Academy, run: dict[str, Any], code: str
) -> None:
    run_id = academy.run(**run)
    answer = grant(academy, academy.person("admin"), run_id, academy.person().id)
    assert answer.get_json()["code"] == code
    assert academy.seats_taken(run_id) == 0


def test_somebody_who_is_enrolled_is_not_enrolled_twice(academy: Academy) -> None:
    admin, person, run_id = academy.person("admin"), academy.person(), academy.run()
    first = grant(academy, admin, run_id, person.id).get_json()
    again = grant(academy, admin, run_id, person.id)
    assert (again.status_code, again.get_json()["code"]) == (409, "already_enrolled")
    assert again.get_json()["enrollment_id"] == first["id"]
    assert academy.seats_taken(run_id) == 1


def test_a_full_run_stays_full_unless_a_hold_has_run_out(academy: Academy) -> None:
    admin, run_id = academy.person("admin"), academy.run(capacity=1)
    held = academy.enroll(academy.person(), run_id, "provider", token="tok_pending").get_json()
    full = grant(academy, admin, run_id, academy.person().id)
    assert (full.status_code, full.get_json()["code"]) == (409, "run_full")
    academy.execute_as_owner(
        "UPDATE enrollments SET hold_until = now() - interval '1 second' WHERE id = :id",
        id=held["enrollment"]["id"],
    )
    assert grant(academy, admin, run_id, academy.person().id).status_code == 201
    assert academy.seats_taken(run_id) == 1


def test_unknown_and_deactivated_people_are_not_enrolled(academy: Academy) -> None:
    admin, person, run_id = academy.person("admin"), academy.person(), academy.run()
    with academy.database.transaction(academy.scope) as session:
        session.execute(
            text("UPDATE users SET deactivated_at = now() WHERE id = :id"), {"id": person.id}
        )
    for user_id in (person.id, new_id()):
        answer = grant(academy, admin, run_id, user_id)
        assert (answer.status_code, answer.get_json()["code"]) == (422, "invalid_input")
        assert answer.get_json()["errors"][0]["pointer"] == "/user_id"


def test_who_does_not_teach_the_run_does_not_learn_of_it(academy: Academy) -> None:
    run_id = academy.run(price=0)
    assert (
        grant(academy, academy.person("instructor"), run_id, academy.person().id).status_code == 404
    )
    student = academy.person()
    assert grant(academy, student, run_id, student.id).status_code == 403
