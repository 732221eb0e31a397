"""Refunds that somebody made in the provider's dashboard: booked once, and never ours twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import Any
from uuid import UUID

from sqlalchemy import text

from lms.checkout.external_refunds import MADE_AT_PROVIDER
from lms.checkout.settlement import apply
from lms.core.queue import SETTLE_PAYMENT, Doorbell
from lms.payments.attempts import Answer
from tests.factories import provider_side as there
from tests.factories.money import DEADLINE, Academy, together
from tests.factories.people import Person


def buy(
    academy: Academy, token: str = "tok_success", *, person: Person | None = None
) -> dict[str, Any]:
    """Pay 4900 by the provider; the purchase, with the provider's name for the payment."""
    run_id = academy.run()
    answer = academy.enroll(person or academy.person(), run_id, "provider", token=token)
    assert answer.status_code == 201, answer.text
    purchase = answer.get_json()
    name = academy.recorded_name(purchase["payment"]["id"])
    return {**purchase, "name": name, "run_id": run_id}


def refunds_of(academy: Academy, purchase: dict[str, Any]) -> list[dict[str, Any]]:
    return academy.rows(
        "SELECT r.*, (SELECT count(*) FROM receipts c WHERE c.refund_id = r.id) AS receipts"
        " FROM refunds r WHERE payment_id = :id ORDER BY id",
        id=UUID(purchase["payment"]["id"]),
    )


def standing(academy: Academy, purchase: dict[str, Any]) -> tuple[str, int]:
    """The enrollment's state, and what of the payment is given back."""
    (row,) = academy.rows(
        "SELECT e.state, p.refunded_amount FROM payments p"
        " JOIN enrollments e ON e.payment_id = p.id WHERE p.id = :id",
        id=UUID(purchase["payment"]["id"]),
    )
    return row["state"], row["refunded_amount"]


def refund_by_admin(academy: Academy, purchase: dict[str, Any], amount: int | None = None) -> Any:
    body = {} if amount is None else {"amount": {"amount": amount, "currency": "EUR"}}
    path = f"/payments/{purchase['payment']['id']}/refunds"
    return academy.post(path, academy.person("admin"), body)


# --- payments for runs


def test_a_part_that_was_given_back_at_the_provider_is_a_refund_of_its_own(
    academy: Academy,
) -> None:
    purchase = buy(academy)
    refund_id = there.give_back(academy, purchase["name"], 900)
    there.tell(academy, purchase["name"])
    (refund,) = refunds_of(academy, purchase)
    assert (refund["amount"], refund["destination"], refund["state"]) == (
        *(900, "provider", "succeeded"),
    )
    assert (refund["reason"], refund["created_by"]) == (MADE_AT_PROVIDER, None)
    assert (refund["provider_refund_id"], refund["receipts"]) == (refund_id, 1)
    assert refund["succeeded_at"] is not None
    assert standing(academy, purchase) == ("active", 900)
    academy.assert_books_balance()


def test_its_audit_event_tells_before_and_after(academy: Academy) -> None:
    purchase = buy(academy)
    there.give_back(academy, purchase["name"], 900)
    there.tell(academy, purchase["name"])
    (refund,) = refunds_of(academy, purchase)
    rows = academy.rows(
        "SELECT action, actor_id, before, after FROM audit_events WHERE subject_id = :id",
        id=UUID(purchase["payment"]["id"]),
    )
    assert rows == [
        {
            "action": "payment.refund",
            "actor_id": None,
            "before": {"refunded_amount": 0},
            "after": {
                "refunded_amount": 900,
                "refund_id": str(refund["id"]),
                "amount": 900,
                "currency": "EUR",
                "destination": "provider",
                "reason": MADE_AT_PROVIDER,
            },
        }
    ]


def test_only_the_last_part_ends_the_enrollment(academy: Academy) -> None:
    purchase = buy(academy)
    for amount, expected in ((900, ("active", 900)), (4000, ("withdrawn", 4900))):
        there.give_back(academy, purchase["name"], amount)
        there.tell(academy, purchase["name"])
        assert standing(academy, purchase) == expected
    assert academy.seats_taken(purchase["run_id"]) == 0
    academy.assert_books_balance()


def test_a_part_of_ours_and_a_part_of_theirs_end_it_together(academy: Academy) -> None:
    purchase = buy(academy)
    assert refund_by_admin(academy, purchase, 4000).status_code == 201
    there.give_back(academy, purchase["name"], 900)
    there.tell(academy, purchase["name"])
    assert standing(academy, purchase) == ("withdrawn", 4900)
    assert [row["reason"] for row in refunds_of(academy, purchase)] == ["", MADE_AT_PROVIDER]


