"""Cancelling a run: at once for whoever would enroll, then one by one for those who are in it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest

from jobs import runs as handler
from jobs.claims import claim
from jobs.context import HandBackError, JobContext
from jobs.run import run_work
from lms.checkout.cancellations import cancel_run, end_enrollment
from lms.checkout.orders import Order
from lms.checkout.purchase import enroll
from lms.compose import create_storage
from lms.core.ids import derived_id, new_id
from lms.core.queue import CANCEL_RUN, EXPIRE_ENROLLMENT, SETTLE_PAYMENT, Doorbell
from tests.factories import books
from tests.factories.contested import disputed, move
from tests.factories.money import DEADLINE, Academy, together
from tests.factories.people import Person
from tests.factories.provider_side import tell

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


# --- at once


def test_a_cancelled_run_says_when_why_and_how_many_are_left(academy: Academy) -> None:
    run_id = academy.run()
    learner, _ = buy(academy, run_id)
    before = read(academy, run_id)
    assert (before["cancelled_at"], before["cancel_reason"]) == (None, None)
    assert before["enrollments_left"] is None

    answer = cancel(academy, run_id)

    assert answer.status_code == 202, answer.text
    body = answer.get_json()
    assert (body["state"], body["cancel_reason"], body["enrollments_left"]) == (
        *("cancelled", REASON),
        1,
    )
    assert body["cancelled_at"] is not None
    assert answer.headers["ETag"] == '"2"'
    assert read(academy, run_id, learner) == body
    see_through(academy, run_id)
    assert read(academy, run_id, learner)["enrollments_left"] == 0


def test_nobody_enrolls_in_a_cancelled_run(academy: Academy) -> None:
    run_id = academy.run()
    cancel(academy, run_id)
    answer = academy.enroll(academy.person(money=4900), run_id)
    problem = answer.get_json()
    assert (answer.status_code, problem["code"]) == (409, "enrollment_closed")
    assert problem["run_state"] == "cancelled"
    assert academy.seats_taken(run_id) == 0


def test_a_run_without_learners_asks_for_no_work(academy: Academy) -> None:
    run_id = academy.run()
    assert cancel(academy, run_id).get_json()["enrollments_left"] == 0
    assert academy.work(CANCEL_RUN, run_id) == []


@pytest.mark.parametrize("account_type", ["student", "instructor"])
def test_only_admins_cancel_since_it_moves_money(academy: Academy, account_type: Any) -> None:
    teacher = academy.person("instructor")
    run_id = academy.run(teacher=teacher)
    person = teacher if account_type == "instructor" else academy.person()
    assert cancel(academy, run_id, person).status_code == 403
    assert read(academy, run_id)["state"] == "scheduled"


def test_a_run_that_is_not_there_is_not_cancelled(academy: Academy) -> None:
    assert cancel(academy, uuid4()).status_code == 404


@pytest.mark.parametrize("reason", ["", "   ", "x" * 501, "a\u202eb", None, 7])
def test_a_reason_is_needed(academy: Academy, reason: Any) -> None:
    run_id = academy.run()
    answer = cancel(academy, run_id, reason=reason)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.get_json()["errors"]] == ["/reason"]


@pytest.mark.parametrize(("state", "allowed"), [("draft", ["scheduled"]), ("archived", [])])
def test_only_a_run_that_is_offered_is_cancelled(
    academy: Academy, state: str, allowed: list[str]
) -> None:
    problem = cancel(academy, academy.run(state=state)).get_json()
    assert (problem["status"], problem["code"]) == (409, "run_state_not_allowed")
    assert (problem["state"], problem["allowed"]) == (state, allowed)


def test_a_run_that_changed_since_it_was_read_is_not_cancelled(academy: Academy) -> None:
    run_id, admin = academy.run(), academy.person("admin")
    answer = academy.app.test_client().post(
        f"/api/v1/runs/{run_id}/cancel",
        base_url=f"http://{academy.slug}.localhost",
        headers={**admin.headers, "If-Match": '"7"'},
        json={"reason": REASON},
    )
    assert (answer.status_code, read(academy, run_id)["state"]) == (412, "scheduled")


def test_cancelling_is_on_record(academy: Academy) -> None:
    run_id, admin = academy.run(), academy.person("admin")
    cancel(academy, run_id, admin)
    (event,) = academy.rows(
        "SELECT actor_id, before, after FROM audit_events"
        " WHERE action = 'course_run.cancel' AND subject_id = :id",
        id=run_id,
    )
    assert event["actor_id"] == admin.id
    assert event["before"] == {"state": "scheduled"}
    assert event["after"] == {"state": "cancelled", "reason": REASON}


def test_cancelling_again_changes_nothing(academy: Academy) -> None:
    run_id = academy.run()
    buy(academy, run_id)
    first = cancel(academy, run_id).get_json()
    assert cancel(academy, run_id, reason="Another").get_json() == first
    assert len(academy.work(CANCEL_RUN, run_id)) == 1
    see_through(academy, run_id)
    third = cancel(academy, run_id).get_json()
    assert (third["cancelled_at"], third["cancel_reason"]) == (first["cancelled_at"], REASON)
    assert academy.work(CANCEL_RUN, run_id) == []


def test_cancelling_again_takes_up_work_that_was_given_up(academy: Academy) -> None:
    run_id = academy.run()
    person, _ = buy(academy, run_id)
    cancel(academy, run_id)
    academy.execute_as_owner(
        "UPDATE platform.work SET state = 'failed' WHERE subject_id = :id", id=run_id
    )
    cancel(academy, run_id)
    see_through(academy, run_id)
    assert academy.balance(person) == 4900


def test_who_is_just_enrolling_is_waited_for_and_gets_the_money_back(academy: Academy) -> None:
    admin, person, run_id = academy.person("admin"), academy.person(money=4900), academy.run()

    def change() -> int | None:
        with academy.database.transaction(academy.scope) as session:
            doorbell = Doorbell(academy.settings.redis_url)
            run = cancel_run(session, doorbell, admin.actor, run_id, reason=REASON, expected=None)
            return run.enrollments_left

    with ThreadPoolExecutor(1) as pool:
        with academy.database.transaction(academy.scope) as session:
            enroll(
                session,
                person.actor,
                Order(payment_id=new_id(), run_id=run_id, method="wallet"),
            )
            waiting = pool.submit(change)
            academy.wait_for_a_lock()
        assert waiting.result(DEADLINE) == 1
    see_through(academy, run_id)
    assert academy.balance(person) == 4900
    academy.assert_books_balance()


# --- one by one


@pytest.mark.parametrize("starts_in", [7, -0.5])
def test_what_came_from_the_wallet_goes_back_in_full_whatever_the_policy(
    academy: Academy, starts_in: float
) -> None:
    run_id = academy.run(starts_in=starts_in, refund_policy=[])
    admin = academy.person("admin")
    person, purchase = buy(academy, run_id)
    cancel(academy, run_id, admin)
    see_through(academy, run_id)
    (refund,) = refunds_of(academy, purchase)
    assert (refund["amount"], refund["destination"], refund["state"]) == (
        *(4900, "wallet"),
        "succeeded",
    )
    assert (refund["reason"], refund["created_by"]) == ("run_cancelled", admin.id)
    assert state_of(academy, purchase) == ("withdrawn", "run_cancelled")
    assert (academy.balance(person), academy.seats_taken(run_id)) == (4900, 0)
    receipts = academy.rows("SELECT amount FROM receipts WHERE refund_id = :id", id=refund["id"])
    assert receipts == [{"amount": 4900}]
    academy.assert_books_balance()


def test_what_came_from_a_card_goes_back_to_the_card(academy: Academy) -> None:
    run_id = academy.run(starts_in=-0.5)
    _, purchase = buy(academy, run_id, "provider", "tok_success")
    cancel(academy, run_id)
    see_through(academy, run_id)
    (refund,) = refunds_of(academy, purchase)
    assert (refund["destination"], refund["state"]) == ("provider", "created")
    assert state_of(academy, purchase) == ("withdrawn", "run_cancelled")
    academy.do_work(SETTLE_PAYMENT, refund["id"])
    (refund,) = refunds_of(academy, purchase)
    assert (refund["amount"], refund["state"]) == (4900, "succeeded")
    name = academy.recorded_name(purchase["payment"]["id"])
    assert academy.at_provider(name)["refunded_amount"] == 4900
    academy.assert_books_balance()


def test_what_was_given_back_before_is_not_given_back_again(academy: Academy) -> None:
    run_id, admin = academy.run(), academy.person("admin")
    person, purchase = buy(academy, run_id)
    part = {"amount": {"amount": 1000, "currency": "EUR"}}
    academy.post(f"/payments/{purchase['payment']['id']}/refunds", admin, part)
    cancel(academy, run_id)
    see_through(academy, run_id)
    assert [row["amount"] for row in refunds_of(academy, purchase)] == [1000, 3900]
    assert academy.balance(person) == 4900
    academy.assert_books_balance()


def test_a_free_place_ends_without_a_refund(academy: Academy) -> None:
    run_id = academy.run(price=0)
    _, purchase = buy(academy, run_id, "free")
    cancel(academy, run_id)
    see_through(academy, run_id)
    assert state_of(academy, purchase) == ("withdrawn", "run_cancelled")
    assert refunds_of(academy, purchase) == []
    academy.assert_books_balance()


def test_an_enrollment_without_a_payment_ends_too(school: Academy) -> None:
    run_id = school.run(price=0)
    _, purchase = buy(school, run_id, "free")
    school.execute_as_owner(
        "UPDATE enrollments SET payment_id = NULL WHERE run_id = :id", id=run_id
    )
    cancel(school, run_id)
    see_through(school, run_id)
    assert state_of(school, purchase) == ("withdrawn", "run_cancelled")
    assert school.seats_taken(run_id) == 0


def test_a_suspended_learner_gets_the_money_back_too(academy: Academy) -> None:
    run_id = academy.run()
    person, purchase = buy(academy, run_id)
    academy.execute_as_owner(
        "UPDATE enrollments SET state = 'suspended' WHERE run_id = :id", id=run_id
    )
    cancel(academy, run_id)
    see_through(academy, run_id)
    assert (state_of(academy, purchase)[0], academy.balance(person)) == ("withdrawn", 4900)
    academy.assert_books_balance()


def test_who_completed_the_run_stays_completed_and_gets_nothing_back(academy: Academy) -> None:
    run_id = academy.run()
    person, purchase = buy(academy, run_id)
    complete(academy, purchase)
    assert cancel(academy, run_id).get_json()["enrollments_left"] == 0
    see_through(academy, run_id)
    path = f"/enrollments/{purchase['enrollment']['id']}"
    assert academy.get(path, person).get_json()["state"] == "completed"
    assert (academy.balance(person), academy.seats_taken(run_id)) == (0, 1)
    academy.assert_books_balance()


def test_who_completes_it_at_the_last_moment_keeps_it_and_gets_nothing_back(
    academy: Academy,
) -> None:
    run_id = academy.run()
    person, purchase = buy(academy, run_id)
    cancel(academy, run_id)
    complete(academy, purchase)
    with academy.database.transaction(academy.scope) as session:
        doorbell = Doorbell(academy.settings.redis_url)
        end_enrollment(session, doorbell, UUID(purchase["enrollment"]["id"]))
    assert (academy.balance(person), refunds_of(academy, purchase)) == (0, [])
    see_through(academy, run_id)
    academy.assert_books_balance()


@pytest.mark.parametrize("expires_first", [True, False])
def test_late_money_of_a_pending_one_is_given_back(academy: Academy, expires_first: bool) -> None:
    run_id = academy.run()
    _, purchase = buy(academy, run_id, "provider", "tok_pending")
    if expires_first:
        academy.execute_as_owner(
            "UPDATE enrollments SET hold_until = now() - interval '1 second' WHERE id = :id",
            id=purchase["enrollment"]["id"],
        )
        academy.do_work(EXPIRE_ENROLLMENT, purchase["enrollment"]["id"])
    cancel(academy, run_id)
    see_through(academy, run_id)
    assert state_of(academy, purchase) == (
        ("expired", "hold_ran_out") if expires_first else ("cancelled", "run_cancelled")
    )
    assert academy.seats_taken(run_id) == 0
    academy.settle_at_provider(academy.recorded_name(purchase["payment"]["id"]))
    academy.do_work(SETTLE_PAYMENT, purchase["payment"]["id"])
    (refund,) = refunds_of(academy, purchase)
    assert (refund["amount"], refund["reason"]) == (4900, "late_money")
    academy.do_work(SETTLE_PAYMENT, refund["id"])
    academy.assert_books_balance()


def test_who_pays_before_their_turn_comes_gets_the_money_back(academy: Academy) -> None:
    run_id = academy.run()
    _, purchase = buy(academy, run_id, "provider", "tok_pending")
    cancel(academy, run_id)
    academy.settle_at_provider(academy.recorded_name(purchase["payment"]["id"]))
    academy.do_work(SETTLE_PAYMENT, purchase["payment"]["id"])
    assert state_of(academy, purchase) == ("active", "paid")
    see_through(academy, run_id)
    (refund,) = refunds_of(academy, purchase)
    assert (refund["amount"], refund["reason"]) == (4900, "run_cancelled")
    academy.assert_books_balance()


def test_a_pending_ones_coupon_may_be_used_again(academy: Academy) -> None:
    run_id, code, person = academy.run(), academy.coupon(), academy.person()
    academy.enroll(person, run_id, "provider", token="tok_pending", coupon=code)
    assert academy.coupon_uses(code) == 1
    cancel(academy, run_id)
    see_through(academy, run_id)
    assert academy.coupon_uses(code) == 0
    academy.assert_books_balance()


def test_while_a_bank_decides_nothing_is_given_back_which_is_on_record(academy: Academy) -> None:
    purchase = disputed(academy)
    admin = academy.person("admin")
    cancel(academy, purchase["run_id"], admin)
    see_through(academy, purchase["run_id"])
    assert state_of(academy, purchase) == ("withdrawn", "run_cancelled")
    assert refunds_of(academy, purchase) == []
    (event,) = academy.rows(
        "SELECT actor_id, after FROM audit_events"
        " WHERE action = 'payment.refund_skipped' AND subject_id = :id",
        id=UUID(purchase["payment"]["id"]),
    )
    assert event["actor_id"] == admin.id
    assert event["after"] == {
        "reason": "payment_disputed",
        "run_id": str(purchase["run_id"]),
        "left": 4900,
        "currency": "EUR",
    }
    academy.assert_books_balance()


def test_once_the_bank_decided_for_the_academy_it_is_given_back_once(academy: Academy) -> None:
    purchase = disputed(academy)
    cancel(academy, purchase["run_id"])
    see_through(academy, purchase["run_id"])
    move(academy, purchase, "won")
    tell(academy, purchase["name"], dispute_id=purchase["dispute"])  # the news come again
    assert [row["amount"] for row in refunds_of(academy, purchase)] == [4900]
    academy.assert_books_balance()


def test_a_dispute_won_gives_nothing_to_whoever_has_left_before(academy: Academy) -> None:
    purchase = disputed(academy)
    academy.post(f"/enrollments/{purchase['enrollment']['id']}/withdraw", purchase["person"])
    cancel(academy, purchase["run_id"])
    see_through(academy, purchase["run_id"])
    move(academy, purchase, "won")
    assert refunds_of(academy, purchase) == []


def test_who_leaves_a_cancelled_run_while_a_bank_decides_gets_it_afterwards(
    academy: Academy,
) -> None:
    purchase = disputed(academy)
    cancel(academy, purchase["run_id"])
    academy.post(f"/enrollments/{purchase['enrollment']['id']}/withdraw", purchase["person"])
    see_through(academy, purchase["run_id"])
    move(academy, purchase, "won")
    assert [row["amount"] for row in refunds_of(academy, purchase)] == [4900]


def test_what_a_bank_leaves_of_a_payment_is_given_back(academy: Academy) -> None:
    purchase = disputed(academy, amount=1000)
    cancel(academy, purchase["run_id"])
    see_through(academy, purchase["run_id"])
    move(academy, purchase, "lost")
    assert [row["amount"] for row in refunds_of(academy, purchase)] == [3900]
    academy.assert_books_balance()


def test_what_a_bank_took_for_good_is_not_given_back_again(academy: Academy) -> None:
    purchase = disputed(academy, amount=1000)
    move(academy, purchase, "lost")
    cancel(academy, purchase["run_id"])
    see_through(academy, purchase["run_id"])
    assert [row["amount"] for row in refunds_of(academy, purchase)] == [3900]
    academy.assert_books_balance()


def test_who_leaves_a_cancelled_run_by_themselves_gets_everything_too(academy: Academy) -> None:
    run_id = academy.run(starts_in=-0.5)
    person, purchase = buy(academy, run_id)
    path = f"/payments/{purchase['payment']['id']}/refund-quote"
    assert academy.get(path, person).get_json()["nothing_because"] == "after_last_step"
    cancel(academy, run_id)
    quote = academy.get(path, person).get_json()
    assert (quote["percent"], quote["amount"]["amount"], quote["until"]) == (100, 4900, None)
    academy.post(f"/enrollments/{purchase['enrollment']['id']}/withdraw", person)
    assert academy.balance(person) == 4900
    see_through(academy, run_id)
    assert len(refunds_of(academy, purchase)) == 1
    academy.assert_books_balance()


# --- and again


def test_more_than_are_done_at_once_are_asked_for_anew(
    academy: Academy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handler, "ENROLLMENTS_AT_ONCE", 2)
    run_id = academy.run()
    people = [buy(academy, run_id)[0] for _ in range(5)]
    cancel(academy, run_id)
    left = []
    while academy.work(CANCEL_RUN, run_id):
        academy.do_work(CANCEL_RUN, run_id)
        left.append(read(academy, run_id)["enrollments_left"])
    assert left == [3, 1, 0]
    assert [academy.balance(person) for person in people] == [4900] * 5
    academy.assert_books_balance()


def test_an_enrollment_that_cannot_be_ended_holds_up_nobody_else(
    academy: Academy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its history has the change already that ending it would write: a fault of ours."""
    monkeypatch.setattr(handler, "ENROLLMENTS_AT_ONCE", 2)
    run_id = academy.run()
    (unlucky, bad), *others = [buy(academy, run_id) for _ in range(5)]
    cancel(academy, run_id)
    enrollment_id = UUID(bad["enrollment"]["id"])
    (run,) = academy.rows("SELECT cancelled_at FROM course_runs WHERE id = :id", id=run_id)
    change_id = derived_id(run["cancelled_at"], enrollment_id)
    academy.execute_as_owner(
        "INSERT INTO enrollment_changes (id, enrollment_id, to_state, reason)"
        " VALUES (:id, :enrollment_id, 'active', 'misplaced')",
        id=change_id,
        enrollment_id=enrollment_id,
    )
    while read(academy, run_id)["enrollments_left"] > 1:
        academy.do_work(CANCEL_RUN, run_id)
    assert [academy.balance(person) for person, _ in others] == [4900] * 4
    assert academy.balance(unlucky) == 0

    (row,) = academy.work(CANCEL_RUN, run_id)
    run_work(worker(academy), row["id"])
    (failed,) = academy.work(CANCEL_RUN, run_id)
    assert (failed["attempts"], failed["error"].split(":")[0]) == (1, "IntegrityError")
    academy.execute_as_owner("DELETE FROM enrollment_changes WHERE id = :id", id=change_id)
    see_through(academy, run_id)
    assert academy.balance(unlucky) == 4900
    academy.assert_books_balance()


