from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest
from flask.testing import FlaskClient

from lms.config import Settings
from lms.core.queue import SETTLE_PAYMENT
from lms.payments.attempts import Answer
from lms.payments.operations import apply_top_up
from tests.factories.money import Academy, together
from tests.factories.sandbox import paying_app


def test_a_top_up_is_in_the_wallet_when_it_is_answered(academy: Academy) -> None:
    person = academy.person()
    answer = academy.top_up(person, 5000)
    assert (answer.status_code, answer.get_json()["state"]) == (201, "succeeded")
    assert academy.balance(person) == 5000
    (row,) = academy.get("/wallet/transactions", person).get_json()["items"]
    assert (row["kind"], row["counter_account"]) == ("deposit", "provider:sandbox")
    assert row["top_up_id"] == answer.get_json()["id"]


def test_a_declined_top_up_says_why_and_deposits_nothing(academy: Academy) -> None:
    person, key = academy.person(), str(uuid4())
    answer = academy.top_up(person, 5000, "tok_declined", key=key)
    problem = answer.get_json()
    assert answer.status_code == 402
    assert (problem["code"], problem["decline_code"]) == ("payment_declined", "card_declined")
    assert academy.balance(person) == 0
    (row,) = academy.rows("SELECT * FROM wallet_top_ups WHERE user_id = :id", id=person.id)
    assert (row["state"], row["failure_code"]) == ("failed", "card_declined")
    again = academy.top_up(person, 5000, "tok_declined", key=key)
    assert (again.get_json(), again.headers["Idempotency-Replayed"]) == (problem, "true")


def test_a_top_up_has_a_limit_that_the_installation_sets(
    academy: Academy, settings: Settings
) -> None:
    person, sandbox_url = academy.person(), academy.settings.sandbox_url
    with paying_app(replace(settings, max_top_up_amount=7000), sandbox_url) as app:
        small = academy.with_app(app)
        answer = small.top_up(person, 7001)
        assert (answer.status_code, answer.get_json()["code"]) == (422, "top_up_too_large")
        assert answer.get_json()["limit"] == {"amount": 7000, "currency": "EUR"}
        assert answer.get_json()["errors"] == [
            {"pointer": "/amount/amount", "message": "At most 70.00 EUR are deposited at once."}
        ]
        assert academy.rows("SELECT FROM wallet_top_ups WHERE user_id = :id", id=person.id) == []
        assert small.top_up(person, 7000).status_code == 201
    assert academy.balance(person) == 7000


def test_a_token_that_nobody_has_is_a_decline(academy: Academy) -> None:
    answer = academy.top_up(academy.person(), 5000, "tok_of_nobody")
    assert (answer.status_code, answer.get_json()["decline_code"]) == (402, "unknown_token")


def test_a_pending_top_up_is_deposited_once_when_the_provider_has_decided(
    academy: Academy,
) -> None:
    person = academy.person()
    answer = academy.top_up(person, 5000, "tok_pending")
    top_up = answer.get_json()
    assert (answer.status_code, top_up["state"]) == (202, "pending")
    academy.do_work(SETTLE_PAYMENT, top_up["id"])
    assert academy.balance(person) == 0
    (row,) = academy.rows("SELECT * FROM wallet_top_ups WHERE id = :id", id=top_up["id"])
    academy.settle_at_provider(row["provider_payment_id"])
    academy.do_work(SETTLE_PAYMENT, top_up["id"])
    assert academy.balance(person) == 5000
    assert academy.work(SETTLE_PAYMENT, top_up["id"]) == []
    assert academy.get(f"/wallet/top-ups/{top_up['id']}", person).get_json()["state"] == "succeeded"
    academy.assert_books_balance()


def test_money_taken_by_an_answer_that_was_lost_is_found_by_the_sweeper(academy: Academy) -> None:
    person = academy.person()
    answer = academy.top_up(person, 5000, "tok_timeout_after_success")
    assert (answer.status_code, answer.get_json()["state"]) == (202, "created")
    assert academy.balance(person) == 0
    academy.do_work(SETTLE_PAYMENT, answer.get_json()["id"])
    assert academy.balance(person) == 5000