def test_news_told_again_and_at_once_book_it_once(academy: Academy) -> None:
    purchase = buy(academy)
    there.give_back(academy, purchase["name"], 900)
    bodies = [there.event_of(academy, purchase["name"]) for _ in range(6)]
    answers = together(6, lambda number: there.deliver(academy, bodies[number]))
    assert {answer.status_code for answer in answers} == {204}
    assert [row["amount"] for row in refunds_of(academy, purchase)] == [900]
    assert standing(academy, purchase) == ("active", 900)
    academy.assert_books_balance()


def test_one_that_is_still_on_its_way_is_booked_once_it_has_gone(academy: Academy) -> None:
    purchase = buy(academy, "tok_pending_refund")
    refund_id = there.give_back(academy, purchase["name"], 900)
    there.tell(academy, purchase["name"])
    assert refunds_of(academy, purchase) == []
    academy.settle_refund_at_provider(refund_id)
    there.tell(academy, purchase["name"])
    assert [row["amount"] for row in refunds_of(academy, purchase)] == [900]


def test_the_sweeper_sees_what_was_given_back_before_it_looked(academy: Academy) -> None:
    person = academy.person()
    answer = academy.enroll(person, academy.run(), "provider", token="tok_pending")
    purchase = answer.get_json()
    name = academy.recorded_name(purchase["payment"]["id"])
    academy.settle_at_provider(name)
    there.give_back(academy, name, 900)
    academy.do_work(SETTLE_PAYMENT, purchase["payment"]["id"])
    assert standing(academy, purchase) == ("active", 900)
    receipts = academy.get("/receipts", person).get_json()["items"]
    assert [(row["kind"], row["amount"]["amount"]) for row in receipts] == [
        ("refund", 900),
        ("payment", 4900),
    ]


# --- ours, whose answer has not reached us


def made_there(academy: Academy, purchase: dict[str, Any], refund_id: str, amount: int) -> None:
    """Let a refund of ours have reached the provider, without its answer having reached us."""
    there.ask(
        academy,
        f"/payments/{purchase['name']}/refunds",
        {"amount": amount, "metadata": {"refund": refund_id}},
    )


def test_a_refund_of_ours_whose_answer_is_on_its_way_is_not_booked_twice(
    academy: Academy, offline: Academy
) -> None:
    purchase = buy(academy)
    refund = refund_by_admin(offline, purchase, 1000).get_json()
    made_there(academy, purchase, refund["id"], 1000)
    there.tell(academy, purchase["name"])
    assert [row["state"] for row in refunds_of(academy, purchase)] == ["created"]
    assert standing(academy, purchase) == ("active", 1000)


def test_taking_the_providers_sum_for_others_refunds_would_book_ours_twice(
    academy: Academy, offline: Academy
) -> None:
    """The naive way: what the provider gave back beyond our succeeded refunds is somebody's."""
    purchase = buy(academy)
    refund = refund_by_admin(offline, purchase, 1000).get_json()
    made_there(academy, purchase, refund["id"], 1000)
    ours = sum(
        row["amount"] for row in refunds_of(academy, purchase) if row["state"] == "succeeded"
    )
    assert academy.at_provider(purchase["name"])["refunded_amount"] - ours == 1000


def test_a_refund_of_ours_that_the_provider_made_and_will_not_make_again_has_succeeded(
    academy: Academy, offline: Academy
) -> None:
    purchase = buy(academy)
    refund = refund_by_admin(offline, purchase).get_json()
    made_there(academy, purchase, refund["id"], 4900)
    academy.do_work(SETTLE_PAYMENT, refund["id"])
    assert [row["state"] for row in refunds_of(academy, purchase)] == ["succeeded"]
    assert standing(academy, purchase) == ("withdrawn", 4900)
    assert academy.at_provider(purchase["name"])["refunded_amount"] == 4900
    academy.assert_books_balance()


# --- what does not fit beside ours


def test_what_does_not_fit_beside_an_open_refund_of_ours_waits_until_that_is_refused(
    academy: Academy, offline: Academy
) -> None:
    purchase = buy(academy)
    ours = refund_by_admin(offline, purchase).get_json()
    there.give_back(academy, purchase["name"], 4900)
    body = there.event_of(academy, purchase["name"])
    assert there.deliver(academy, body).status_code == 204
    assert there.is_applied(academy, body) is False
    assert [str(row["id"]) for row in refunds_of(academy, purchase)] == [ours["id"]]
    academy.do_work(SETTLE_PAYMENT, ours["id"])
    own, theirs = refunds_of(academy, purchase)
    assert (own["state"], own["failure_code"]) == ("failed", "refund_exceeds_payment")
    assert (theirs["state"], theirs["reason"], theirs["receipts"]) == (
        *("succeeded", MADE_AT_PROVIDER, 1),
    )
    assert standing(academy, purchase) == ("withdrawn", 4900)
    assert there.is_applied(academy, body) is True
    academy.assert_books_balance()


