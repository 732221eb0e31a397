from __future__ import annotations

import json
import threading
import time
from typing import Any
from uuid import UUID, uuid4

import pytest
from werkzeug.serving import make_server
from werkzeug.test import TestResponse

from lms.payments.providers.signing import sign
from tests.factories.money import DEADLINE, Academy, together
from tests.factories.people import Person
from tests.factories.sandbox import WEBHOOK_SECRET


def event_of(academy: Academy, provider_payment_id: str, **changes: Any) -> bytes:
    event = {
        "id": f"evt_{uuid4().hex}",
        "type": "payment.succeeded",
        "created": int(time.time()),
        "account": str(academy.organization_id),
        "data": {"object": {"id": provider_payment_id}},
        **changes,
    }
    return json.dumps(event).encode()


def deliver(academy: Academy, body: bytes, *, age: int = 0) -> TestResponse:
    timestamp = int(time.time()) - age
    return academy.deliver(body, sign(body, secret=WEBHOOK_SECRET, timestamp=timestamp))


def pending(academy: Academy, person: Person) -> tuple[dict[str, Any], str]:
    """A purchase that waits for its money, and the payment's id at the provider."""
    purchase = academy.enroll(person, academy.run(), "provider", token="tok_pending").get_json()
    (row,) = academy.rows(
        "SELECT provider_payment_id FROM payments WHERE id = :id",
        id=UUID(purchase["payment"]["id"]),
    )
    return purchase, row["provider_payment_id"]


def state_of(academy: Academy, person: Person, purchase: dict[str, Any]) -> str:
    return academy.get(f"/enrollments/{purchase['enrollment']['id']}", person).get_json()["state"]


def stored(academy: Academy, body: bytes) -> list[dict[str, Any]]:
    return academy.rows(
        "SELECT * FROM webhook_events WHERE event_id = :id", id=json.loads(body)["id"]
    )


def test_news_of_money_makes_the_enrollment_active(academy: Academy) -> None:
    person = academy.person()
    purchase, provider_payment_id = pending(academy, person)
    academy.settle_at_provider(provider_payment_id)
    body = event_of(academy, provider_payment_id)
    assert deliver(academy, body).status_code == 204
    assert state_of(academy, person, purchase) == "active"
    assert stored(academy, body)[0]["applied_at"] is not None


def test_an_event_says_when_to_look_and_not_what_is_true(academy: Academy) -> None:
    person = academy.person()
    purchase, provider_payment_id = pending(academy, person)
    assert deliver(academy, event_of(academy, provider_payment_id)).status_code == 204
    assert state_of(academy, person, purchase) == "pending"


def test_repeated_and_late_events_do_no_harm(academy: Academy) -> None:
    person = academy.person()
    purchase, provider_payment_id = pending(academy, person)
    academy.settle_at_provider(provider_payment_id)
    body = event_of(academy, provider_payment_id)
    older = event_of(academy, provider_payment_id, type="payment.failed", created=1)
    for sent in (body, body, older):
        assert deliver(academy, sent).status_code == 204
    assert state_of(academy, person, purchase) == "active"
    assert len(stored(academy, body)) == 1
    academy.assert_books_balance()


def test_one_event_delivered_many_times_at_once_has_one_effect(academy: Academy) -> None:
    person = academy.person()
    top_up = academy.top_up(person, 5000, "tok_pending").get_json()
    (row,) = academy.rows("SELECT * FROM wallet_top_ups WHERE id = :id", id=UUID(top_up["id"]))
    academy.settle_at_provider(row["provider_payment_id"])
    body = event_of(academy, row["provider_payment_id"])
    answers = together(6, lambda _number: deliver(academy, body))
    assert {answer.status_code for answer in answers} == {204}
    assert academy.balance(person) == 5000
    academy.assert_books_balance()


@pytest.mark.parametrize("age", [400, -400])
def test_a_signature_of_another_time_is_refused(academy: Academy, age: int) -> None:
    answer = deliver(academy, event_of(academy, "pay_x"), age=age)
    assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid_webhook")


