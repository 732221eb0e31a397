"""What an organization's own account at Stripe takes back, over HTTP, against the stand-in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from cryptography.fernet import Fernet
from flask import Flask
from sqlalchemy import Engine

from lms.config import Settings
from lms.core.ids import new_id
from lms.core.queue import EXPIRE_ENROLLMENT
from tenants.session import Database
from tests.factories import stripe_account as fake
from tests.factories.money import Academy
from tests.factories.sandbox import paying_app
from tests.factories.stripe_academy import StripeAcademy, stripe_academy
from tests.factories.stripe_server import StripeServer, event_of, running_stripe


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
    """An organization of one test alone, with an account."""
    slug = f"shop-{new_id().hex[-12:]}"
    academy = Academy(app_with_sandbox, database, admin_engine, make_organization(slug), slug)
    with stripe_academy(academy, settings, stripe, sandbox_url=sandbox_url) as made:
        path = "/payment-accounts/stripe"
        assert made.send("PUT", path, made.person("admin"), made.keys).status_code == 200
        yield made


def buy(shop: StripeAcademy, token: str = fake.GOOD) -> tuple[dict[str, Any], dict[str, Any]]:
    """A purchase, and its intent at Stripe."""
    answer = shop.enroll(shop.person(), shop.run(), "provider", token=token)
    assert answer.status_code in (201, 202)
    return answer.get_json(), shop.stripe.intents(shop.keys["secret_key"])[-1]


def hear(shop: StripeAcademy, kind: str, thing: dict[str, Any]) -> None:
    assert shop.tell(event_of(kind, thing)).status_code == 204


def payment_of(shop: StripeAcademy, purchase: dict[str, Any]) -> dict[str, Any]:
    path = f"/payments/{purchase['payment']['id']}"
    return shop.get(path, shop.person("admin")).get_json()


def test_a_refund_in_the_dashboard_is_booked_when_stripe_tells_of_its_charge(
    shop: StripeAcademy,
) -> None:
    purchase, intent = buy(shop)
    shop.stripe.refund_in_dashboard(shop.keys["secret_key"], intent["id"], 900)
    for _ in range(2):
        hear(shop, "charge.refunded", intent["latest_charge"])
    assert payment_of(shop, purchase)["refunded_amount"]["amount"] == 900
    rows = shop.rows("SELECT reason, state FROM refunds")
    assert rows == [{"reason": "made_at_provider", "state": "succeeded"}]
    shop.assert_books_balance()


def test_a_slow_refund_in_the_dashboard_is_booked_when_stripe_tells_that_it_succeeded(
    shop: StripeAcademy,
) -> None:
    _, intent = buy(shop, fake.SLOW_REFUND)
    secret_key = shop.keys["secret_key"]
    refund = shop.stripe.refund_in_dashboard(secret_key, intent["id"], 4900)
    hear(shop, "charge.refunded", intent["latest_charge"])
    assert shop.rows("SELECT * FROM refunds") == []
    shop.stripe.settle_refund(secret_key, refund["id"])
    hear(shop, "refund.updated", refund)
    rows = shop.rows("SELECT amount, state FROM refunds")
    assert rows == [{"amount": 4900, "state": "succeeded"}]
    assert shop.rows("SELECT state FROM enrollments") == [{"state": "withdrawn"}]


def test_an_open_dispute_keeps_the_account(shop: StripeAcademy) -> None:
    """Without it nobody would hear what the bank decides, and the money would stay contested."""
    _, intent = buy(shop)
    secret_key, path = shop.keys["secret_key"], "/payment-accounts/stripe"
    dispute = shop.stripe.dispute(secret_key, intent["id"])
    hear(shop, "charge.dispute.created", dispute)
    admin = shop.person("admin")
    refused = shop.send("DELETE", path, admin)
    assert (refused.status_code, refused.get_json()["open"]["disputes"]) == (409, 1)
    assert "1 dispute." in refused.get_json()["detail"]
    hear(shop, "charge.dispute.closed", shop.stripe.move_dispute(secret_key, dispute["id"], "won"))
    assert shop.send("DELETE", path, admin).status_code == 204


def test_a_refund_in_the_dashboard_takes_the_place_of_ours_that_failed_on_its_way(
    shop: StripeAcademy,
) -> None:
    purchase, intent = buy(shop, fake.SLOW_REFUND)
    secret_key = shop.keys["secret_key"]
    path = f"/payments/{purchase['payment']['id']}/refunds"
    body = {"amount": {"amount": 3000, "currency": "EUR"}}
    assert shop.post(path, shop.person("admin"), body).status_code == 202
    (ours,) = shop.stripe.accounts[secret_key].refunds.values()
    ours["status"] = "failed"
    intent["latest_charge"]["amount_refunded"] -= 3000
    theirs = shop.stripe.refund_in_dashboard(secret_key, intent["id"], 3000)
    shop.stripe.settle_refund(secret_key, theirs["id"])
    hear(shop, "refund.failed", ours)
    rows = shop.rows("SELECT state, provider_refund_id AS name FROM refunds ORDER BY id")
    assert rows == [
        {"state": "failed", "name": ours["id"]},
        {"state": "succeeded", "name": theirs["id"]},
    ]
    assert payment_of(shop, purchase)["refunded_amount"]["amount"] == 3000
    unapplied = "SELECT event_id FROM webhook_events WHERE applied_at IS NULL"
    assert shop.rows(unapplied) == []
    shop.assert_books_balance()


def test_our_own_refund_is_known_by_what_was_sent_along(shop: StripeAcademy) -> None:
    purchase, intent = buy(shop)
    path = f"/payments/{purchase['payment']['id']}/refunds"
    body = {"amount": {"amount": 1000, "currency": "EUR"}}
    refund = shop.post(path, shop.person("admin"), body).get_json()
    (theirs,) = shop.stripe.accounts[shop.keys["secret_key"]].refunds.values()
    assert theirs["metadata"]["refund"] == refund["id"]
    assert theirs["metadata"]["organization"] == str(shop.organization_id)
    hear(shop, "charge.refunded", intent["latest_charge"])
    hear(shop, "refund.updated", theirs)
    assert len(shop.rows("SELECT * FROM refunds")) == 1
    assert payment_of(shop, purchase)["refunded_amount"]["amount"] == 1000


def test_a_top_up_that_is_refunded_in_the_dashboard_leaves_the_wallet(shop: StripeAcademy) -> None:
    person = shop.person()
    shop.top_up(person, 5000, fake.GOOD)
    (intent,) = shop.stripe.intents(shop.keys["secret_key"])
    shop.stripe.refund_in_dashboard(shop.keys["secret_key"], intent["id"], 2000)
    hear(shop, "charge.refunded", intent["latest_charge"])
    assert shop.balance(person) == 3000


def test_a_dispute_of_stripes_goes_all_its_way(shop: StripeAcademy) -> None:
    purchase, intent = buy(shop)
    secret_key = shop.keys["secret_key"]
    dispute = shop.stripe.dispute(secret_key, intent["id"], status="warning_needs_response")
    hear(shop, "charge.dispute.created", dispute)
    assert payment_of(shop, purchase)["dispute_state"] == "none"
    for status, kind, expected in (
        ("needs_response", "funds_withdrawn", "open"),
        ("under_review", "updated", "open"),
        ("won", "closed", "none"),
    ):
        shop.stripe.move_dispute(secret_key, dispute["id"], status)
        hear(shop, f"charge.dispute.{kind}", dispute)
        assert payment_of(shop, purchase)["dispute_state"] == expected
    hear(shop, "charge.dispute.funds_reinstated", dispute)
    (row,) = shop.rows("SELECT kind, status, reason, amount, currency FROM disputes")
    assert row == {
        "kind": "chargeback",
        "status": "won",
        "reason": "fraudulent",
        "amount": 4900,
        "currency": "EUR",
    }


def test_stripe_refuses_a_refund_of_a_dispute_that_we_have_not_heard_of(
    shop: StripeAcademy,
) -> None:
    purchase, intent = buy(shop)
    shop.stripe.dispute(shop.keys["secret_key"], intent["id"])
    path = f"/payments/{purchase['payment']['id']}/refunds"
    problem = shop.post(path, shop.person("admin"), {}).get_json()
    assert (problem["code"], problem["failure_code"]) == ("refund_refused", "payment_disputed")


def test_disputes_and_refunds_of_a_shop_on_the_same_account_are_forgotten(
    shop: StripeAcademy,
) -> None:
    _, intent = buy(shop)
    secret_key = shop.keys["secret_key"]
    dispute = shop.stripe.dispute(secret_key, intent["id"])
    refund = shop.stripe.refund_in_dashboard(secret_key, intent["id"], 900)
    account = shop.stripe.accounts[secret_key]
    sold_by_the_shop = {**intent, "id": "pi_of_a_shop", "metadata": {}}
    account.intents["pi_of_a_shop"] = sold_by_the_shop
    dispute["payment_intent"] = refund["payment_intent"] = "pi_of_a_shop"
    hear(shop, "charge.dispute.created", dispute)
    hear(shop, "refund.created", refund)
    assert shop.rows("SELECT * FROM webhook_events") == []
    assert shop.rows("SELECT * FROM disputes") == []


def test_a_payment_whose_3d_secure_was_abandoned_is_cancelled_at_stripe(
    shop: StripeAcademy,
) -> None:
    purchase, intent = buy(shop, fake.ASKS_3DS)
    shop.execute_as_owner("UPDATE enrollments SET hold_until = now() - interval '1 second'")
    shop.do_work(EXPIRE_ENROLLMENT, purchase["enrollment"]["id"])
    assert (intent["status"], intent["cancellation_reason"]) == ("canceled", "abandoned")
    assert payment_of(shop, purchase)["state"] == "canceled"
    answer = shop.send("DELETE", "/payment-accounts/stripe", shop.person("admin"))
    assert answer.status_code == 204


def test_whose_secrets_cannot_be_read_is_not_told_to_who_sends_events(
    shop: StripeAcademy, settings: Settings
) -> None:
    _, intent = buy(shop)
    body = event_of("payment_intent.succeeded", intent)
    with paying_app(replace(settings, secrets_keys=Fernet.generate_key().decode()), None) as app:
        answer = replace(shop, app=app).tell(body)
    problem = answer.get_json()
    assert (answer.status_code, problem["code"]) == (503, "provider_unavailable")
    assert "secret" not in answer.text.lower()
    assert shop.tell(body).status_code == 204