def test_who_left_gets_the_rest_of_what_a_refund_in_the_way_was_for(
    academy: Academy, offline: Academy
) -> None:
    person = academy.person()
    purchase = buy(academy, person=person)
    path = f"/enrollments/{purchase['enrollment']['id']}/withdraw"
    ours = offline.post(path, person).get_json()["refund"]
    there.give_back(academy, purchase["name"], 900)
    academy.do_work(SETTLE_PAYMENT, ours["id"])
    failed, theirs, rest = refunds_of(academy, purchase)
    assert [row["amount"] for row in (failed, theirs, rest)] == [4900, 900, 4000]
    assert (failed["state"], theirs["reason"], rest["reason"]) == (
        *("failed", MADE_AT_PROVIDER, "withdrawn, 100 %"),
    )
    academy.do_work(SETTLE_PAYMENT, rest["id"])
    assert [row["state"] for row in refunds_of(academy, purchase)] == [
        *("failed", "succeeded", "succeeded"),
    ]
    assert academy.at_provider(purchase["name"])["refunded_amount"] == 4900
    academy.assert_books_balance()


def test_who_left_by_a_policy_gets_no_more_than_it_gives_when_others_gave_more(
    academy: Academy, offline: Academy
) -> None:
    person = academy.person()
    until = (datetime.now(UTC) + timedelta(days=5)).isoformat()
    run_id = academy.run(refund_policy=[{"until": until, "percent": 50}])
    purchase = academy.enroll(person, run_id, "provider", token="tok_success").get_json()
    name = academy.recorded_name(purchase["payment"]["id"])
    path = f"/enrollments/{purchase['enrollment']['id']}/withdraw"
    ours = offline.post(path, person).get_json()["refund"]
    there.give_back(academy, name, 3000)
    academy.do_work(SETTLE_PAYMENT, ours["id"])
    rows = refunds_of(academy, purchase)
    assert [(row["amount"], row["state"]) for row in rows] == [
        *((2450, "failed"), (3000, "succeeded")),
    ]
    assert standing(academy, purchase) == ("withdrawn", 3000)
    assert academy.work(SETTLE_PAYMENT, ours["id"]) == []
    academy.assert_books_balance()


def test_who_left_by_a_policy_gets_the_rest_of_it_when_others_gave_less(
    academy: Academy, offline: Academy
) -> None:
    person = academy.person()
    until = (datetime.now(UTC) + timedelta(days=5)).isoformat()
    run_id = academy.run(refund_policy=[{"until": until, "percent": 80}])
    purchase = academy.enroll(person, run_id, "provider", token="tok_success").get_json()
    name = academy.recorded_name(purchase["payment"]["id"])
    path = f"/enrollments/{purchase['enrollment']['id']}/withdraw"
    ours = offline.post(path, person).get_json()["refund"]
    there.give_back(academy, name, 1000)
    academy.do_work(SETTLE_PAYMENT, ours["id"])
    rows = refunds_of(academy, purchase)
    assert [row["amount"] for row in rows] == [3920, 1000, 2920]


# --- top-ups


def topped_up(academy: Academy, person: Person, token: str = "tok_success") -> tuple[str, str]:
    """Our name for a top-up of 5000, and the provider's."""
    top_up = academy.top_up(person, 5000, token).get_json()
    (row,) = academy.rows(
        "SELECT provider_payment_id AS name FROM wallet_top_ups WHERE id = :id",
        id=UUID(top_up["id"]),
    )
    return top_up["id"], row["name"]


def test_a_top_up_that_was_given_back_at_the_provider_is_taken_out_of_the_wallet(
    academy: Academy,
) -> None:
    person = academy.person()
    top_up_id, name = topped_up(academy, person)
    for amount, in_all in ((2000, 2000), (3000, 5000)):
        there.give_back(academy, name, amount)
        for _ in range(2):
            there.tell(academy, name)
        assert academy.balance(person) == 5000 - in_all
        top_up = academy.get(f"/wallet/top-ups/{top_up_id}", person).get_json()
        assert top_up["reversed_amount"] == {"amount": in_all, "currency": "EUR"}
    rows = academy.get("/wallet/transactions", person).get_json()["items"]
    assert [row["amount"]["amount"] for row in rows] == [-3000, -2000, 5000]
    academy.assert_books_balance()


def test_a_refund_of_a_top_up_that_is_still_on_its_way_leaves_the_wallet(academy: Academy) -> None:
    person = academy.person()
    _, name = topped_up(academy, person, "tok_pending_refund")
    refund_id = there.give_back(academy, name, 2000)
    there.tell(academy, name)
    assert academy.balance(person) == 5000
    academy.settle_refund_at_provider(refund_id)
    there.tell(academy, name)
    assert academy.balance(person) == 3000


