"""Refunds in parts, to where the money came from: what is left, when a seat is lost."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from lms.checkout.refund_answers import apply_refund
from lms.core.ids import new_id
from lms.core.queue import SETTLE_PAYMENT
from lms.payments.attempts import Answer
from tests.factories.money import Academy
from tests.factories.people import Person

REFUSAL = "refund_exceeds_payment"


def ask(
    academy: Academy,
    admin: Person,
    purchase: dict[str, Any],
    body: dict[str, Any],
    *,
    key: str | None = None,
) -> Any:
    return academy.post(f"/payments/{purchase['payment']['id']}/refunds", admin, body, key=key)


def refund(
    academy: Academy,
    admin: Person,
    purchase: dict[str, Any],
    amount: int | None = None,
    *,
    key: str | None = None,
    reason: str = "",
) -> Any:
    body: dict[str, Any] = {"reason": reason}
    if amount is not None:
        body["amount"] = {"amount": amount, "currency": "EUR"}
    return ask(academy, admin, purchase, body, key=key)


def buy(academy: Academy, method: str = "wallet", token: str = "tok_success") -> dict[str, Any]:
    person = academy.person(money=4900 if method == "wallet" else 0)
    chosen = token if method == "provider" else None
    answer = academy.enroll(person, academy.run(), method, token=chosen)
    return {**answer.get_json(), "person": person}


def standing(academy: Academy, purchase: dict[str, Any]) -> tuple[str, bool, int]:
    """The enrollment's state, whether the payment is live, and what of it is (to be) given back."""
    (row,) = academy.rows(
        "SELECT e.state, p.live, p.refunded_amount FROM payments p"
        " JOIN enrollments e ON e.payment_id = p.id WHERE p.id = :id",
        id=UUID(purchase["payment"]["id"]),
    )
    return row["state"], row["live"], row["refunded_amount"]


def at_provider(academy: Academy, purchase: dict[str, Any]) -> int:
    name = academy.recorded_name(purchase["payment"]["id"])
    return academy.at_provider(name)["refunded_amount"]


@pytest.mark.parametrize("method", ["wallet", "provider"])
def test_parts_end_the_enrollment_only_with_the_last(academy: Academy, method: str) -> None:
    admin, purchase = academy.person("admin"), buy(academy, method)
    for amount, state, total in ((1000, "active", 1000), (3899, "active", 4899)):
        answer = refund(academy, admin, purchase, amount)
        assert (answer.status_code, answer.get_json()["amount"]["amount"]) == (201, amount)
        assert standing(academy, purchase) == (state, True, total)
    assert refund(academy, admin, purchase, 1).status_code == 201
    assert standing(academy, purchase) == ("withdrawn", False, 4900)
    if method == "provider":
        assert at_provider(academy, purchase) == 4900
    else:
        assert academy.balance(purchase["person"]) == 4900
    academy.assert_books_balance()


def test_without_an_amount_the_rest_is_given_back(academy: Academy) -> None:
    admin, purchase = academy.person("admin"), buy(academy)
    refund(academy, admin, purchase, 1500)
    answer = refund(academy, admin, purchase)
    assert (answer.status_code, answer.get_json()["amount"]["amount"]) == (201, 3400)
    assert standing(academy, purchase) == ("withdrawn", False, 4900)


@pytest.mark.parametrize("method", ["wallet", "provider"])
def test_more_than_is_left_is_refused_with_what_is_left(academy: Academy, method: str) -> None:
    admin, purchase = academy.person("admin"), buy(academy, method)
    refund(academy, admin, purchase, 4000)
    answer = refund(academy, admin, purchase, 901)
    problem = answer.get_json()
    assert (answer.status_code, problem["code"]) == (409, "not_refundable")
    assert problem["detail"] == "Only 9.00 EUR of this payment is left to give back."
    assert problem["left"] == {"amount": 900, "currency": "EUR"}
    assert problem["refunded"] == {"amount": 4000, "currency": "EUR"}
    assert standing(academy, purchase) == ("active", True, 4000)
    academy.assert_books_balance()


def test_nothing_is_left_of_what_was_given_back(academy: Academy) -> None:
    admin, purchase = academy.person("admin"), buy(academy)
    refund(academy, admin, purchase)
    problem = refund(academy, admin, purchase, 1).get_json()
    assert (problem["code"], problem["left"]["amount"]) == ("not_refundable", 0)


def test_nothing_is_left_of_what_was_not_paid(academy: Academy) -> None:
    admin, purchase = academy.person("admin"), buy(academy, "provider", "tok_pending")
    problem = refund(academy, admin, purchase, 1).get_json()
    assert (problem["code"], problem["left"]["amount"]) == ("not_refundable", 0)


def test_another_currency_is_refused(academy: Academy) -> None:
    admin, purchase = academy.person("admin"), buy(academy)
    answer = ask(academy, admin, purchase, {"amount": {"amount": 100, "currency": "USD"}})
    problem = answer.get_json()
    assert (answer.status_code, problem["code"]) == (409, "currency_mismatch")
    assert problem["expected"] == "EUR"
    assert standing(academy, purchase) == ("active", True, 0)