def test_a_provider_that_is_away_is_asked_again_later(academy: Academy, offline: Academy) -> None:
    person = academy.person()
    answer = offline.top_up(person, 5000)
    assert answer.status_code == 202
    offline.do_work(SETTLE_PAYMENT, answer.get_json()["id"])
    assert academy.balance(person) == 0
    academy.do_work(SETTLE_PAYMENT, answer.get_json()["id"])
    assert academy.balance(person) == 5000


def test_one_key_from_many_threads_deposits_once(academy: Academy) -> None:
    person, key = academy.person(), str(uuid4())
    answers = together(8, lambda _number: academy.top_up(person, 5000, key=key))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert {a.get_json()["code"] for a in answers if a.status_code == 409} <= {
        "request_in_progress"
    }
    assert academy.balance(person) == 5000
    academy.assert_books_balance()


def test_repeated_and_older_news_of_a_top_up_change_nothing(academy: Academy) -> None:
    person = academy.person()
    top_up = academy.top_up(person, 5000).get_json()
    for status in ("succeeded", "pending", "failed", "canceled", "unknown"):
        with academy.database.transaction(academy.scope) as session:
            apply_top_up(session, top_up["id"], Answer(status, None, "late"))
    assert academy.balance(person) == 5000
    assert academy.get(f"/wallet/top-ups/{top_up['id']}", person).get_json() == top_up


def test_money_that_comes_after_a_decline_is_deposited(academy: Academy) -> None:
    person = academy.person()
    academy.top_up(person, 5000, "tok_declined")
    (row,) = academy.rows("SELECT * FROM wallet_top_ups WHERE user_id = :id", id=person.id)
    with academy.database.transaction(academy.scope) as session:
        apply_top_up(session, row["id"], Answer("succeeded", row["provider_payment_id"]))
    assert academy.balance(person) == 5000


def test_a_top_up_in_another_currency_than_the_wallet_is_refused(academy: Academy) -> None:
    body = {"amount": {"amount": 5000, "currency": "USD"}, "token": "tok_success"}
    answer = academy.post("/wallet/top-ups", academy.person(), body)
    problem = answer.get_json()
    assert answer.status_code == 409
    assert (problem["code"], problem["expected"]) == ("currency_mismatch", "EUR")


@pytest.mark.parametrize(
    "body",
    [
        {"amount": {"amount": 0, "currency": "EUR"}, "token": "tok_success"},
        {"amount": {"amount": -1, "currency": "EUR"}, "token": "tok_success"},
        {"amount": {"amount": 10**13, "currency": "EUR"}, "token": "tok_success"},
        {"amount": {"amount": 1.5, "currency": "EUR"}, "token": "tok_success"},
        {"amount": {"amount": 100, "currency": "EUR"}},
    ],
)
def test_an_impossible_top_up_is_refused(academy: Academy, body: dict[str, object]) -> None:
    assert academy.post("/wallet/top-ups", academy.person(), body).status_code == 422


def test_moving_money_needs_an_idempotency_key(academy: Academy) -> None:
    client: FlaskClient = academy.app.test_client()
    answer = client.post(
        "/api/v1/wallet/top-ups",
        base_url=f"http://{academy.slug}.localhost",
        headers=academy.person().headers,
        json={"amount": {"amount": 100, "currency": "EUR"}, "token": "tok_success"},
    )
    assert (answer.status_code, answer.get_json()["code"]) == (400, "idempotency_key_missing")


def test_without_a_provider_nothing_is_begun(academy: Academy, settings: Settings) -> None:
    person = academy.person()
    with paying_app(settings, None) as app:
        answer = academy.with_app(app).top_up(person, 5000)
    assert (answer.status_code, answer.get_json()["code"]) == (409, "provider_not_configured")
    assert academy.rows("SELECT 1 FROM wallet_top_ups WHERE user_id = :id", id=person.id) == []


def test_the_top_up_of_somebody_else_is_not_there(academy: Academy) -> None:
    top_up = academy.top_up(academy.person(), 5000).get_json()
    assert academy.get(f"/wallet/top-ups/{top_up['id']}", academy.person()).status_code == 404
