"""Learners whom a file enrolls: what becomes of each row, and of the whole."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from lms.core.ids import new_id
from tests.factories.importing import (
    IMPORT,
    REASON,
    file_of,
    joined,
    read_import,
    rows_of,
    run_import,
    start,
)
from tests.factories.money import Academy
from tests.factories.people import Person


def counts(found: dict[str, Any]) -> tuple[int, int, int]:
    return found["enrolled"], found["invited"], found["refused"]


def enrollments(academy: Academy, run_id: UUID) -> list[dict[str, Any]]:
    return academy.rows(
        "SELECT e.id, e.user_id, e.state, e.awaiting, e.payment_id, u.email FROM enrollments e"
        " JOIN users u ON u.id = e.user_id WHERE e.run_id = :run_id ORDER BY e.id",
        run_id=run_id,
    )


def new_address() -> str:
    return f"new-{new_id().hex[-12:]}@acme.example"


def codes(rows: list[dict[str, Any]]) -> list[tuple[int, str, str | None]]:
    return [(row["line"], row["outcome"], row["code"]) for row in rows]


@pytest.fixture
def admin(academy: Academy) -> Person:
    return academy.person("admin")


def test_who_has_joined_is_enrolled_at_once_and_pays_nothing(
    academy: Academy, admin: Person
) -> None:
    run_id, (ada, bob) = academy.run(price=4900), joined(academy, 2)
    made = run_import(academy, admin, run_id, file_of(f"{ada.email},Ada", f"{bob.email},"))
    assert (made["state"], counts(made)) == ("done", (2, 0, 0))
    rows = rows_of(academy, admin, made["id"])
    assert [row["user_id"] for row in rows] == [str(ada.id), str(bob.id)]
    enrollment = academy.get(f"/enrollments/{rows[0]['enrollment_id']}", ada).get_json()
    assert (enrollment["state"], enrollment["user_id"]) == ("active", str(ada.id))
    payment = academy.get(f"/payments/{enrollment['payment_id']}", ada).get_json()
    assert (payment["amount"]["amount"], payment["method"]) == (0, "free")
    assert academy.seats_taken(run_id) == 2
    academy.assert_books_balance()


def test_history_and_audit_log_say_who_gave_each_seat_and_why(
    academy: Academy, admin: Person
) -> None:
    [ada] = joined(academy)
    made = run_import(academy, admin, academy.run(), file_of(ada.email, header="email"))
    [row] = rows_of(academy, admin, made["id"])
    [change] = academy.get(f"/enrollments/{row['enrollment_id']}/changes", ada).get_json()["items"]
    assert (change["reason"], change["actor_id"]) == ("granted", str(admin.id))
    [event] = academy.rows(
        "SELECT action, actor_id, after FROM audit_events WHERE subject_id = :id",
        id=UUID(row["enrollment_id"]),
    )
    assert (event["action"], event["actor_id"]) == ("enrollment.grant", admin.id)
    assert event["after"]["reason"] == REASON
    assert event["after"]["learner_import_id"] == made["id"]


def test_an_import_is_on_record_without_anybodys_address(academy: Academy, admin: Person) -> None:
    [ada] = joined(academy)
    run_id = academy.run()
    import_id = start(academy, admin, run_id, file_of(ada.email, header="email"))
    [event] = academy.rows(
        "SELECT action, after FROM audit_events WHERE subject_id = :id", id=UUID(import_id)
    )
    assert event == {
        "action": "learner_import.create",
        "after": {
            "run_id": str(run_id),
            "mode": "partial",
            "dry_run": False,
            "rows": 1,
            "reason": REASON,
        },
    }


def test_until_a_worker_takes_it_up_an_import_waits(academy: Academy, admin: Person) -> None:
    [ada] = joined(academy)
    import_id = start(academy, admin, academy.run(), file_of(f"{ada.email},", ","))
    waiting = read_import(academy, admin, import_id)
    assert (waiting["state"], waiting["rows_total"], waiting["rows_done"]) == ("queued", 1, 0)
    assert waiting["created_by"] == str(admin.id)
    assert codes(rows_of(academy, admin, import_id)) == [(2, "pending", None)]


def test_every_row_that_cannot_be_done_says_why_and_holds_up_nobody(
    academy: Academy, admin: Person
) -> None:
    run_id, (ada, gone, inside) = academy.run(), joined(academy, 3)
    academy.execute_as_owner("UPDATE users SET deactivated_at = now() WHERE id = :id", id=gone.id)
    grant = {"user_id": str(inside.id), "reason": REASON}
    assert academy.post(f"/runs/{run_id}/learners", admin, grant).status_code == 201
    made = run_import(
        academy,
        admin,
        run_id,
        file_of(
            "not-an-address,Nobody",
            f"{ada.email},Ada",
            f" {ada.email.upper()} ,Ada again",
            f"{gone.email},Gone",
            f"{inside.email},Inside",
            f"{new_address()},",
            f"{new_address()},{'x' * 201}",
            f"{new_address()}",
            ",Somebody",
        ),
    )
    assert codes(rows_of(academy, admin, made["id"])) == [
        (2, "refused", "invalid_email"),
        (3, "enrolled", None),
        (4, "refused", "duplicate_row"),
        (5, "refused", "account_deactivated"),
        (6, "refused", "already_enrolled"),
        (7, "refused", "name_missing"),
        (8, "refused", "invalid_name"),
        (9, "refused", "wrong_number_of_fields"),
        (10, "refused", "invalid_email"),
    ]
    assert (made["state"], counts(made), made["rows_done"]) == ("done", (1, 0, 8), 9)


def test_refusals_are_told_in_plain_words(academy: Academy, admin: Person) -> None:
    [ada] = joined(academy)
    file = file_of(f"{ada.email},", f"{ada.email},", "x,y,z")
    made = run_import(academy, admin, academy.run(), file)
    told = [row["message"] for row in rows_of(academy, admin, made["id"])]
    assert told == [
        None,
        "Line 2 names the same address.",
        "Has 3 fields; the header names 2 columns.",
    ]


def test_all_or_nothing_with_a_refused_row_does_nothing_and_reports_all(
    academy: Academy, admin: Person
) -> None:
    run_id, (ada, bob) = academy.run(), joined(academy, 2)
    address = new_address()
    file = file_of(f"{ada.email},", "nobody,", f"{bob.email},", f"{address},New")
    made = run_import(academy, admin, run_id, file, mode="all_or_nothing")
    assert (made["state"], made["failure"], counts(made)) == ("failed", "rows_refused", (0, 0, 1))
    assert codes(rows_of(academy, admin, made["id"])) == [
        (2, "pending", None),
        (3, "refused", "invalid_email"),
        (4, "pending", None),
        (5, "pending", None),
    ]
    assert enrollments(academy, run_id) == []
    assert academy.seats_taken(run_id) == 0
    assert academy.rows("SELECT id FROM users WHERE email = :email", email=address) == []


def test_all_or_nothing_enrolls_everybody_when_everybody_can_be(
    academy: Academy, admin: Person
) -> None:
    run_id, people = academy.run(capacity=3), joined(academy, 3)
    file = file_of(*(person.email for person in people), header="email")
    made = run_import(academy, admin, run_id, file, mode="all_or_nothing")
    assert (made["state"], counts(made)) == ("done", (3, 0, 0))
    assert academy.seats_taken(run_id) == 3
    academy.assert_books_balance()


def test_all_or_nothing_needs_seats_for_all(academy: Academy, admin: Person) -> None:
    run_id, people = academy.run(capacity=2), joined(academy, 3)
    file = file_of(*(person.email for person in people), header="email")
    made = run_import(academy, admin, run_id, file, mode="all_or_nothing")
    assert (made["state"], made["failure"]) == ("failed", "rows_refused")
    assert codes(rows_of(academy, admin, made["id"], outcome="refused")) == [
        (4, "refused", "run_full")
    ]
    assert academy.seats_taken(run_id) == 0


def test_a_partial_import_fills_the_seats_that_are_left(academy: Academy, admin: Person) -> None:
    run_id, people = academy.run(capacity=2), joined(academy, 3)
    address = new_address()
    rows = [f"{person.email}," for person in people]
    made = run_import(academy, admin, run_id, file_of(*rows, f"{address},New"))
    assert (made["state"], counts(made)) == ("done", (2, 0, 2))
    assert codes(rows_of(academy, admin, made["id"]))[2:] == [
        (4, "refused", "run_full"),
        (5, "refused", "run_full"),
    ]
    assert academy.seats_taken(run_id) == 2
    assert academy.rows("SELECT id FROM users WHERE email = :email", email=address) == []


def test_a_seat_whose_hold_has_run_out_is_given_to_the_file(
    academy: Academy, admin: Person
) -> None:
    run_id, [ada] = academy.run(capacity=1), joined(academy)
    pending = academy.enroll(academy.person(), run_id, "provider", token="tok_pending").get_json()
    academy.execute_as_owner(
        "UPDATE enrollments SET hold_until = now() - interval '1 second' WHERE id = :id",
        id=pending["enrollment"]["id"],
    )
    file = file_of(ada.email, header="email")
    made = run_import(academy, admin, run_id, file, mode="all_or_nothing")
    assert (made["state"], academy.seats_taken(run_id)) == ("done", 1)


@pytest.mark.parametrize("mode", ["partial", "all_or_nothing"])
def test_a_seat_for_which_others_wait_is_not_given_to_the_file(
    academy: Academy, admin: Person, mode: str
) -> None:
    run_id, [ada] = academy.run(price=0, capacity=1), joined(academy)
    assert academy.enroll(academy.person(), run_id, "free").status_code == 201
    body = {"payment": {"method": "free"}, "wait": True}
    waiting = academy.post(f"/runs/{run_id}/enrollments", academy.person(), body)
    assert waiting.get_json()["enrollment"]["state"] == "waitlisted"
    academy.execute_as_owner("UPDATE run_seats SET capacity = 2 WHERE run_id = :id", id=run_id)
    made = run_import(academy, admin, run_id, file_of(f"{ada.email},"), mode=mode)
    assert codes(rows_of(academy, admin, made["id"])) == [(2, "refused", "run_full")]
    assert academy.seats_taken(run_id) == 1


def test_staff_need_no_approval_for_whom_they_import(academy: Academy, admin: Person) -> None:
    run_id, [ada] = academy.run(approval_required=True), joined(academy)
    made = run_import(academy, admin, run_id, file_of(f"{ada.email},"))
    assert counts(made) == (1, 0, 0)


@pytest.mark.parametrize("mode", ["partial", "all_or_nothing"])
def test_a_dry_run_tells_what_would_be_and_does_nothing(
    academy: Academy, admin: Person, mode: str
) -> None:
    run_id, [ada] = academy.run(capacity=2), joined(academy)
    address = new_address()
    file = file_of(f"{ada.email},", f"{address},New")
    made = run_import(academy, admin, run_id, file, mode=mode, dry_run=True)
    assert (made["state"], made["dry_run"], counts(made)) == ("done", True, (1, 1, 0))
    rows = rows_of(academy, admin, made["id"])
    assert codes(rows) == [(2, "enrolled", None), (3, "invited", None)]
    assert [row["enrollment_id"] for row in rows] == [None, None]
    assert enrollments(academy, run_id) == []
    assert academy.rows("SELECT id FROM users WHERE email = :email", email=address) == []


def test_a_dry_run_foresees_that_seats_run_out(academy: Academy, admin: Person) -> None:
    run_id, people = academy.run(capacity=1), joined(academy, 2)
    file = file_of(*(person.email for person in people), header="email")
    made = run_import(academy, admin, run_id, file, dry_run=True)
    assert (made["state"], counts(made)) == ("done", (1, 0, 1))


def test_columns_that_mean_nothing_are_told_of(academy: Academy, admin: Person) -> None:
    [ada] = joined(academy)
    file = file_of(f"{ada.email};12;x", header="E-Mail;Phone;x".replace("E-Mail", "EMAIL"))
    made = run_import(academy, admin, academy.run(), file)
    assert (made["ignored_columns"], counts(made)) == (["phone", "x"], (1, 0, 0))


def test_what_is_no_such_file_is_refused_with_its_line(academy: Academy, admin: Person) -> None:
    body = {"csv": 'email\nada@acme.example\n"bob', "mode": "partial", "reason": REASON}
    answer = academy.post(f"/runs/{academy.run()}/learner-imports", admin, body)
    assert (answer.status_code, answer.get_json()["code"]) == (422, "invalid_csv")
    assert answer.get_json()["line"] == 3


def test_a_repeated_request_is_the_same_import(academy: Academy, admin: Person) -> None:
    [ada] = joined(academy)
    run_id, key = academy.run(), str(uuid4())
    body = {"csv": file_of(f"{ada.email},"), "mode": "partial", "reason": REASON}
    first, again = (
        academy.post(f"/runs/{run_id}/learner-imports", admin, body, key=key).get_json()
        for _ in range(2)
    )
    assert first == again
    listed = academy.get(f"/runs/{run_id}/learner-imports", admin).get_json()["items"]
    assert listed == [first]


def test_imports_of_a_run_are_listed_newest_first(academy: Academy, admin: Person) -> None:
    [ada] = joined(academy)
    run_id = academy.run()
    made = [start(academy, admin, run_id, file_of(f"{ada.email},")) for _ in range(2)]
    listed = academy.get(f"/runs/{run_id}/learner-imports", admin).get_json()["items"]
    assert [one["id"] for one in listed] == made[::-1]


def test_rows_come_in_the_files_order_over_all_pages(academy: Academy, admin: Person) -> None:
    file = file_of(*(f"nobody-{number}," for number in range(120)))
    made = run_import(academy, admin, academy.run(), file)
    lines = [row["line"] for row in rows_of(academy, admin, made["id"])]
    assert lines == list(range(2, 122))


# --- who may


def test_who_teaches_a_free_run_imports_but_invites_nobody(academy: Academy) -> None:
    teacher, [ada] = academy.person("instructor"), joined(academy)
    run_id = academy.run(price=0, teacher=teacher)
    made = run_import(academy, teacher, run_id, file_of(f"{ada.email},", f"{new_address()},New"))
    assert codes(rows_of(academy, teacher, made["id"])) == [
        (2, "enrolled", None),
        (3, "refused", "no_account"),
    ]


@pytest.mark.parametrize("dry_run", [False, True])
def test_who_is_no_admin_does_not_learn_whose_account_is_deactivated(
    academy: Academy, dry_run: bool
) -> None:
    teacher, [gone] = academy.person("instructor"), joined(academy)
    academy.execute_as_owner("UPDATE users SET deactivated_at = now() WHERE id = :id", id=gone.id)
    run_id = academy.run(price=0, teacher=teacher)
    file = file_of(f"{gone.email},", f"{new_address()},")
    made = run_import(academy, teacher, run_id, file, dry_run=dry_run)
    told = [(row["code"], row["message"]) for row in rows_of(academy, teacher, made["id"])]
    assert told[0] == told[1]
    assert told[0][0] == "no_account"


def test_a_dry_run_tells_nobodys_id(academy: Academy) -> None:
    teacher, [ada] = academy.person("instructor"), joined(academy)
    run_id, invited = academy.run(price=0, teacher=teacher), academy.person()
    file = file_of(f"{ada.email},", f"{invited.email},")
    made = run_import(academy, teacher, run_id, file, dry_run=True)
    rows = rows_of(academy, teacher, made["id"])
    assert [(row["outcome"], row["user_id"]) for row in rows] == [
        ("enrolled", None),
        ("invited", None),
    ]


def test_only_admins_give_away_what_costs_money(academy: Academy) -> None:
    teacher, [ada] = academy.person("instructor"), joined(academy)
    run_id = academy.run(price=4900, teacher=teacher)
    body = {"csv": file_of(f"{ada.email},"), "mode": "partial", "reason": REASON}
    refused = academy.post(f"/runs/{run_id}/learner-imports", teacher, body)
    assert (refused.status_code, refused.get_json()["code"]) == (403, "forbidden")


def test_a_run_that_costs_money_by_now_is_not_given_away_by_its_teacher(academy: Academy) -> None:
    teacher, [ada] = academy.person("instructor"), joined(academy)
    run_id = academy.run(price=0, teacher=teacher)
    import_id = start(academy, teacher, run_id, file_of(f"{ada.email},"))
    academy.execute_as_owner("UPDATE course_runs SET price_amount = 100 WHERE id = :id", id=run_id)
    academy.do_work(IMPORT, import_id)
    assert codes(rows_of(academy, teacher, import_id)) == [(2, "refused", "forbidden")]


BY_NOW = {
    "removed from the course": "DELETE FROM course_instructors WHERE user_id = :id",
    "deactivated": "UPDATE users SET deactivated_at = now() WHERE id = :id",
    "a student": "UPDATE users SET account_type = 'student' WHERE id = :id",
}


@pytest.mark.parametrize("change", BY_NOW.values(), ids=BY_NOW.keys())
@pytest.mark.parametrize("mode", ["partial", "all_or_nothing"])
def test_who_may_no_longer_enroll_people_enrolls_nobody_with_what_they_asked_before(
    academy: Academy, admin: Person, change: str, mode: str
) -> None:
    teacher, [ada] = academy.person("instructor"), joined(academy)
    run_id = academy.run(price=0, teacher=teacher)
    import_id = start(academy, teacher, run_id, file_of(f"{ada.email},"), mode=mode)
    academy.execute_as_owner(change, id=teacher.id)
    academy.do_work(IMPORT, import_id)
    assert codes(rows_of(academy, admin, import_id)) == [(2, "refused", "forbidden")]
    assert academy.seats_taken(run_id) == 0


def test_an_admin_who_only_teaches_by_now_invites_nobody_and_gives_nothing_away(
    academy: Academy, admin: Person
) -> None:
    asked, [ada] = academy.person("admin"), joined(academy)
    for price, code in ((0, "no_account"), (4900, "forbidden")):
        run_id = academy.run(price=price)
        academy.execute_as_owner(
            "INSERT INTO course_instructors (course_id, user_id)"
            " SELECT course_id, CAST(:id AS uuid) FROM course_runs WHERE id = :run_id",
            id=asked.id,
            run_id=run_id,
        )
        file = file_of(f"{ada.email},", f"{new_address()},New")
        academy.execute_as_owner(
            "UPDATE users SET account_type = 'admin' WHERE id = :id", id=asked.id
        )
        import_id = start(academy, asked, run_id, file)
        academy.execute_as_owner(
            "UPDATE users SET account_type = 'instructor' WHERE id = :id", id=asked.id
        )
        academy.do_work(IMPORT, import_id)
        assert rows_of(academy, admin, import_id)[1]["code"] == code


def test_who_does_not_teach_the_run_learns_of_no_import(academy: Academy, admin: Person) -> None:
    [ada] = joined(academy)
    run_id, stranger = academy.run(price=0), academy.person("instructor")
    import_id = start(academy, admin, run_id, file_of(f"{ada.email},"))
    body = {"csv": file_of(f"{ada.email},"), "mode": "partial", "reason": REASON}
    assert academy.post(f"/runs/{run_id}/learner-imports", stranger, body).status_code == 404
    for path in (
        f"/runs/{run_id}/learner-imports",
        f"/learner-imports/{import_id}",
        f"/learner-imports/{import_id}/rows",
    ):
        assert academy.get(path, stranger).status_code == 404
        assert academy.get(path, ada).status_code == 403


@pytest.mark.parametrize("run", [{"opens_in": 1}, {"state": "draft"}, {"state": "cancelled"}])
def test_a_run_that_takes_nobody_takes_no_file(
    academy: Academy, admin: Person, run: dict[str, Any]
) -> None:
    body = {"csv": file_of("ada@acme.example,"), "mode": "partial", "reason": REASON}
    answer = academy.post(f"/runs/{academy.run(**run)}/learner-imports", admin, body)
    assert (answer.status_code, answer.get_json()["code"]) == (409, "enrollment_closed")


@pytest.mark.parametrize(("mode", "state"), [("partial", "done"), ("all_or_nothing", "failed")])
@pytest.mark.parametrize("dry_run", [False, True])
def test_a_run_that_has_closed_since_takes_nobody(
    academy: Academy, admin: Person, mode: str, state: str, dry_run: bool
) -> None:
    run_id, [ada] = academy.run(), joined(academy)
    file = file_of(f"{ada.email},")
    import_id = start(academy, admin, run_id, file, mode=mode, dry_run=dry_run)
    academy.execute_as_owner(
        "UPDATE course_runs SET enrollment_closes_at = now() WHERE id = :id", id=run_id
    )
    academy.do_work(IMPORT, import_id)
    assert read_import(academy, admin, import_id)["state"] == state
    assert codes(rows_of(academy, admin, import_id)) == [(2, "refused", "enrollment_closed")]
    assert academy.seats_taken(run_id) == 0