def test_the_sweeper_deposits_and_takes_out_again_what_went_back_meanwhile(
    academy: Academy,
) -> None:
    person = academy.person()
    top_up_id, name = topped_up(academy, person, "tok_pending")
    academy.settle_at_provider(name)
    there.give_back(academy, name, 2000)
    academy.do_work(SETTLE_PAYMENT, top_up_id)
    rows = academy.get("/wallet/transactions", person).get_json()["items"]
    assert [row["amount"]["amount"] for row in rows] == [-2000, 5000]


# --- events and receipts


def test_kept_events_of_another_provider_or_account_are_not_taken_for_ours(
    academy: Academy,
) -> None:
    person = academy.person()
    answer = academy.enroll(person, academy.run(), "provider", token="tok_pending")
    payment_id = answer.get_json()["payment"]["id"]
    name = academy.recorded_name(payment_id)
    ours = ("sandbox", str(academy.organization_id))
    for provider, account in (ours, ("stripe", ours[1]), ("sandbox", "another")):
        academy.execute_as_owner(
            "INSERT INTO webhook_events (provider, account, event_id, type, provider_payment_id)"
            " VALUES (:provider, :account, :name, 'payment.succeeded', :name)",
            provider=provider,
            account=account,
            name=name,
        )
    academy.settle_at_provider(name)
    academy.do_work(SETTLE_PAYMENT, payment_id)
    applied = academy.rows(
        "SELECT provider, account FROM webhook_events"
        " WHERE event_id = :name AND applied_at IS NOT NULL",
        name=name,
    )
    assert [(row["provider"], row["account"]) for row in applied] == [ours]


def test_news_of_a_top_up_from_before_there_were_receipts_issue_none(school: Academy) -> None:
    person = school.person()
    _, name = topped_up(school, person)
    school.execute_as_owner("DELETE FROM receipts")
    school.execute_as_owner("DELETE FROM receipt_counters")
    there.tell(school, name)
    assert school.rows("SELECT * FROM receipts") == []


def test_news_of_a_refund_from_before_there_were_receipts_issue_none(school: Academy) -> None:
    purchase = buy(school)
    refund_id = UUID(refund_by_admin(school, purchase).get_json()["id"])
    school.execute_as_owner("DELETE FROM receipts")
    school.execute_as_owner("DELETE FROM receipt_counters")
    with school.database.transaction(school.scope) as session:
        bell = Doorbell(school.settings.redis_url)
        apply(session, bell, "refund", refund_id, Answer("succeeded", "re_1"))
    assert school.rows("SELECT * FROM receipts") == []


def test_news_lock_a_payments_try_before_the_payment(academy: Academy) -> None:
    """News of a dispute do so too, so whatever comes at once, nobody waits in a circle."""
    purchase = buy(academy)
    there.give_back(academy, purchase["name"], 900)
    body, answers = there.event_of(academy, purchase["name"]), []
    deliver = Thread(target=lambda: answers.append(there.deliver(academy, body).status_code))
    payment_id = UUID(purchase["payment"]["id"])
    with academy.database.transaction(academy.scope) as session:
        hold = text("SELECT id FROM provider_attempts WHERE subject_id = :id FOR UPDATE")
        session.execute(hold, {"id": payment_id})
        deliver.start()
        academy.wait_for_a_lock()
        touch = text("SELECT id FROM payments WHERE id = :id FOR NO KEY UPDATE NOWAIT")
        assert session.execute(touch, {"id": payment_id}).scalar() == payment_id
    deliver.join(DEADLINE)
    assert answers == [204]


def test_receipts_are_numbered_after_all_rows_of_an_event_are_written(school: Academy) -> None:
    """While the last of several refunds is waited for, nobody waits for a receipt's number."""
    purchase = buy(school, "tok_pending_refund")
    for amount in (1000, 2000):
        assert refund_by_admin(school, purchase, amount).status_code == 202
    for row in refunds_of(school, purchase):
        school.settle_refund_at_provider(row["provider_refund_id"])
    body, answers = there.event_of(school, purchase["name"]), []
    deliver = Thread(target=lambda: answers.append(there.deliver(school, body).status_code))
    with school.database.transaction(school.scope) as session:
        last = [row["id"] for row in refunds_of(school, purchase)][-1]
        session.execute(text("SELECT id FROM refunds WHERE id = :id FOR UPDATE"), {"id": last})
        deliver.start()
        school.wait_for_a_lock()
        count = text("SELECT last_number FROM receipt_counters FOR UPDATE NOWAIT")
        assert session.execute(count).scalar() == 1
    deliver.join(DEADLINE)
    assert answers == [204]
    assert [row["receipts"] for row in refunds_of(school, purchase)] == [1, 1]
