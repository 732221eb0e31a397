"""Giving learners more time: for a seat that is held, or with the content of a run."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from lms.core.clock import now
from lms.core.queue import EXPIRE_ENROLLMENT
from tests.factories.money import Academy
from tests.factories.people import Person


def extend(
    academy: Academy, enrollment_id: str, by: Person, until: datetime, reason: str = "Was ill."
) -> Any:
    body = {"until": until.isoformat(), "reason": reason}
    return academy.post(f"/enrollments/{enrollment_id}/extend", by, body)


def held(academy: Academy) -> tuple[str, datetime]:
    """A seat that waits for its payment, and until when."""
    answer = academy.enroll(academy.person(), academy.run(), "provider", token="tok_pending")
    enrollment = answer.get_json()["enrollment"]
    return enrollment["id"], datetime.fromisoformat(enrollment["hold_until"])


def test_a_seat_is_held_longer(academy: Academy) -> None:
    enrollment_id, hold_until = held(academy)
    later = hold_until + timedelta(days=3)
    answer = extend(academy, enrollment_id, academy.person("admin"), later)
    assert answer.status_code == 200, answer.text
    assert datetime.fromisoformat(answer.get_json()["hold_until"]) == later


def test_what_looks_after_the_hold_comes_again(academy: Academy) -> None:
    enrollment_id, hold_until = held(academy)
    later = hold_until + timedelta(days=3)
    extend(academy, enrollment_id, academy.person("admin"), later)
    academy.do_work(EXPIRE_ENROLLMENT, enrollment_id)
    (row,) = academy.rows("SELECT state FROM enrollments WHERE id = :id", id=UUID(enrollment_id))
    assert row["state"] == "pending"
    (work,) = academy.work(EXPIRE_ENROLLMENT, enrollment_id)
    assert work["due_at"] == later


def test_a_hold_is_not_made_shorter(academy: Academy) -> None:
    enrollment_id, hold_until = held(academy)
    sooner = hold_until - timedelta(minutes=1)
    answer = extend(academy, enrollment_id, academy.person("admin"), sooner)
    assert (answer.status_code, answer.get_json()["errors"][0]["pointer"]) == (422, "/until")


@pytest.mark.parametrize("state", ["active", "suspended", "completed"])
def test_a_learner_may_read_longer_than_the_others(academy: Academy, state: str) -> None:
    person = academy.person()
    ends_at = now() + timedelta(days=300)
    run_id = academy.run(price=0, access_ends_at=ends_at)
    enrollment_id = academy.enroll(person, run_id, "free").get_json()["enrollment"]["id"]
    academy.execute_as_owner(
        "UPDATE enrollments SET state = :state, completed_at = now() WHERE id = :id",
        state=state,
        id=enrollment_id,
    )
    until = ends_at + timedelta(days=100)
    answer = extend(academy, enrollment_id, academy.person("admin"), until)
    assert datetime.fromisoformat(answer.get_json()["access_ends_at"]) == until
    for shorter in (ends_at + timedelta(days=1), ends_at - timedelta(days=1)):
        answer = extend(academy, enrollment_id, academy.person("admin"), shorter)
        assert (answer.status_code, answer.get_json()["errors"][0]["pointer"]) == (422, "/until")


def test_what_is_open_for_ever_is_not_extended(academy: Academy) -> None:
    purchase = academy.enroll(academy.person(), academy.run(price=0), "free").get_json()
    until = now() + timedelta(days=400)
    answer = extend(academy, purchase["enrollment"]["id"], academy.person("admin"), until)
    problem = answer.get_json()
    assert (problem["code"], problem["remedy"]) == (
        "nothing_to_extend",
        "Its content is open for ever.",
    )


def test_a_moment_that_is_past_is_refused(academy: Academy) -> None:
    enrollment_id, _ = held(academy)
    yesterday = now() - timedelta(days=1)
    answer = extend(academy, enrollment_id, academy.person("admin"), yesterday)
    assert (answer.status_code, answer.get_json()["errors"][0]["pointer"]) == (422, "/until")


def test_what_has_no_end_says_what_helps(academy: Academy) -> None:
    person = academy.person()
    purchase = academy.enroll(person, academy.run(price=0), "free").get_json()
    enrollment_id = purchase["enrollment"]["id"]
    academy.post(f"/enrollments/{enrollment_id}/withdraw", person)
    answer = extend(academy, enrollment_id, academy.person("admin"), now() + timedelta(days=1))
    problem = answer.get_json()
    assert (answer.status_code, problem["code"]) == (409, "nothing_to_extend")
    assert (problem["state"], problem["remedy"]) == ("withdrawn", "Enroll the learner anew.")


def test_who_does_not_teach_the_run_extends_nothing(academy: Academy) -> None:
    enrollment_id, hold_until = held(academy)
    later = hold_until + timedelta(days=3)
    assert extend(academy, enrollment_id, academy.person("instructor"), later).status_code == 404
    assert extend(academy, enrollment_id, academy.person(), later).status_code == 403


def test_it_is_on_record(academy: Academy) -> None:
    enrollment_id, hold_until = held(academy)
    admin = academy.person("admin")
    extend(academy, enrollment_id, admin, hold_until + timedelta(days=3), "Bank holiday.")
    (event,) = academy.rows(
        "SELECT actor_id, after ->> 'reason' AS reason FROM audit_events"
        " WHERE action = 'enrollment.extend' AND subject_id = :id",
        id=UUID(enrollment_id),
    )
    assert event == {"actor_id": admin.id, "reason": "Bank holiday."}