def test_a_worker_that_is_asked_to_stop_leaves_the_rest_to_another(academy: Academy) -> None:
    run_id = academy.run()
    people = [buy(academy, run_id)[0] for _ in range(3)]
    cancel(academy, run_id)
    (row,) = academy.work(CANCEL_RUN, run_id)
    answers = iter([False, True])
    with academy.database.transaction(academy.scope) as session:
        held = claim(session, academy.organization_id, row["id"], lease_seconds=60)
    assert held is not None
    with pytest.raises(HandBackError):
        handler.cancel_run(worker(academy, should_stop=lambda: next(answers)), held)
    assert read(academy, run_id)["enrollments_left"] == 2
    academy.execute_as_owner(
        "UPDATE platform.work SET state = 'waiting', lease_until = NULL WHERE id = :id",
        id=row["id"],
    )
    see_through(academy, run_id)
    assert [academy.balance(person) for person in people] == [4900] * 3
    academy.assert_books_balance()


def test_two_workers_at_the_same_enrollments_give_everything_back_once(academy: Academy) -> None:
    run_id = academy.run()
    bought = [buy(academy, run_id) for _ in range(4)]
    cancel(academy, run_id)
    doorbell = Doorbell(academy.settings.redis_url)

    def end(number: int) -> None:
        for _, purchase in bought[:: 1 if number % 2 else -1]:
            with academy.database.transaction(academy.scope) as session:
                end_enrollment(session, doorbell, UUID(purchase["enrollment"]["id"]))

    together(4, end)
    assert [academy.balance(person) for person, _ in bought] == [4900] * 4
    assert [len(refunds_of(academy, purchase)) for _, purchase in bought] == [1] * 4
    see_through(academy, run_id)
    academy.assert_books_balance()


