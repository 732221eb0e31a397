"""Webhooks: the adapter, with Stripe's own library, and bodies signed as Stripe does."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from lms.payments.providers.base import InvalidWebhook
from lms.payments.providers.stripe import StripeProvider
from tests.factories.stripe_adapter import METADATA, WEBHOOK_SECRET, adapter, pay
from tests.factories.stripe_server import StripeServer, event_of, running_stripe, signed


@pytest.fixture(scope="module")
def server() -> Iterator[StripeServer]:
    with running_stripe() as running:
        yield running


@pytest.fixture
def provider(server: StripeServer) -> StripeProvider:
    return adapter(server)


def intent_of(provider: StripeProvider, **changes: Any) -> dict[str, Any]:
    metadata = {**METADATA, "organization": provider.account}
    return {"id": "pi_1", "object": "payment_intent", "metadata": metadata, **changes}


def read(provider: StripeProvider, body: bytes, **options: Any) -> Any:
    signature = signed(body, WEBHOOK_SECRET, **options)
    return provider.parse_webhook(body, signature, now=datetime.now(UTC))


def test_an_event_names_the_payment_and_what_we_sent_along(provider: StripeProvider) -> None:
    body = event_of("payment_intent.succeeded", intent_of(provider))
    event = read(provider, body)
    assert (event.id, event.type) == (json.loads(body)["id"], "payment_intent.succeeded")
    assert (event.payment_id, event.account) == ("pi_1", provider.account)
    assert (event.metadata, event.surely_ours, event.dispute_id) == (METADATA, True, None)


@pytest.mark.parametrize("about", ["charge", "refund"])
def test_news_of_charges_and_refunds_is_news_of_their_payment(
    provider: StripeProvider, about: str
) -> None:
    thing = intent_of(provider, object=about, id="xx_1", payment_intent="pi_2")
    assert read(provider, event_of(f"{about}.updated", thing)).payment_id == "pi_2"


def test_genuine_news_of_something_else_is_no_event_of_ours(provider: StripeProvider) -> None:
    customer = {"id": "cus_1", "object": "customer"}
    assert read(provider, event_of("customer.created", customer)) is None
    of_a_shop = intent_of(provider, metadata={})
    assert read(provider, event_of("payment_intent.succeeded", of_a_shop)) is None
    of_another = intent_of(provider, metadata={"organization": str(uuid.uuid4())})
    assert read(provider, event_of("payment_intent.succeeded", of_another)) is None
    connected = event_of("payment_intent.succeeded", intent_of(provider), account="acct_1")
    assert read(provider, connected) is None
    without = intent_of(provider, object="charge", payment_intent=None)
    assert read(provider, event_of("charge.succeeded", without)) is None


@pytest.mark.parametrize(
    "kind", ["created", "updated", "closed", "funds_withdrawn", "funds_reinstated"]
)
def test_news_of_a_dispute_name_it_and_do_not_say_whose_it_is(
    provider: StripeProvider, server: StripeServer, kind: str
) -> None:
    payment = pay(provider)
    dispute = server.dispute(provider.secret_key, payment.id)
    event = read(provider, event_of(f"charge.dispute.{kind}", dispute))
    assert (event.payment_id, event.dispute_id) == (payment.id, dispute["id"])
    assert (event.metadata, event.surely_ours) == ({}, False)


def test_news_of_a_refund_that_was_made_in_the_dashboard_do_not_say_whose_it_is(
    provider: StripeProvider, server: StripeServer
) -> None:
    payment = pay(provider)
    made = server.refund_in_dashboard(provider.secret_key, payment.id, 900)
    event = read(provider, event_of("refund.created", made))
    assert (event.payment_id, event.dispute_id) == (payment.id, None)
    assert (event.metadata, event.surely_ours) == ({}, False)
    (intent,) = server.intents(provider.secret_key)
    charge = read(provider, event_of("charge.refunded", intent["latest_charge"]))
    assert (charge.payment_id, charge.surely_ours) == (payment.id, True)


def test_what_another_organization_marked_is_not_ours(
    provider: StripeProvider, server: StripeServer
) -> None:
    payment = pay(provider)
    made = server.refund_in_dashboard(provider.secret_key, payment.id, 900)
    made["metadata"] = {"organization": str(uuid.uuid4())}
    assert read(provider, event_of("refund.updated", made)) is None


@pytest.mark.parametrize("age", [301, -301])
def test_a_signature_of_another_time_is_refused(provider: StripeProvider, age: int) -> None:
    with pytest.raises(InvalidWebhook):
        read(provider, event_of("payment_intent.succeeded", intent_of(provider)), age=age)


@pytest.mark.parametrize("body", [b"[]", b"{}", b"no json", b'{"id": 1, "type": "x"}'])
def test_a_signed_body_that_is_no_event_is_refused(provider: StripeProvider, body: bytes) -> None:
    with pytest.raises(InvalidWebhook):
        read(provider, body)


def test_what_stripe_did_not_sign_is_refused(provider: StripeProvider) -> None:
    body = event_of("payment_intent.succeeded", intent_of(provider))
    good = signed(body, WEBHOOK_SECRET)
    for sent, signature in (
        (body.replace(b"pi_1", b"pi_2"), good),
        (body, signed(body, "whsec_of_another")),
        (body, ""),
        (body, "t=1"),
        (body, "v1=00"),
        (body, good.replace("v1=", "v0=")),
        (body, good.replace("v1=", "v1=é")),
        (body, f"t={'9' * 5000},v1=00"),
        (b"\xff", good),
    ):
        with pytest.raises(InvalidWebhook):
            provider.parse_webhook(sent, signature, now=datetime.now(UTC))
    with pytest.raises(InvalidWebhook):
        replace(provider, webhook_secret="").parse_webhook(body, good, now=datetime.now(UTC))
