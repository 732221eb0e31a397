"""The adapter, with Stripe's own library, against a strict stand-in for Stripe's protocol."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lms.payments.providers.base import (
    InvalidWebhook,
    ProviderPayment,
    ProviderRefund,
    ProviderRejected,
    ProviderUnavailable,
)
from lms.payments.providers.stripe import LISTED_AT_ONCE, StripeProvider
from tests.factories import stripe_server as fake
from tests.factories.stripe_server import StripeServer, event_of, running_stripe, signed

WEBHOOK_SECRET = "whsec_of_a_test"
METADATA = {"payment": "0190f3a0-0000-7000-8000-000000000001"}


@pytest.fixture(scope="module")
def server() -> Iterator[StripeServer]:
    with running_stripe() as running:
        yield running


@pytest.fixture
def provider(server: StripeServer) -> StripeProvider:
    """The adapter of an account of one test alone."""
    secret_key = f"sk_test_{uuid.uuid4().hex}"
    server.open_account(secret_key)
    return StripeProvider(
        secret_key=secret_key,
        webhook_secret=WEBHOOK_SECRET,
        account=str(uuid.uuid4()),
        api_base=server.url,
    )


def pay(provider: StripeProvider, token: str = fake.GOOD, **changes: Any) -> ProviderPayment:
    arguments: dict[str, Any] = {
        "idempotency_key": str(uuid.uuid4()),
        "amount": 4900,
        "currency": "EUR",
        "token": token,
        "metadata": METADATA,
        **changes,
    }
    return provider.create_payment(**arguments)


def refund(
    provider: StripeProvider, payment_id: str, amount: int, **changes: Any
) -> ProviderRefund:
    arguments = {"idempotency_key": str(uuid.uuid4()), **changes}
    return provider.refund(payment_id=payment_id, amount=amount, **arguments)


def rejection(provider: StripeProvider, **changes: Any) -> str:
    with pytest.raises(ProviderRejected) as caught:
        pay(provider, **changes)
    return caught.value.code


# --- payments


@pytest.mark.parametrize("token", [fake.GOOD, "tok_visa", "ctoken_visa"])
def test_a_good_token_pays_at_once(provider: StripeProvider, token: str) -> None:
    payment = pay(provider, token)
    assert payment == ProviderPayment(
        id=payment.id,
        status="succeeded",
        amount=4900,
        currency="EUR",
        client_secret=None,
        decline_code=None,
        refunded_amount=0,
        metadata=METADATA,
    )
    assert provider.fetch_payment(payment.id) == payment


@pytest.mark.parametrize(
    ("token", "code"),
    [(fake.DECLINED, "generic_decline"), (fake.POOR, "insufficient_funds")],
)
def test_a_decline_is_an_answer_with_its_reason(
    provider: StripeProvider, token: str, code: str
) -> None:
    payment = pay(provider, token, idempotency_key="k")
    assert (payment.status, payment.decline_code) == ("failed", code)
    assert payment.client_secret is None
    assert pay(provider, token, idempotency_key="k") == payment
    assert provider.fetch_payment(payment.id) == payment


def test_what_the_learner_must_do_comes_with_the_client_secret(
    provider: StripeProvider, server: StripeServer
) -> None:
    payment = pay(provider, fake.ASKS_3DS)
    (intent,) = server.intents(provider.secret_key)
    assert (payment.status, payment.client_secret) == ("pending", intent["client_secret"])
    server.finish(provider.secret_key, payment.id)
    paid = provider.fetch_payment(payment.id)
    assert (paid.status, paid.client_secret) == ("succeeded", None)


def test_a_learner_who_fails_3d_secure_has_not_paid(
    provider: StripeProvider, server: StripeServer
) -> None:
    payment = pay(provider, fake.ASKS_3DS)
    server.finish(provider.secret_key, payment.id, succeeds=False)
    failed = provider.fetch_payment(payment.id)
    assert failed.status == "failed"
    assert failed.decline_code == "payment_intent_authentication_failure"


def test_a_debit_on_its_way_leaves_the_learner_nothing_to_do(provider: StripeProvider) -> None:
    payment = pay(provider, fake.SLOW)
    assert (payment.status, payment.client_secret) == ("pending", None)


def test_a_payment_that_was_canceled_at_stripe_is_canceled(
    provider: StripeProvider, server: StripeServer
) -> None:
    payment = pay(provider, fake.ASKS_3DS)
    server.accounts[provider.secret_key].intents[payment.id]["status"] = "canceled"
    assert provider.fetch_payment(payment.id).status == "canceled"


def test_an_unknown_token_is_definitely_refused(provider: StripeProvider) -> None:
    for token in ("pm_of_nobody", "tok_of_nobody", "ctoken_of_nobody", ""):
        assert rejection(provider, token=token) == "unknown_token"


def test_a_sum_that_stripe_does_not_take_is_definitely_refused(provider: StripeProvider) -> None:
    assert rejection(provider, amount=49) == "amount_not_accepted"


@pytest.mark.parametrize(
    ("amount", "currency", "sent"),
    [(500, "JPY", 500), (500, "ISK", 50000), (50000, "MGA", 500), (5120, "KWD", 5120)],
)
def test_sums_are_sent_as_stripe_counts_them(
    provider: StripeProvider, server: StripeServer, amount: int, currency: str, sent: int
) -> None:
    payment = pay(provider, amount=amount, currency=currency)
    (intent,) = server.intents(provider.secret_key)
    assert (intent["amount"], intent["currency"]) == (sent, currency.lower())
    assert (payment.amount, payment.currency) == (amount, currency)
    assert refund(provider, payment.id, amount).amount == amount
    assert provider.fetch_payment(payment.id).refunded_amount == amount


@pytest.mark.parametrize(("amount", "currency"), [(5124, "KWD"), (50050, "MGA"), (500, "UGX")])
def test_a_sum_that_stripe_could_only_take_rounded_is_refused_and_not_asked(
    provider: StripeProvider, server: StripeServer, amount: int, currency: str
) -> None:
    assert rejection(provider, amount=amount, currency=currency) == "amount_not_accepted"
    assert server.intents(provider.secret_key) == []


# --- the same key


def test_the_same_key_gives_the_same_answer(provider: StripeProvider, server: StripeServer) -> None:
    assert pay(provider, idempotency_key="k") == pay(provider, idempotency_key="k")
    assert len(server.intents(provider.secret_key)) == 1


def test_the_same_key_with_other_arguments_is_refused(
    provider: StripeProvider, server: StripeServer
) -> None:
    pay(provider, idempotency_key="k")
    assert rejection(provider, idempotency_key="k", amount=5000) == "idempotency_key_reused"
    assert len(server.intents(provider.secret_key)) == 1


def test_after_a_lost_answer_the_same_key_finds_the_payment_that_was_made(
    provider: StripeProvider, server: StripeServer
) -> None:
    with pytest.raises(ProviderUnavailable):
        pay(provider, fake.LOST, idempotency_key="k")
    payment = pay(provider, fake.LOST, idempotency_key="k")
    (intent,) = server.intents(provider.secret_key)
    assert (payment.id, payment.status) == (intent["id"], "succeeded")


def test_once_stripe_may_have_forgotten_the_key_the_payment_is_looked_for(
    provider: StripeProvider, server: StripeServer
) -> None:
    with pytest.raises(ProviderUnavailable):
        pay(provider, fake.LOST, idempotency_key="k")
    server.forget_keys(provider.secret_key)
    long_ago = datetime.now(UTC) - timedelta(hours=24)
    payment = pay(provider, fake.LOST, idempotency_key="k", first_asked=long_ago)
    (intent,) = server.intents(provider.secret_key)
    assert (payment.id, payment.status) == (intent["id"], "succeeded")


@pytest.mark.parametrize(("hours", "refusal"), [(24, ProviderUnavailable), (27, ProviderRejected)])
def test_nothing_is_charged_with_a_key_that_is_too_old(
    provider: StripeProvider, server: StripeServer, hours: int, refusal: type[Exception]
) -> None:
    pay(provider, metadata={"payment": "0190f3a0-0000-7000-8000-00000000000f"})
    long_ago = datetime.now(UTC) - timedelta(hours=hours)
    with pytest.raises(refusal) as caught:
        pay(provider, first_asked=long_ago)
    assert getattr(caught.value, "code", "never_received") == "never_received"
    assert len(server.intents(provider.secret_key)) == 1


# --- what goes wrong on the way


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b'{"error": {"type": "api_error", "message": "Oh"}}'),
        (503, b"<html>"),
        (429, b'{"error": {"type": "invalid_request_error", "code": "rate_limit"}}'),
        (409, b'{"error": {"type": "idempotency_error", "code": "idempotency_key_in_use"}}'),
        (401, b'{"error": {"type": "invalid_request_error", "message": "Invalid API Key"}}'),
        (403, b'{"error": {"type": "invalid_request_error", "message": "No permission"}}'),
        (400, b"<html>a proxy's own</html>"),
        (200, b"<html>"),
        (200, b"{}"),
        (200, b'{"id": "pi_1", "object": "payment_intent", "status": "of another year"}'),
    ],
)
def test_an_answer_that_does_not_say_what_happened_leaves_the_outcome_open(
    provider: StripeProvider, server: StripeServer, status: int, body: bytes
) -> None:
    server.answers_next.append((status, body))
    asked = len(server.requests)
    with pytest.raises(ProviderUnavailable):
        pay(provider)
    assert len(server.requests) == asked + 1  # the library does not try again by itself


def test_nobody_there_and_nobody_answering_leave_the_outcome_open(
    provider: StripeProvider,
) -> None:
    with pytest.raises(ProviderUnavailable):
        pay(replace(provider, api_base="http://127.0.0.1:9"))


def test_a_silent_server_is_not_waited_for_long(provider: StripeProvider) -> None:
    import socket  # noqa: PLC0415 - for this test alone

    with socket.create_server(("127.0.0.1", 0)) as silent:
        base = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ProviderUnavailable):
            pay(replace(provider, api_base=base, timeouts=(0.2, 0.2)))


def test_the_wrong_key_leaves_the_outcome_open(provider: StripeProvider) -> None:
    with pytest.raises(ProviderUnavailable):
        pay(replace(provider, secret_key="sk_test_of_nobody"))


def test_accounts_do_not_see_each_others_payments(
    provider: StripeProvider, server: StripeServer
) -> None:
    payment = pay(provider)
    server.open_account("sk_test_of_another")
    with pytest.raises(ProviderRejected) as caught:
        replace(provider, secret_key="sk_test_of_another").fetch_payment(payment.id)
    assert caught.value.code == "resource_missing"


def test_nothing_secret_is_shown_or_logged(
    provider: StripeProvider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    payment = pay(provider, fake.ASKS_3DS)
    with pytest.raises(ProviderUnavailable) as caught:
        pay(replace(provider, secret_key="sk_test_not_to_be_told"))
    told = f"{provider!r} {caught.value!r} {caplog.text}"
    for secret in (provider.secret_key, WEBHOOK_SECRET, payment.client_secret, "not_to_be_told"):
        assert secret is not None
        assert secret not in told


# --- refunds


def test_refunds_in_parts_up_to_what_was_paid(provider: StripeProvider) -> None:
    payment = pay(provider)
    first = refund(provider, payment.id, 1900)
    assert (first.amount, first.status, first.payment_id) == (1900, "succeeded", payment.id)
    assert provider.fetch_payment(payment.id).refunded_amount == 1900
    with pytest.raises(ProviderRejected) as caught:
        refund(provider, payment.id, 3001)
    assert caught.value.code == "refund_exceeds_payment"
    refund(provider, payment.id, 3000)
    with pytest.raises(ProviderRejected) as caught:
        refund(provider, payment.id, 1)
    assert caught.value.code == "refund_exceeds_payment"
    assert provider.fetch_refund(first.id) == first


def test_a_refund_happens_once_for_each_key(provider: StripeProvider) -> None:
    payment = pay(provider)
    first = refund(provider, payment.id, 1000, idempotency_key="r")
    assert refund(provider, payment.id, 1000, idempotency_key="r") == first
    assert provider.fetch_payment(payment.id).refunded_amount == 1000


def test_once_stripe_may_have_forgotten_the_key_the_refund_is_looked_for(
    provider: StripeProvider, server: StripeServer
) -> None:
    payment = pay(provider)
    first = refund(provider, payment.id, 10, idempotency_key="r")
    for _ in range(101):  # more than a page of newer ones
        server.accounts[provider.secret_key].refunds[f"re_{uuid.uuid4().hex}"] = {
            **server.accounts[provider.secret_key].refunds[first.id],
            "id": f"re_{uuid.uuid4().hex}",
            "metadata": {},
        }
    server.forget_keys(provider.secret_key)
    long_ago = datetime.now(UTC) - timedelta(days=2)
    again = refund(provider, payment.id, 10, idempotency_key="r", first_asked=long_ago)
    assert again == first
    other = refund(provider, payment.id, 10, idempotency_key="s", first_asked=long_ago)
    assert other.id != first.id
    assert provider.fetch_payment(payment.id).refunded_amount == 20


def test_a_refund_that_takes_days_is_pending(
    provider: StripeProvider, server: StripeServer
) -> None:
    payment = pay(provider, fake.SLOW_REFUND)
    waiting = refund(provider, payment.id, 4900)
    assert waiting.status == "pending"
    server.settle_refund(provider.secret_key, waiting.id)
    assert provider.fetch_refund(waiting.id).status == "succeeded"


def test_its_list_has_every_payment_of_ours_once_over_all_pages(
    provider: StripeProvider, server: StripeServer
) -> None:
    made = {pay(provider).id for _ in range(3)}
    shop = server.accounts[provider.secret_key].intents
    for _ in range(LISTED_AT_ONCE):  # somebody else's sales through the same account
        other = f"pi_{uuid.uuid4().hex}"
        shop[other] = {**shop[next(iter(made))], "id": other, "metadata": {}}
    listed: list[str] = []
    page = provider.list_payments()
    while True:
        listed += [payment.id for payment in page.payments]
        if page.next_cursor is None:
            break
        page = provider.list_payments(cursor=page.next_cursor)
    assert (len(listed), set(listed)) == (3, made)


def test_its_list_begins_at_a_moment(provider: StripeProvider) -> None:
    payment = pay(provider)
    refund(provider, payment.id, 1000, idempotency_key="r")
    lately = datetime.now(UTC) - timedelta(minutes=5)
    (listed,) = provider.list_payments(created_after=lately).payments
    assert (listed.id, listed.refunded_amount) == (payment.id, 1000)
    assert provider.list_payments(created_after=lately + timedelta(hours=1)).payments == []


def test_what_was_not_paid_cannot_be_refunded(provider: StripeProvider) -> None:
    payment = pay(provider, fake.ASKS_3DS)
    with pytest.raises(ProviderRejected) as caught:
        refund(provider, payment.id, 4900)
    assert caught.value.code == "payment_not_refundable"


def test_an_unknown_payment_says_nothing_about_the_money(provider: StripeProvider) -> None:
    with pytest.raises(ProviderRejected) as caught:
        refund(provider, "pi_of_nobody", 4900)
    assert caught.value.code == "resource_missing"


# --- webhooks


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
    assert event.metadata == METADATA


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