def test_learners_who_leave_meanwhile_get_their_money_once(academy: Academy) -> None:
    run_id = academy.run()
    bought = [buy(academy, run_id) for _ in range(4)]
    cancel(academy, run_id)

    def race(number: int) -> None:
        if number == 0:
            see_through(academy, run_id)
        else:
            person, purchase = bought[number - 1]
            academy.post(f"/enrollments/{purchase['enrollment']['id']}/withdraw", person)

    together(5, race)
    assert [academy.balance(person) for person, _ in bought] == [4900] * 4
    assert read(academy, run_id)["enrollments_left"] == 0
    academy.assert_books_balance()


def test_an_enrollment_of_a_run_that_goes_on_is_left_alone(academy: Academy) -> None:
    run_id = academy.run()
    person, purchase = buy(academy, run_id)
    with academy.database.transaction(academy.scope) as session:
        doorbell = Doorbell(academy.settings.redis_url)
        end_enrollment(session, doorbell, UUID(purchase["enrollment"]["id"]))
    assert (state_of(academy, purchase)[0], academy.balance(person)) == ("active", 0)


def test_a_cancelled_run_leaves_books_that_agree(school: Academy) -> None:
    run_id = school.run()
    buy(school, run_id)
    buy(school, run_id, "provider", "tok_success")
    buy(school, run_id, "provider", "tok_pending")
    cancel(school, run_id)
    see_through(school, run_id)
    assert books.check(school).findings == []


def test_a_cancelled_run_that_nobody_works_off_is_found(school: Academy) -> None:
    run_id = school.run()
    buy(school, run_id)
    cancel(school, run_id)
    assert books.check(school).findings == []
    school.execute_as_owner("DELETE FROM platform.work WHERE subject_id = :id", id=run_id)
    (finding,) = books.check(school).findings
    assert (finding.check, finding.subject_type) == ("work_lost", "run")
    assert finding.subject_id == str(run_id)


def test_what_the_provider_will_not_give_back_stays_owed(school: Academy) -> None:
    run_id = school.run()
    _, purchase = buy(school, run_id, "provider", "tok_success")
    cancel(school, run_id)
    see_through(school, run_id)
    (refund,) = refunds_of(school, purchase)
    with school.refused("provider_down") as refusing:
        refusing.do_work(SETTLE_PAYMENT, refund["id"])
    assert refunds_of(school, purchase)[0]["state"] == "created"
    school.do_work(SETTLE_PAYMENT, refund["id"])
    assert refunds_of(school, purchase)[0]["state"] == "succeeded"