@pytest.mark.parametrize(
    "body",
    [
        {"amount": {"amount": 0, "currency": "EUR"}},
        {"amount": {"amount": -1, "currency": "EUR"}},
        {"amount": {"amount": 100}},
        {"amount": None},
        {"destination": "provider"},
    ],
)
def test_a_malformed_refund_is_refused(academy: Academy, body: dict[str, Any]) -> None:
    purchase = buy(academy)
    assert ask(academy, academy.person("admin"), purchase, body).status_code == 422
    assert standing(academy, purchase) == ("active", True, 0)


def test_a_repeated_part_is_given_back_once(academy: Academy) -> None:
    admin, purchase, key = academy.person("admin"), buy(academy), str(uuid4())
    first, again = (refund(academy, admin, purchase, 1000, key=key) for _ in range(2))
    assert again.get_json() == first.get_json()
    assert again.headers["Idempotency-Replayed"] == "true"
    assert refund(academy, admin, purchase, 1001, key=key).status_code == 422
    assert academy.balance(purchase["person"]) == 1000


def test_a_part_whose_answer_was_lost_is_resumed(academy: Academy) -> None:
    admin, purchase, key = academy.person("admin"), buy(academy, "provider"), str(uuid4())
    first = refund(academy, admin, purchase, 1000, key=key)
    academy.forget_answer(key)
    again = refund(academy, admin, purchase, 1000, key=key)
    assert (again.status_code, again.get_json()) == (201, first.get_json())
    assert at_provider(academy, purchase) == 1000


def test_every_part_counts_the_version_up(academy: Academy) -> None:
    admin, purchase = academy.person("admin"), buy(academy)
    path, tags = f"/payments/{purchase['payment']['id']}", []
    for _ in range(3):
        tags.append(academy.get(path, admin).headers["ETag"])
        refund(academy, admin, purchase, 100)
    assert len(set(tags)) == 3


def test_a_part_is_audited_with_what_was_given_back_before_and_after(academy: Academy) -> None:
    admin, purchase = academy.person("admin"), buy(academy)
    refund(academy, admin, purchase, 1000)
    second = refund(academy, admin, purchase, 900, reason="Goodwill").get_json()
    rows = academy.rows(
        "SELECT before, after FROM audit_events WHERE subject_id = :id ORDER BY id",
        id=UUID(purchase["payment"]["id"]),
    )
    assert [row["before"]["refunded_amount"] for row in rows] == [0, 1000]
    assert rows[1]["after"] == {
        "refunded_amount": 1900,
        "refund_id": second["id"],
        "amount": 900,
        "currency": "EUR",
        "destination": "wallet",
        "reason": "Goodwill",
    }


def test_the_journal_keeps_the_reason_of_a_part(academy: Academy) -> None:
    admin, purchase = academy.person("admin"), buy(academy)
    made = refund(academy, admin, purchase, 1000, reason="Goodwill").get_json()
    (row,) = academy.rows(
        "SELECT kind, amount, reason FROM wallet_transactions WHERE refund_id = :id",
        id=UUID(made["id"]),
    )
    assert row == {"kind": "refund", "amount": 1000, "reason": "Goodwill"}


def test_a_payment_tells_how_much_of_it_is_given_back(academy: Academy) -> None:
    admin, purchase = academy.person("admin"), buy(academy)
    states = [purchase["payment"]["refund_state"]]
    for amount in (1000, 3900):
        refund(academy, admin, purchase, amount)
        payment = academy.get(f"/payments/{purchase['payment']['id']}", admin).get_json()
        states.append(payment["refund_state"])
    assert states == ["none", "partial", "full"]


def test_what_was_free_has_nothing_given_back(academy: Academy) -> None:
    answer = academy.enroll(academy.person(), academy.run(price=0), "free")
    assert answer.get_json()["payment"]["refund_state"] == "none"


def test_a_part_that_the_provider_refuses_is_free_again(academy: Academy) -> None:
    admin, purchase = academy.person("admin"), buy(academy, "provider")
    refund(academy, admin, purchase, 1500)
    with academy.refused(REFUSAL) as refused:
        answer = refund(refused, admin, purchase, 1000)
    assert (answer.status_code, answer.get_json()["code"]) == (409, "refund_refused")
    assert standing(academy, purchase) == ("active", True, 1500)
    assert refund(academy, admin, purchase, 3400).status_code == 201
    assert standing(academy, purchase) == ("withdrawn", False, 4900)
    academy.assert_books_balance()


