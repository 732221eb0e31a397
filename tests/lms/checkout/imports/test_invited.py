"""People without an account whom a file enrolls: they are in once they accept their invitation."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest

from lms.core.ids import new_id
from tests.factories import books
from tests.factories.accounts import held
from tests.factories.importing import (
    IMPORT,
    file_of,
    read_import,
    rows_of,
    run_import,
    start,
)
from tests.factories.money import Academy
from tests.factories.people import Person

ENROLL_INVITED = "enroll_invited"
PASSWORD = "correct horse battery"


@pytest.fixture
def admin(academy: Academy) -> Person:
    return academy.person("admin")


def new_address() -> str:
    return f"new-{new_id().hex[-12:]}@acme.example"


def invite(academy: Academy, admin: Person, address: str) -> str:
    """Issue the invitation of somebody whose account is there; returns its token."""
    body = {"email": address, "name": "Ada Lovelace", "account_type": "student"}
    answer = academy.post("/users", admin, body)
    assert answer.status_code == 201
    return answer.get_json()["invitation"]["token"]


def accept(academy: Academy, token: str) -> dict[str, str]:
    """Join; returns the headers of the one who is signed in."""
    answer = academy.app.test_client().post(
        "/api/v1/auth/invitations/accept",
        base_url=f"http://{academy.slug}.localhost",
        json={"token": token, "password": PASSWORD},
    )
    assert answer.status_code == 200
    return {"Authorization": f"Bearer {answer.get_json()['access_token']}"}


def stored(academy: Academy, enrollment_id: str) -> dict[str, Any]:
    (found,) = academy.rows(
        "SELECT e.state, e.awaiting, e.payment_id, e.hold_until, e.activated_at, p.method,"
        " p.amount, p.live FROM enrollments e LEFT JOIN payments p ON p.id = e.payment_id"
        " WHERE e.id = :id",
        id=UUID(enrollment_id),
    )
    return found


def import_one(academy: Academy, admin: Person, run_id: UUID, address: str) -> dict[str, Any]:
    made = run_import(academy, admin, run_id, file_of(f"{address},Ada Lovelace"))
    [row] = rows_of(academy, admin, made["id"])
    assert (row["outcome"], made["invited"]) == ("invited", 1)
    return row


def test_an_account_is_made_and_a_seat_waits_for_it(academy: Academy, admin: Person) -> None:
    run_id, address = academy.run(), new_address()
    row = import_one(academy, admin, run_id, address)
    user = academy.get(f"/users/{row['user_id']}", admin).get_json()
    assert (user["email"], user["name"], user["account_type"]) == (
        address,
        "Ada Lovelace",
        "student",
    )
    waiting = stored(academy, row["enrollment_id"])
    assert (waiting["state"], waiting["awaiting"]) == ("pending", "invitation")
    assert (waiting["payment_id"], waiting["hold_until"]) == (None, None)
    assert academy.seats_taken(run_id) == 1
    [change] = academy.get(f"/enrollments/{row['enrollment_id']}/changes", admin).get_json()[
        "items"
    ]
    assert (change["to_state"], change["reason"]) == ("pending", "awaiting_invitation")
    [event] = academy.rows(
        "SELECT action, actor_id FROM audit_events WHERE subject_id = :id", id=UUID(row["user_id"])
    )
    assert event == {"action": "user.create", "actor_id": admin.id}


def test_whoever_accepts_the_invitation_is_in_by_itself(academy: Academy, admin: Person) -> None:
    runs, address = [academy.run(price=4900), academy.run(price=0)], new_address()
    rows = [import_one(academy, admin, run_id, address) for run_id in runs]
    assert rows[0]["user_id"] == rows[1]["user_id"]
    accept(academy, invite(academy, admin, address))
    academy.do_work(ENROLL_INVITED, rows[0]["user_id"])
    for row, run_id in zip(rows, runs, strict=True):
        found = stored(academy, row["enrollment_id"])
        assert (found["state"], found["awaiting"]) == ("active", None)
        assert (found["method"], found["amount"], found["live"]) == ("free", 0, True)
        assert found["activated_at"] is not None
        assert academy.seats_taken(run_id) == 1
        changes = academy.get(f"/enrollments/{row['enrollment_id']}/changes", admin).get_json()
        last = changes["items"][-1]
        assert (last["reason"], last["actor_id"]) == ("invitation_accepted", row["user_id"])
    academy.assert_books_balance()


def test_whoever_joins_while_the_file_enrolls_them_is_in_all_the_same(
    academy: Academy, admin: Person
) -> None:
    """They join in the middle: then they are enrolled as anybody who has joined."""
    run_id, address = academy.run(), new_address()
    invite(academy, admin, address)
    import_id = start(academy, admin, run_id, file_of(f"{address},"))
    with ThreadPoolExecutor(1) as pool, held(academy.database, academy.scope) as joining:
        joining.sql("UPDATE users SET password_hash = 'set' WHERE email = :email", email=address)
        waiting = pool.submit(academy.do_work, IMPORT, import_id)
        joining.wait_until_in_the_way_of(waiting)
    waiting.result()
    [row] = rows_of(academy, admin, import_id)
    assert row["outcome"] == "enrolled"
    assert stored(academy, row["enrollment_id"])["state"] == "active"
    assert read_import(academy, admin, import_id)["state"] == "done"


def test_somebody_who_has_an_account_but_has_not_joined_waits_too(
    academy: Academy, admin: Person
) -> None:
    teacher, address = academy.person("instructor"), new_address()
    token = invite(academy, admin, address)
    run_id = academy.run(price=0, teacher=teacher)
    row = import_one(academy, teacher, run_id, address)
    accept(academy, token)
    academy.do_work(ENROLL_INVITED, row["user_id"])
    assert stored(academy, row["enrollment_id"])["state"] == "active"


def test_asked_again_an_invited_learner_is_enrolled_already(
    academy: Academy, admin: Person
) -> None:
    run_id, address = academy.run(), new_address()
    import_one(academy, admin, run_id, address)
    again = run_import(academy, admin, run_id, file_of(f"{address},Ada"))
    [row] = rows_of(academy, admin, again["id"])
    assert row["code"] == "already_enrolled"
    assert academy.seats_taken(run_id) == 1


def test_joining_with_nothing_waiting_does_no_harm(academy: Academy, admin: Person) -> None:
    address = new_address()
    token = invite(academy, admin, address)
    accept(academy, token)
    (person,) = academy.rows("SELECT id FROM users WHERE email = :email", email=address)
    academy.do_work(ENROLL_INVITED, person["id"])


def test_a_seat_that_was_taken_back_stays_so(academy: Academy, admin: Person) -> None:
    run_id, address = academy.run(), new_address()
    row = import_one(academy, admin, run_id, address)
    answer = academy.post(f"/enrollments/{row['enrollment_id']}/withdraw", admin)
    assert answer.status_code in (200, 202), answer.get_json()
    assert answer.get_json()["enrollment"]["state"] == "cancelled"
    accept(academy, invite(academy, admin, address))
    academy.do_work(ENROLL_INVITED, row["user_id"])
    assert stored(academy, row["enrollment_id"])["state"] == "cancelled"
    assert academy.seats_taken(run_id) == 0
    academy.assert_books_balance()


def test_who_was_invited_leaves_a_cancelled_run_and_does_not_come_in_later(
    academy: Academy, admin: Person
) -> None:
    run_id, address = academy.run(), new_address()
    row = import_one(academy, admin, run_id, address)
    answer = academy.post(f"/runs/{run_id}/cancel", admin, {"reason": "Too few."})
    assert answer.get_json()["enrollments_left"] == 1
    accept(academy, invite(academy, admin, address))
    academy.do_work(ENROLL_INVITED, row["user_id"])
    assert stored(academy, row["enrollment_id"])["state"] == "pending"
    academy.do_work("cancel_run", run_id)
    found = stored(academy, row["enrollment_id"])
    assert (found["state"], found["awaiting"], found["payment_id"]) == ("cancelled", None, None)
    assert academy.seats_taken(run_id) == 0
    academy.assert_books_balance()


def test_seats_that_wait_leave_books_that_agree(school: Academy) -> None:
    admin, run_id = school.person("admin"), school.run()
    import_one(school, admin, run_id, new_address())
    assert books.check(school).findings == []


def test_work_that_was_lost_is_found(school: Academy) -> None:
    admin, run_id, address = school.person("admin"), school.run(), new_address()
    row = import_one(school, admin, run_id, address)
    import_id = start(school, admin, run_id, file_of(f"{new_address()},New"))
    accept(school, invite(school, admin, address))
    assert books.check(school).findings == []
    school.execute_as_owner(
        "DELETE FROM platform.work WHERE subject_id = ANY(:ids)",
        ids=[UUID(import_id), UUID(row["user_id"])],
    )
    found = {(one.check, one.subject_type, one.subject_id) for one in books.check(school).findings}
    assert found == {
        ("work_lost", "learner_import", import_id),
        ("work_lost", "user", row["user_id"]),
    }
