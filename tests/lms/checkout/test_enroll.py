from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event

from lms.core.ids import new_id
from tests.factories.money import Academy


def test_a_free_run_is_entered_at_once(academy: Academy) -> None:
    person, run_id = academy.person(), academy.run(price=0)
    answer = academy.enroll(person, run_id, "free")
    body = answer.get_json()
    assert answer.status_code == 201
    assert (body["enrollment"]["state"], body["payment"]["state"]) == ("active", "succeeded")
    assert body["payment"]["amount"] == {"amount": 0, "currency": "EUR"}
    assert academy.seats_taken(run_id) == 1


def test_paying_from_the_wallet_moves_money_seat_enrollment_and_history_together(
    academy: Academy,
) -> None:
    person, run_id = academy.person(money=5000), academy.run(price=4900, capacity=1)
    answer = academy.enroll(person, run_id)
    body = answer.get_json()
    assert answer.status_code == 201
    assert academy.balance(person) == 100
    row = academy.get("/wallet/transactions", person).get_json()["items"][0]
    assert (row["kind"], row["amount"]["amount"]) == ("deduction", -4900)
    assert (row["counter_account"], row["payment_id"]) == (f"run:{run_id}", body["payment"]["id"])
    assert academy.seats_taken(run_id) == 1
    assert academy.rows(
        "SELECT from_state, to_state, actor_id, reason FROM enrollment_changes"
        " WHERE enrollment_id = :id",
        id=body["enrollment"]["id"],
    ) == [{"from_state": None, "to_state": "active", "actor_id": person.id, "reason": "paid"}]
    academy.assert_books_balance()


def test_the_version_of_the_run_is_pinned_into_the_enrollment(academy: Academy) -> None:
    run_id = academy.run(price=0)
    body = academy.enroll(academy.person(), run_id, "free").get_json()
    (run,) = academy.rows("SELECT version_id FROM course_runs WHERE id = :id", id=run_id)
    assert body["enrollment"]["version_id"] == str(run["version_id"])


def test_a_repeated_request_is_answered_as_the_first_and_pays_once(academy: Academy) -> None:
    person, run_id, key = academy.person(money=10_000), academy.run(), str(uuid4())
    first, again = (academy.enroll(person, run_id, key=key) for _ in range(2))
    assert (again.status_code, again.get_json()) == (201, first.get_json())
    assert again.headers["Idempotency-Replayed"] == "true"
    assert academy.balance(person) == 5100


def test_a_request_whose_answer_was_lost_is_resumed_without_paying_again(academy: Academy) -> None:
    person, run_id, key = academy.person(money=10_000), academy.run(), str(uuid4())
    first = academy.enroll(person, run_id, key=key)
    academy.execute_as_owner(
        "UPDATE idempotency_keys SET status = NULL, body = NULL, claimed_until = now()"
        " WHERE key = :key",
        key=key,
    )
    again = academy.enroll(person, run_id, key=key)
    assert (again.status_code, again.get_json()) == (201, first.get_json())
    assert "Idempotency-Replayed" not in again.headers
    assert academy.balance(person) == 5100
    academy.assert_books_balance()


def refusal(academy: Academy, *args: Any, **kwargs: Any) -> tuple[int, str, dict[str, Any]]:
    answer = academy.enroll(*args, **kwargs)
    problem = answer.get_json()
    return answer.status_code, problem["code"], problem


def assert_nothing_happened(academy: Academy, person_id: UUID, run_id: UUID) -> None:
    assert academy.rows("SELECT 1 FROM payments WHERE user_id = :id", id=person_id) == []
    assert academy.rows("SELECT 1 FROM enrollments WHERE user_id = :id", id=person_id) == []
    academy.assert_books_balance()


def test_too_little_money_is_refused_with_what_is_missing(academy: Academy) -> None:
    person, run_id = academy.person(money=4000), academy.run(price=4900)
    status, code, problem = refusal(academy, person, run_id)
    assert (status, code) == (402, "insufficient_funds")
    assert problem["balance"] == {"amount": 4000, "currency": "EUR"}
    assert problem["missing"] == {"amount": 900, "currency": "EUR"}
    assert academy.balance(person) == 4000
    assert_nothing_happened(academy, person.id, run_id)


def test_who_never_had_a_wallet_lacks_the_whole_price(academy: Academy) -> None:
    status, code, problem = refusal(academy, academy.person(), academy.run(price=4900))
    assert (status, code, problem["missing"]["amount"]) == (402, "insufficient_funds", 4900)


def test_a_full_run_is_refused_and_nothing_is_paid(academy: Academy) -> None:
    run_id = academy.run(capacity=1)
    academy.enroll(academy.person(money=4900), run_id)
    person = academy.person(money=4900)
    status, code, _ = refusal(academy, person, run_id)
    assert (status, code, academy.balance(person)) == (409, "run_full", 4900)
    assert academy.seats_taken(run_id) == 1
    assert_nothing_happened(academy, person.id, run_id)


@pytest.mark.parametrize(
    "times",
    [{"opens_in": 1.0}, {"opens_in": -31.0}, {"state": "archived"}, {"state": "cancelled"}],
)
def test_a_run_that_takes_nobody_says_when_it_does(academy: Academy, times: dict[str, Any]) -> None:
    person, run_id = academy.person(money=4900), academy.run(**times)
    status, code, problem = refusal(academy, person, run_id)
    assert (status, code) == (409, "enrollment_closed")
    assert problem["opens_at"].endswith("Z")
    assert problem["opens_at"] < problem["closes_at"]
    assert problem["run_state"] == times.get("state", "scheduled")
    assert_nothing_happened(academy, person.id, run_id)