def test_an_altered_event_is_refused_and_not_stored(academy: Academy) -> None:
    body = event_of(academy, "pay_x")
    signature = sign(body, secret=WEBHOOK_SECRET, timestamp=int(time.time()))
    altered = body.replace(b"pay_x", b"pay_y")
    assert academy.deliver(altered, signature).status_code == 400
    assert academy.deliver(body, "").status_code == 400
    assert academy.deliver(body, signature.replace("v1=", "v1=0")).status_code == 400
    assert stored(academy, body) == []


def test_an_event_of_another_organization_is_refused(academy: Academy) -> None:
    body = event_of(academy, "pay_x", account=str(uuid4()))
    assert deliver(academy, body).status_code == 400


def test_an_event_about_an_unknown_payment_is_kept_and_taken(academy: Academy) -> None:
    body = event_of(academy, f"pay_{uuid4().hex}")
    for _ in range(2):
        assert deliver(academy, body).status_code == 204
    (row,) = stored(academy, body)
    assert row["applied_at"] is None


def test_an_event_that_was_faster_than_the_providers_answer_is_applied_with_it(
    academy: Academy,
) -> None:
    person = academy.person()
    purchase, provider_payment_id = pending(academy, person)
    academy.execute_as_owner(
        "UPDATE payments SET provider_payment_id = NULL, state = 'created' WHERE id = :id",
        id=purchase["payment"]["id"],
    )
    academy.forget_provider_id(purchase["payment"]["id"])
    academy.settle_at_provider(provider_payment_id)
    body = event_of(academy, provider_payment_id)
    assert deliver(academy, body).status_code == 204
    assert state_of(academy, person, purchase) == "pending"
    academy.do_work("settle_payment", purchase["payment"]["id"])
    assert state_of(academy, person, purchase) == "active"
    assert stored(academy, body)[0]["applied_at"] is not None


def test_while_the_payment_cannot_be_fetched_the_event_is_asked_for_again(
    academy: Academy, offline: Academy
) -> None:
    person = academy.person()
    _, provider_payment_id = pending(academy, person)
    body = event_of(academy, provider_payment_id)
    answer = deliver(offline, body)
    assert (answer.status_code, answer.get_json()["code"]) == (503, "provider_unavailable")
    assert stored(academy, body) == []


def test_events_of_a_provider_that_we_do_not_have_are_not_taken(academy: Academy) -> None:
    answer = academy.app.test_client().post(
        "/api/v1/webhooks/stripe", base_url=f"http://{academy.slug}.localhost", data=b"{}"
    )
    assert answer.status_code == 404


def test_a_suspended_organization_still_hears_of_its_money(academy: Academy) -> None:
    person = academy.person()
    purchase, provider_payment_id = pending(academy, person)
    academy.settle_at_provider(provider_payment_id)
    set_state = "UPDATE platform.organizations SET state = :state WHERE id = :id"
    academy.execute_as_owner(set_state, state="suspended", id=academy.organization_id)
    try:
        assert academy.get("/wallet", person).status_code == 404
        body = event_of(academy, provider_payment_id)
        assert deliver(academy, body).status_code == 204
    finally:
        academy.execute_as_owner(set_state, state="active", id=academy.organization_id)
    assert state_of(academy, person, purchase) == "active"


def test_the_providers_own_webhook_arrives_over_the_network(academy: Academy) -> None:
    person = academy.person()
    server = make_server("127.0.0.1", 0, academy.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        answer = academy.app.test_client().post(
            f"/api/v1/runs/{academy.run()}/enrollments",
            base_url=f"http://{academy.slug}.localhost:{server.port}",
            headers={**person.headers, "Idempotency-Key": str(uuid4())},
            json={"payment": {"method": "provider", "token": "tok_pending"}},
        )
        purchase = answer.get_json()
        (row,) = academy.rows(
            "SELECT provider_payment_id FROM payments WHERE id = :id",
            id=UUID(purchase["payment"]["id"]),
        )
        academy.settle_at_provider(row["provider_payment_id"])
        deadline = time.monotonic() + DEADLINE
        while state_of(academy, person, purchase) != "active":
            assert time.monotonic() < deadline, "the webhook did not arrive"
            time.sleep(0.02)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