def test_a_part_that_is_refused_after_the_seat_was_left_stays_open(academy: Academy) -> None:
    admin, purchase = academy.person("admin"), buy(academy, "provider")
    academy.execute_as_owner(
        "UPDATE payments SET refund_policy = :steps WHERE id = :id",
        steps='[{"until": "2100-01-01T00:00:00+00:00", "percent": 50}]',
        id=purchase["payment"]["id"],
    )
    academy.post(f"/enrollments/{purchase['enrollment']['id']}/withdraw", purchase["person"])
    with academy.refused(REFUSAL) as refused:
        answer = refund(refused, admin, purchase, 1000)
    made = answer.get_json()
    assert (answer.status_code, made["state"], made["failure_code"]) == (202, "created", REFUSAL)
    assert standing(academy, purchase) == ("withdrawn", False, 3450)
    academy.do_work(SETTLE_PAYMENT, made["id"])
    assert at_provider(academy, purchase) == 3450
    academy.assert_books_balance()


def test_the_seat_is_kept_until_the_provider_has_taken_every_part(
    academy: Academy, offline: Academy
) -> None:
    admin, purchase = academy.person("admin"), buy(academy, "provider")
    waiting = refund(offline, admin, purchase, 2000)
    assert (waiting.status_code, waiting.get_json()["state"]) == (202, "created")
    assert refund(academy, admin, purchase).status_code == 201
    assert standing(academy, purchase) == ("active", True, 4900)
    academy.do_work(SETTLE_PAYMENT, waiting.get_json()["id"])
    assert standing(academy, purchase) == ("withdrawn", False, 4900)
    assert at_provider(academy, purchase) == 4900
    academy.assert_books_balance()


def test_parts_that_take_their_time_end_the_enrollment_when_all_are_taken(
    academy: Academy,
) -> None:
    admin, purchase = academy.person("admin"), buy(academy, "provider", "tok_pending_refund")
    first = refund(academy, admin, purchase, 2000)
    assert (first.status_code, first.get_json()["state"]) == (202, "pending")
    assert standing(academy, purchase) == ("active", True, 2000)
    refund(academy, admin, purchase)
    assert standing(academy, purchase) == ("withdrawn", False, 4900)


def test_a_pending_part_that_fails_is_free_again_while_there_is_a_seat(academy: Academy) -> None:
    admin, purchase = academy.person("admin"), buy(academy, "provider", "tok_pending_refund")
    made = refund(academy, admin, purchase, 2000).get_json()
    refund(academy, admin, purchase, 500)
    with academy.database.transaction(academy.scope) as session:
        apply_refund(session, UUID(made["id"]), Answer("failed", "re_1", "refund_failed"))
    assert standing(academy, purchase) == ("active", True, 500)
    academy.assert_books_balance()


def test_a_completed_enrollment_stays_when_the_last_part_is_given_back(academy: Academy) -> None:
    admin, purchase = academy.person("admin"), buy(academy)
    academy.execute_as_owner(
        "UPDATE enrollments SET state = 'completed', completed_at = now() WHERE id = :id",
        id=purchase["enrollment"]["id"],
    )
    for _ in range(2):
        assert refund(academy, admin, purchase, 2450).status_code == 201
    assert standing(academy, purchase) == ("completed", True, 4900)
    academy.assert_books_balance()


def test_who_was_given_everything_back_in_parts_may_enroll_again(academy: Academy) -> None:
    admin, purchase = academy.person("admin"), buy(academy)
    for _ in range(2):
        refund(academy, admin, purchase, 2450)
    again = academy.enroll(purchase["person"], UUID(purchase["payment"]["run_id"]))
    assert (again.status_code, again.get_json()["enrollment"]["attempt"]) == (201, 2)
    academy.assert_books_balance()


def test_every_part_is_listed(academy: Academy) -> None:
    admin, purchase = academy.person("admin"), buy(academy)
    made = [refund(academy, admin, purchase, amount).get_json() for amount in (700, 800)]
    path = f"/payments/{purchase['payment']['id']}/refunds"
    assert academy.get(path, purchase["person"]).get_json()["items"] == made[::-1]


def test_a_reason_like_the_platforms_own_confuses_nobody(academy: Academy) -> None:
    admin, key = academy.person("admin"), str(uuid4())
    person, run_id = academy.person(), academy.run()
    first = academy.enroll(person, run_id, "provider", token="tok_success", key=key)
    for _ in range(2):
        refund(academy, admin, first.get_json(), 2450, reason="late_money")
    academy.forget_answer(key)
    again = academy.enroll(person, run_id, "provider", token="tok_success", key=key)
    assert (again.status_code, again.get_json()["enrollment"]["state"]) == (201, "withdrawn")


def test_only_admins_give_parts_back_and_only_of_what_is_there(academy: Academy) -> None:
    purchase = buy(academy)
    for refused in (purchase["person"], academy.person(), academy.person("instructor")):
        assert refund(academy, refused, purchase, 100).status_code == 403
    nothing = {"payment": {"id": str(new_id())}}
    assert refund(academy, academy.person("admin"), nothing, 100).status_code == 404
    assert standing(academy, purchase) == ("active", True, 0)
