"""What staff do with a learner's enrollment, and its history."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from lms.enrollments.operations import complete
from tests.factories.money import Academy
from tests.factories.people import Person

WHY = {"reason": "Asked for a pause"}


def enrolled(academy: Academy, run_id: UUID, person: Person) -> str:
    answer = academy.enroll(person, run_id, "free")
    assert answer.status_code == 201, answer.text
    return answer.get_json()["enrollment"]["id"]


def finish(academy: Academy, enrollment_id: str) -> None:
    with academy.database.transaction(academy.scope) as session:
        complete(session, UUID(enrollment_id), rules_hash="0" * 64)


def audited(academy: Academy, enrollment_id: str) -> list[Any]:
    with academy.database.transaction(academy.scope) as session:
        query = text(
            "SELECT action, after ->> 'reason' FROM audit_events WHERE subject_id = :id ORDER BY id"
        )
        return [tuple(row) for row in session.execute(query, {"id": enrollment_id})]


def test_who_teaches_the_run_suspends_and_reinstates(academy: Academy) -> None:
    teacher, person = academy.person("instructor"), academy.person()
    run_id = academy.run(price=0, capacity=1, teacher=teacher)
    path = f"/enrollments/{enrolled(academy, run_id, person)}"
    before = academy.get(path, person).get_json()
    suspended = academy.post(f"{path}/suspend", teacher, WHY)
    assert (suspended.status_code, suspended.get_json()["state"]) == (200, "suspended")
    assert academy.enroll(academy.person(), run_id, "free").get_json()["code"] == "run_full"
    reinstated = academy.post(f"{path}/reinstate", teacher, WHY)
    assert reinstated.get_json() == before


def test_one_that_an_upgrade_brought_to_its_end_is_completed_when_it_is_reinstated(
    academy: Academy,
) -> None:
    admin, person = academy.person("admin"), academy.person()
    enrollment_id = enrolled(academy, academy.run(price=0), person)
    path = f"/enrollments/{enrollment_id}"
    academy.post(f"{path}/suspend", admin, WHY)
    academy.execute_as_owner(
        "UPDATE enrollments SET percent = 100 WHERE id = :id", id=enrollment_id
    )
    reinstated = academy.post(f"{path}/reinstate", admin, WHY).get_json()
    assert (reinstated["state"], reinstated["percent"]) == ("completed", 100)
    assert reinstated["completed_at"] is not None


def test_one_that_was_reopened_stays_open_when_it_is_suspended_and_reinstated(
    academy: Academy,
) -> None:
    admin, person = academy.person("admin"), academy.person()
    enrollment_id = enrolled(academy, academy.run(price=0), person)
    path = f"/enrollments/{enrollment_id}"
    academy.execute_as_owner(
        "UPDATE enrollments SET percent = 100 WHERE id = :id", id=enrollment_id
    )
    finish(academy, enrollment_id)
    for verb in ("reopen", "suspend"):
        assert academy.post(f"{path}/{verb}", admin, WHY).status_code == 200
    reinstated = academy.post(f"{path}/reinstate", admin, WHY).get_json()
    assert (reinstated["state"], reinstated["percent"]) == ("active", 100)


def test_a_completed_enrollment_is_reopened_by_admins_and_keeps_its_date(academy: Academy) -> None:
    teacher, person = academy.person("instructor"), academy.person()
    enrollment_id = enrolled(academy, academy.run(price=0, teacher=teacher), person)
    path = f"/enrollments/{enrollment_id}"
    finish(academy, enrollment_id)
    completed_at = academy.get(path, person).get_json()["completed_at"]
    assert academy.post(f"{path}/reopen", teacher, WHY).status_code == 403
    reopened = academy.post(f"{path}/reopen", academy.person("admin"), WHY).get_json()
    assert (reopened["state"], reopened["completed_at"]) == ("active", completed_at)
    finish(academy, enrollment_id)
    assert academy.get(path, person).get_json()["completed_at"] == completed_at


@pytest.mark.parametrize(
    ("verb", "state", "allowed"),
    [
        ("reinstate", "active", ["completed", "expired", "suspended", "transferred", "withdrawn"]),
        ("reopen", "active", ["completed", "expired", "suspended", "transferred", "withdrawn"]),
        ("suspend", "completed", ["active"]),
        ("reinstate", "completed", ["active"]),
        ("suspend", "withdrawn", []),
    ],
)
def test_what_does_not_fit_the_state_is_refused_with_what_does(
    academy: Academy, verb: str, state: str, allowed: list[str]
) -> None:
    person, admin = academy.person(), academy.person("admin")
    enrollment_id = enrolled(academy, academy.run(price=0), person)
    if state == "completed":
        finish(academy, enrollment_id)
    if state == "withdrawn":
        academy.post(f"/enrollments/{enrollment_id}/withdraw", person)
    answer = academy.post(f"/enrollments/{enrollment_id}/{verb}", admin, WHY)
    problem = answer.get_json()
    assert (answer.status_code, problem["code"]) == (409, "transition_not_allowed")
    assert (problem["state"], problem["allowed"]) == (state, allowed)
    assert audited(academy, enrollment_id) == []


def test_nobody_is_reopened_in_a_cancelled_run(academy: Academy) -> None:
    person, admin, run_id = academy.person(), academy.person("admin"), academy.run(price=0)
    enrollment_id = enrolled(academy, run_id, person)
    finish(academy, enrollment_id)
    academy.post(f"/runs/{run_id}/cancel", admin, {"reason": "Too few learners."})
    answer = academy.post(f"/enrollments/{enrollment_id}/reopen", admin, WHY)
    assert (answer.status_code, answer.get_json()["code"]) == (409, "run_state_not_allowed")


@pytest.mark.parametrize("verb", ["suspend", "reinstate"])
def test_others_do_not_change_it(academy: Academy, verb: str) -> None:
    person = academy.person()
    path = f"/enrollments/{enrolled(academy, academy.run(price=0), person)}/{verb}"
    assert academy.post(path, person, WHY).status_code == 403
    assert academy.post(path, academy.person("instructor"), WHY).status_code == 404


def test_an_instructor_who_learns_elsewhere_does_not_change_their_own(academy: Academy) -> None:
    learner = academy.person("instructor")
    path = f"/enrollments/{enrolled(academy, academy.run(price=0), learner)}/suspend"
    assert academy.post(path, learner, WHY).status_code == 404


def test_each_step_is_in_the_history_and_in_the_audit_log(academy: Academy) -> None:
    teacher, person = academy.person("instructor"), academy.person()
    enrollment_id = enrolled(academy, academy.run(price=0, teacher=teacher), person)
    path = f"/enrollments/{enrollment_id}"
    academy.post(f"{path}/suspend", teacher, WHY)
    academy.post(f"{path}/reinstate", teacher, {"reason": "Is back"})
    first = academy.get(f"{path}/changes", person, limit="2").get_json()
    rest = academy.get(f"{path}/changes", person, cursor=first["next_cursor"]).get_json()
    steps = [
        (one["from_state"], one["to_state"], one["reason"], one["actor_id"])
        for one in first["items"] + rest["items"]
    ]
    assert steps == [
        (None, "active", "free", str(person.id)),
        ("active", "suspended", "suspended", str(teacher.id)),
        ("suspended", "active", "reinstated", str(teacher.id)),
    ]
    assert audited(academy, enrollment_id) == [
        ("enrollment.suspend", "Asked for a pause"),
        ("enrollment.reinstate", "Is back"),
    ]


def test_the_history_is_for_the_learner_those_who_teach_it_and_admins(academy: Academy) -> None:
    teacher, person = academy.person("instructor"), academy.person()
    path = (
        f"/enrollments/{enrolled(academy, academy.run(price=0, teacher=teacher), person)}/changes"
    )
    for allowed in (person, teacher, academy.person("admin")):
        assert academy.get(path, allowed).status_code == 200
    for refused in (academy.person(), academy.person("instructor")):
        assert academy.get(path, refused).status_code == 404
