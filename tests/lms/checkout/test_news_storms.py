"""What a provider says twice at the same moment: in its answer to a call, and in its webhooks."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from lms.config import Settings
from lms.core.queue import SETTLE_PAYMENT
from lms.payments.providers.signing import sign
from tests.factories.money import DEADLINE, Academy, together
from tests.factories.people import Person
from tests.factories.sandbox import WEBHOOK_SECRET, paying_app
from tests.factories.sandbox_gate import Gate, Passing
from tests.lms.checkout.storms import THREADS, Outcome, no_deadlock, one, told

REFUND = "SELECT id FROM refunds WHERE payment_id = :id"


class News:
    """Holds the provider's answer to a call until webhooks about it are on their way."""

    def __init__(self) -> None:
        self._decided = threading.Event()
        self._payment: dict[str, Any] = {}

    def watch(self, passing: Passing) -> bool:
        """Let the answer to a charge go in the moment in which the others may begin."""
        if passing.moment == "decided" and passing.method == "POST":
            self._payment = passing.answer
            self._decided.set()
        return True

    def wait(self) -> dict[str, Any]:
        """Return the provider's payment as soon as there is one."""
        assert self._decided.wait(DEADLINE), "nobody was charged"
        return self._payment


@pytest.fixture
def gated(
    academy: Academy, settings: Settings, sandbox_url: str
) -> Iterator[Callable[[News], Academy]]:
    """The academy, with an installation that reaches its provider through a gate."""
    with Gate(sandbox_url) as gate, paying_app(settings, gate.url) as app:

        def serve(news: News) -> Academy:
            gate.watch = news.watch
            return academy.with_app(app)

        yield serve


def deliver(academy: Academy, payment: dict[str, Any], event_id: str) -> Outcome:
    event = {
        "id": event_id,
        "type": "payment.succeeded",
        "created": int(time.time()),
        "account": str(academy.organization_id),
        "data": {"object": payment},
    }
    body = json.dumps(event).encode()
    signature = sign(body, secret=WEBHOOK_SECRET, timestamp=int(time.time()))
    return told(lambda: academy.deliver(body, signature))


def rush(academy: Academy, news: News, call: Callable[[], Outcome]) -> list[Outcome]:
    """Make a call, and deliver webhooks while its answer comes; every other one the same event."""
    again = f"evt_{uuid4().hex}"

    def step(number: int) -> Outcome:
        if number == 0:
            return call()
        event_id = again if number % 2 else f"evt_{uuid4().hex}"
        return deliver(academy, news.wait(), event_id)

    return together(THREADS, step)


def receipts_of(academy: Academy, person: Person) -> int:
    return one(academy, "SELECT count(*) FROM receipts WHERE user_id = :id", id=person.id)


def test_a_purchase_is_settled_once_by_its_answer_and_webhooks(
    gated: Callable[[News], Academy],
) -> None:
    news = News()
    academy = gated(news)
    person, run_id, key = academy.person(), academy.run(capacity=1), str(uuid4())

    def call() -> Outcome:
        return told(
            lambda: academy.enroll(person, run_id, "provider", token="tok_success", key=key)
        )

    with no_deadlock(academy):
        outcomes = rush(academy, news, call)
    assert (outcomes[0], set(outcomes[1:])) == (201, {204})
    changes = academy.rows(
        "SELECT c.to_state FROM enrollment_changes c JOIN enrollments e ON e.id = c.enrollment_id"
        " WHERE e.user_id = :id ORDER BY c.id",
        id=person.id,
    )
    assert [change["to_state"] for change in changes] == ["pending", "active"]
    assert (academy.seats_taken(run_id), receipts_of(academy, person)) == (1, 1)
    academy.assert_books_balance()


def test_a_top_up_is_deposited_once_by_its_answer_and_webhooks(
    gated: Callable[[News], Academy],
) -> None:
    news = News()
    academy = gated(news)
    person, key = academy.person(), str(uuid4())
    with no_deadlock(academy):
        outcomes = rush(academy, news, lambda: told(lambda: academy.top_up(person, 5000, key=key)))
    assert (outcomes[0], set(outcomes[1:])) == (201, {204})
    assert (academy.balance(person), receipts_of(academy, person)) == (5000, 1)
    academy.assert_books_balance()


def test_late_money_is_given_back_once_by_webhooks_and_the_sweeper(
    gated: Callable[[News], Academy],
) -> None:
    news = News()
    academy = gated(news)
    person, run_id = academy.person(), academy.run(capacity=1)
    purchase = academy.enroll(person, run_id, "provider", token="tok_pending").get_json()
    leave = f"/enrollments/{purchase['enrollment']['id']}/withdraw"
    assert academy.post(leave, person).status_code == 200
    payment_id = purchase["payment"]["id"]
    academy.settle_at_provider(academy.recorded_name(payment_id))

    def sweep() -> Outcome:
        academy.do_work(SETTLE_PAYMENT, payment_id)
        return 201

    with no_deadlock(academy):
        rush(academy, news, sweep)
    refunds = academy.rows(
        "SELECT amount, reason FROM refunds WHERE payment_id = :id", id=UUID(payment_id)
    )
    assert refunds == [{"amount": 4900, "reason": "late_money"}]
    academy.do_work(SETTLE_PAYMENT, one(academy, REFUND, id=UUID(payment_id)))
    academy.assert_books_balance()
