"""When the provider's word does not tell what became of the money, nothing is booked as a no."""

from __future__ import annotations

import json
import threading
import time
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from lms.config import Settings
from lms.core.queue import SETTLE_PAYMENT
from lms.payments.providers.signing import sign
from tests.factories.money import DEADLINE, Academy
from tests.factories.people import Person
from tests.factories.sandbox import WEBHOOK_SECRET, paying_app


def lost(academy: Academy, person: Person, run_id: UUID) -> dict[str, Any]:
    """Pay with a card that the provider charges, without its answer ever reaching us."""
    answer = academy.enroll(person, run_id, "provider", token="tok_timeout_after_success")
    assert answer.status_code == 202
    return answer.get_json()


def state_of(academy: Academy, person: Person, purchase: dict[str, Any]) -> str:
    return academy.get(f"/enrollments/{purchase['enrollment']['id']}", person).get_json()["state"]


def deliver(academy: Academy, payment: dict[str, Any]) -> str:
    """Deliver an event about the provider's payment; gives the event's id."""
    event = {
        "id": f"evt_{uuid4().hex}",
        "type": "payment.succeeded",
        "created": int(time.time()),
        "account": str(academy.organization_id),
        "data": {"object": payment},
    }
    body = json.dumps(event).encode()
    answer = academy.deliver(body, sign(body, secret=WEBHOOK_SECRET, timestamp=int(time.time())))
    assert answer.status_code == 204
    return event["id"]


def is_applied(academy: Academy, event_id: str) -> bool:
    (row,) = academy.rows("SELECT applied_at FROM webhook_events WHERE event_id = :id", id=event_id)
    return row["applied_at"] is not None


@pytest.mark.parametrize("code", ["unknown_token", "invalid_request"])
def test_a_refusal_after_a_lost_answer_is_no_decline(academy: Academy, code: str) -> None:
    person, run_id = academy.person(), academy.run(capacity=1)
    purchase = lost(academy, person, run_id)
    with academy.refused(code) as refused:
        refused.do_work(SETTLE_PAYMENT, purchase["payment"]["id"])
    assert state_of(academy, person, purchase) == "pending"
    assert academy.seats_taken(run_id) == 1
    academy.do_work(SETTLE_PAYMENT, purchase["payment"]["id"])
    assert state_of(academy, person, purchase) == "active"
    academy.assert_books_balance()


@pytest.mark.parametrize("code", ["unknown_token", "invalid_request"])
def test_a_refusal_after_a_lost_top_up_is_no_decline(academy: Academy, code: str) -> None:
    person = academy.person()
    top_up = academy.top_up(person, 5000, "tok_timeout_after_success").get_json()
    with academy.refused(code) as refused:
        refused.do_work(SETTLE_PAYMENT, top_up["id"])
    academy.do_work(SETTLE_PAYMENT, top_up["id"])
    assert academy.balance(person) == 5000


def test_a_refusal_told_to_a_repeated_request_is_no_decline(academy: Academy) -> None:
    person, run_id, key = academy.person(), academy.run(), str(uuid4())
    token = "tok_timeout_after_success"
    assert academy.enroll(person, run_id, "provider", token=token, key=key).status_code == 202
    academy.forget_answer(key)
    with academy.refused("unknown_token") as refused:
        answer = refused.enroll(person, run_id, "provider", token=token, key=key)
    assert (answer.status_code, answer.get_json()["payment"]["state"]) == (202, "created")


def test_a_refusal_of_how_we_asked_is_not_told_as_a_decline(academy: Academy) -> None:
    person, run_id = academy.person(), academy.run()
    with academy.refused("invalid_request") as refused:
        answer = refused.enroll(person, run_id, "provider", token="tok_success")
    purchase = answer.get_json()
    assert (answer.status_code, purchase["enrollment"]["state"]) == (202, "pending")
    academy.do_work(SETTLE_PAYMENT, purchase["payment"]["id"])
    assert state_of(academy, person, purchase) == "active"


def test_an_academy_that_the_provider_cannot_reach_is_paid(academy: Academy) -> None:
    person = academy.person()
    answer = academy.app.test_client().post(
        f"/api/v1/runs/{academy.run()}/enrollments",
        base_url=f"https://{academy.slug}.localhost",
        headers={**person.headers, "Idempotency-Key": str(uuid4())},
        json={"payment": {"method": "provider", "token": "tok_success"}},
    )
    assert (answer.status_code, answer.get_json()["enrollment"]["state"]) == (201, "active")