def test_a_draft_run_is_not_there(academy: Academy) -> None:
    person = academy.person(money=4900)
    assert refusal(academy, person, academy.run(state="draft"))[:2] == (404, "not_found")
    assert refusal(academy, person, new_id())[:2] == (404, "not_found")


def test_the_second_enrollment_in_a_run_is_refused_and_names_the_first(academy: Academy) -> None:
    person, run_id = academy.person(money=10_000), academy.run()
    first = academy.enroll(person, run_id).get_json()["enrollment"]
    status, code, problem = refusal(academy, person, run_id)
    assert (status, code, problem["enrollment_id"]) == (409, "already_enrolled", first["id"])
    assert academy.balance(person) == 5100
    academy.assert_books_balance()


@pytest.mark.parametrize(
    ("price", "method", "expected"),
    [
        (4900, "free", ["wallet", "provider"]),
        (0, "wallet", ["free"]),
        (0, "provider", ["free"]),
    ],
)
def test_a_price_that_is_not_paid_this_way_is_refused_with_what_is_expected(
    academy: Academy, price: int, method: str, expected: list[str]
) -> None:
    person, run_id = academy.person(money=4900), academy.run(price=price)
    token = "tok_success" if method == "provider" else None
    status, code, problem = refusal(academy, person, run_id, method, token=token)
    assert (status, code) == (409, "payment_method_not_possible")
    assert (problem["expected"], problem["price"]["amount"]) == (expected, price)
    assert_nothing_happened(academy, person.id, run_id)


def test_a_price_in_another_currency_than_the_wallet_is_not_converted(academy: Academy) -> None:
    person, run_id = academy.person(money=4900), academy.run(currency="USD")
    status, code, problem = refusal(academy, person, run_id)
    assert (status, code) == (409, "currency_mismatch")
    assert (problem["expected"], problem["wallet"]) == ("USD", "EUR")
    assert_nothing_happened(academy, person.id, run_id)


@pytest.mark.parametrize(
    "payment",
    [
        {},
        {"method": "gold"},
        {"method": "provider"},
        {"method": "wallet", "token": "tok_success"},
        {"method": "wallet", "amount": 1},
    ],
)
def test_a_payment_of_an_impossible_form_is_refused(
    academy: Academy, payment: dict[str, Any]
) -> None:
    path = f"/runs/{academy.run()}/enrollments"
    assert academy.post(path, academy.person(), {"payment": payment}).status_code == 422


@contextmanager
def statements_of(academy: Academy) -> Iterator[list[str]]:
    engine, seen = academy.app.extensions["edge"].database.events, []

    def note(_conn: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(" ".join(statement.split()[:3]))

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


def test_buying_from_the_wallet_takes_one_statement_between_binding_and_commit(
    academy: Academy,
) -> None:
    person, run_id = academy.person(money=4900), academy.run()
    with statements_of(academy) as seen:
        academy.enroll(person, run_id)
    host, *own = seen
    assert host.startswith("SELECT o.id FROM")
    assert own == ["WITH run AS"]


def test_a_coupon_adds_no_statement(academy: Academy) -> None:
    person, run_id, code = academy.person(money=4900), academy.run(), academy.coupon()
    with statements_of(academy) as seen:
        assert academy.enroll(person, run_id, coupon=code).status_code == 201
    assert seen[1:] == ["WITH run AS"]


def test_buying_from_the_wallet_is_one_transaction_from_admission_to_the_stored_answer(
    academy: Academy,
) -> None:
    person, run_id = academy.person(money=4900), academy.run()
    engine, ends = academy.app.extensions["edge"].database.events, []

    def note(_conn: Any) -> None:
        ends.append("commit")

    event.listen(engine, "commit", note)
    try:
        with statements_of(academy) as seen:
            answer = academy.enroll(person, run_id)
    finally:
        event.remove(engine, "commit", note)
    assert answer.status_code == 201
    assert len(seen) == 2  # host, purchase; the key comes with the binding, the answer with COMMIT
    assert len(ends) == 2  # the host's look-up, and the purchase


def test_who_is_enrolled_already_is_not_told_to_top_up(academy: Academy) -> None:
    person, run_id = academy.person(money=4900), academy.run()
    assert academy.enroll(person, run_id).status_code == 201
    again = academy.enroll(person, run_id)
    assert (again.status_code, again.get_json()["code"]) == (409, "already_enrolled")


@pytest.mark.parametrize(
    ("price", "method", "token"),
    [(0, "free", None), (4900, "wallet", None), (4900, "provider", "tok_pending")],
)
def test_the_answer_says_what_was_written(
    academy: Academy, price: int, method: str, token: str | None
) -> None:
    person, run_id = academy.person(money=price), academy.run(price=price)
    made = academy.enroll(person, run_id, method, **({"token": token} if token else {})).get_json()
    for name in ("enrollment", "payment"):
        stored = academy.get(f"/{name}s/{made[name]['id']}", person).get_json()
        if method != "provider":  # whose answer is applied in between
            assert made[name] == stored
        else:
            assert made[name] == {**stored, "state": made[name]["state"]}
