"""An organization with its own account at Stripe sells runs over HTTP, against the stand-in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import Engine

from lms.config import Settings
from lms.core.ids import new_id
from tenants.session import Database
from tests.factories import stripe_account as fake
from tests.factories.money import Academy
from tests.factories.people import Person
from tests.factories.stripe_academy import StripeAcademy, stripe_academy
from tests.factories.stripe_server import StripeServer, event_of, running_stripe, signed


@pytest.fixture(scope="module")
def stripe() -> Iterator[StripeServer]:
    with running_stripe() as running:
        yield running


@pytest.fixture
def shop(
    app_with_sandbox: Flask,
    database: Database,
    admin_engine: Engine,
    settings: Settings,
    sandbox_url: str,
    stripe: StripeServer,
    make_organization: Callable[..., UUID],
) -> Iterator[StripeAcademy]:
    """An organization of one test alone, with an account; the installation has a sandbox too."""
    slug = f"shop-{new_id().hex[-12:]}"
    academy = Academy(app_with_sandbox, database, admin_engine, make_organization(slug), slug)
    with stripe_academy(academy, settings, stripe, sandbox_url=sandbox_url) as made:
        path = "/payment-accounts/stripe"
        assert made.send("PUT", path, made.person("admin"), made.keys).status_code == 200
        yield made


def buy(shop: StripeAcademy, person: Person, token: str, **options: Any) -> Any:
    return shop.enroll(person, shop.run(), "provider", token=token, **options)


def intent_of(shop: StripeAcademy) -> dict[str, Any]:
    (intent,) = shop.stripe.intents(shop.keys["secret_key"])
    return intent


def state_of(shop: StripeAcademy, person: Person, purchase: dict[str, Any]) -> str:
    return shop.get(f"/enrollments/{purchase['enrollment']['id']}", person).get_json()["state"]


def test_a_run_is_sold_and_refunded(shop: StripeAcademy) -> None:
    person = shop.person()
    answer = buy(shop, person, fake.GOOD)
    assert answer.status_code == 201
    purchase = answer.get_json()
    assert purchase["payment"]["provider"] == "stripe"
    assert purchase["enrollment"]["state"] == "active"
    assert purchase["client_secret"] is None
    intent = intent_of(shop)
    assert (intent["amount"], intent["currency"]) == (4900, "eur")
    assert intent["metadata"] == {
        "payment": purchase["payment"]["id"],
        "organization": str(shop.organization_id),
    }
    path = f"/payments/{purchase['payment']['id']}/refunds"
    refund = shop.post(path, shop.person("admin"), {"reason": "moved"})
    assert (refund.status_code, refund.get_json()["state"]) == (201, "succeeded")
    assert intent["latest_charge"]["amount_refunded"] == 4900
    assert state_of(shop, person, purchase) == "withdrawn"
    shop.assert_books_balance()


def test_a_decline_takes_no_seat(shop: StripeAcademy) -> None:
    run_id = shop.run(capacity=1)
    answer = shop.enroll(shop.person(), run_id, "provider", token=fake.POOR)
    assert (answer.status_code, answer.get_json()["decline_code"]) == (402, "insufficient_funds")
    assert shop.seats_taken(run_id) == 0


def test_3d_secure_is_finished_in_the_front_end_and_told_by_a_webhook(shop: StripeAcademy) -> None:
    person = shop.person()
    answer = buy(shop, person, fake.ASKS_3DS, key="k1")
    purchase, intent = answer.get_json(), intent_of(shop)
    assert (answer.status_code, purchase["client_secret"]) == (202, intent["client_secret"])
    assert state_of(shop, person, purchase) == "pending"
    event = shop.finish(intent["id"])
    for _ in range(2):  # Stripe delivers at least once
        assert shop.tell(event).status_code == 204
    assert state_of(shop, person, purchase) == "active"
    assert len(shop.rows("SELECT * FROM webhook_events")) == 1
    shop.assert_books_balance()


def test_a_learner_who_fails_3d_secure_loses_the_seat_and_may_try_again(
    shop: StripeAcademy,
) -> None:
    person, run_id = shop.person(), shop.run(capacity=1)
    shop.enroll(person, run_id, "provider", token=fake.ASKS_3DS)
    assert shop.tell(shop.finish(intent_of(shop)["id"], succeeds=False)).status_code == 204
    assert shop.seats_taken(run_id) == 0
    again = shop.enroll(person, run_id, "provider", token=fake.GOOD)
    assert again.status_code == 201


def test_the_answer_to_a_repeated_request_has_the_client_secret_again(shop: StripeAcademy) -> None:
    person = shop.person()
    body = {"amount": {"amount": 5000, "currency": "EUR"}, "token": fake.ASKS_3DS}
    first = shop.post("/wallet/top-ups", person, body, key="k2")
    assert first.status_code == 202
    assert first.get_json()["client_secret"] == intent_of(shop)["client_secret"]
    assert shop.post("/wallet/top-ups", person, body, key="k2").get_json() == first.get_json()
    assert shop.get(f"/wallet/top-ups/{first.get_json()['id']}", person).get_json() == {
        **first.get_json(),
        "client_secret": None,
    }


def test_a_lost_answer_is_asked_for_again_with_the_same_key(shop: StripeAcademy) -> None:
    person = shop.person()
    purchase = buy(shop, person, fake.LOST).get_json()
    assert purchase["payment"]["state"] == "created"
    shop.do_work("settle_payment", purchase["payment"]["id"])
    assert state_of(shop, person, purchase) == "active"
    assert intent_of(shop)["status"] == "succeeded"


def test_what_stripe_never_got_is_given_up_after_a_day_and_never_charged(
    shop: StripeAcademy,
) -> None:
    person = shop.person()
    shop.stripe.answers_next.append((503, b""))
    purchase = buy(shop, person, fake.GOOD).get_json()
    shop.execute_as_owner("UPDATE provider_attempts SET created_at = now() - interval '2 days'")
    shop.do_work("settle_payment", purchase["payment"]["id"])
    payment = shop.get(f"/payments/{purchase['payment']['id']}", person).get_json()
    assert (payment["state"], payment["failure_code"]) == ("failed", "never_received")
    assert shop.stripe.intents(shop.keys["secret_key"]) == []


def test_news_that_was_faster_than_the_answer_finds_the_payment_by_what_was_sent_along(
    shop: StripeAcademy,
) -> None:
    person = shop.person()
    purchase = buy(shop, person, fake.LOST).get_json()
    assert shop.tell(event_of("payment_intent.succeeded", intent_of(shop))).status_code == 204
    assert state_of(shop, person, purchase) == "active"


def test_a_slow_refund_is_told_by_a_webhook(shop: StripeAcademy) -> None:
    person = shop.person()
    purchase = buy(shop, person, fake.SLOW_REFUND).get_json()
    path = f"/payments/{purchase['payment']['id']}/refunds"
    waiting = shop.post(path, shop.person("admin"), {})
    assert (waiting.status_code, waiting.get_json()["state"]) == (202, "pending")
    secret_key = shop.keys["secret_key"]
    (refund,) = shop.stripe.accounts[secret_key].refunds.values()
    shop.stripe.settle_refund(secret_key, refund["id"])
    assert shop.tell(event_of("refund.updated", refund)).status_code == 204
    (row,) = shop.rows("SELECT state FROM refunds")
    assert row["state"] == "succeeded"
    shop.assert_books_balance()


def test_news_of_other_things_is_taken_and_forgotten(shop: StripeAcademy) -> None:
    customer = event_of("customer.created", {"id": "cus_1", "object": "customer"})
    assert shop.tell(customer).status_code == 204
    assert shop.rows("SELECT * FROM webhook_events") == []


def test_tampered_and_old_webhooks_are_refused(shop: StripeAcademy) -> None:
    person = shop.person()
    purchase = buy(shop, person, fake.ASKS_3DS).get_json()
    event, secret = shop.finish(intent_of(shop)["id"]), shop.keys["webhook_secret"]
    for body, signature in (
        (event.replace(b"succeeded", b"Succeeded"), signed(event, secret)),
        (event, signed(event, secret, age=400)),
        (event, signed(event, "whsec_of_another_organization")),
        (event, "none"),
    ):
        answer = shop.tell(body, signature)
        assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid_webhook")
    assert state_of(shop, person, purchase) == "pending"


def test_what_was_begun_at_the_sandbox_is_finished_there(shop: StripeAcademy) -> None:
    admin, path = shop.person("admin"), "/payment-accounts/stripe"
    shop.send("DELETE", path, admin)
    person = shop.person()
    open_one = buy(shop, person, "tok_pending").get_json()
    paid = buy(shop, person, "tok_success").get_json()
    assert paid["payment"]["provider"] == "sandbox"
    shop.send("PUT", path, admin, shop.keys)
    shop.settle_at_provider(shop.recorded_name(open_one["payment"]["id"]))
    shop.do_work("settle_payment", open_one["payment"]["id"])
    assert state_of(shop, person, open_one) == "active"
    refund = shop.post(f"/payments/{paid['payment']['id']}/refunds", admin, {})
    assert refund.get_json()["state"] == "succeeded"
    assert buy(shop, person, fake.GOOD).get_json()["payment"]["provider"] == "stripe"
    assert len(shop.stripe.intents(shop.keys["secret_key"])) == 1