def test_an_event_names_the_payment_whose_answer_was_lost(academy: Academy) -> None:
    person = academy.person()
    purchase = lost(academy, person, academy.run())
    payment_id = purchase["payment"]["id"]
    name = academy.named_by_provider(payment_id)
    event_id = deliver(academy, {"id": name, "metadata": {"payment": payment_id}})
    assert state_of(academy, person, purchase) == "active"
    assert is_applied(academy, event_id)


def test_an_event_names_the_top_up_whose_answer_was_lost(academy: Academy) -> None:
    person = academy.person()
    top_up = academy.top_up(person, 5000, "tok_timeout_after_success").get_json()
    name = academy.named_by_provider(top_up["id"])
    deliver(academy, {"id": name, "metadata": {"top_up": top_up["id"]}})
    assert academy.balance(person) == 5000


def test_a_kept_event_is_read_again_when_the_provider_will_not_repeat_its_answer(
    academy: Academy,
) -> None:
    person = academy.person()
    purchase = lost(academy, person, academy.run())
    event_id = deliver(academy, {"id": academy.named_by_provider(purchase["payment"]["id"])})
    assert not is_applied(academy, event_id)
    with academy.refused("invalid_request", can_fetch=True) as refused:
        refused.do_work(SETTLE_PAYMENT, purchase["payment"]["id"])
    assert state_of(academy, person, purchase) == "active"
    assert is_applied(academy, event_id)


def test_another_sum_than_what_was_asked_for_is_not_booked(academy: Academy) -> None:
    person, run_id = academy.person(), academy.run()
    purchase = academy.enroll(person, run_id, "provider", token="tok_pending").get_json()
    academy.execute_as_owner(
        "UPDATE payments SET amount = amount + 1 WHERE id = :id", id=purchase["payment"]["id"]
    )
    name = academy.recorded_name(purchase["payment"]["id"])
    academy.settle_at_provider(name)
    academy.do_work(SETTLE_PAYMENT, purchase["payment"]["id"])
    event_id = deliver(academy, {"id": name})
    assert state_of(academy, person, purchase) == "pending"
    assert not is_applied(academy, event_id)
    assert academy.work(SETTLE_PAYMENT, purchase["payment"]["id"]) != []


def test_while_the_provider_is_turned_off_the_money_is_asked_for_later(
    academy: Academy, settings: Settings
) -> None:
    person = academy.person()
    purchase = lost(academy, person, academy.run())
    with paying_app(settings, None) as app:
        for _ in range(6):
            academy.with_app(app).do_work(SETTLE_PAYMENT, purchase["payment"]["id"])
    academy.do_work(SETTLE_PAYMENT, purchase["payment"]["id"])
    assert state_of(academy, person, purchase) == "active"


def test_without_a_provider_its_events_are_not_taken(academy: Academy, settings: Settings) -> None:
    with paying_app(settings, None) as app:
        assert academy.with_app(app).deliver(b"{}", "").status_code == 404


def test_a_body_that_is_too_large_is_documented(academy: Academy) -> None:
    document = academy.app.test_client().get(
        "/api/openapi.json", base_url=f"http://{academy.slug}.localhost"
    )
    paths = document.get_json()["paths"]
    for path in (
        "/api/v1/webhooks/{provider_name}",
        "/api/v1/enrollments/{enrollment_id}/withdraw",
    ):
        assert "413" in paths[path]["post"]["responses"]


def test_an_event_locks_its_payment_before_itself(academy: Academy) -> None:
    person = academy.person()
    purchase = lost(academy, person, academy.run())
    payment_id = purchase["payment"]["id"]
    name = academy.named_by_provider(payment_id)
    event_id = deliver(academy, {"id": name})
    academy.execute_as_owner(
        "UPDATE payments SET provider_payment_id = :name WHERE id = :id", name=name, id=payment_id
    )
    event = {
        "id": event_id,
        "type": "payment.succeeded",
        "created": int(time.time()),
        "account": str(academy.organization_id),
        "data": {"object": {"id": name}},
    }
    body = json.dumps(event).encode()
    signature = sign(body, secret=WEBHOOK_SECRET, timestamp=int(time.time()))
    answers: list[int] = []
    again = threading.Thread(
        target=lambda: answers.append(academy.deliver(body, signature).status_code)
    )
    with academy.database.transaction(academy.scope) as session:
        hold = text("SELECT id FROM payments WHERE id = :id FOR NO KEY UPDATE")
        session.execute(hold, {"id": payment_id})
        again.start()
        academy.wait_for_a_lock()
        touch = "SELECT 1 FROM webhook_events WHERE event_id = :id FOR NO KEY UPDATE NOWAIT"
        assert session.execute(text(touch), {"id": event_id}).scalar() == 1
    again.join(DEADLINE)
    assert answers == [204]
    assert state_of(academy, person, purchase) == "active"
