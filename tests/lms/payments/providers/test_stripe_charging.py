"""Charging: the adapter, with Stripe's own library, against a strict stand-in for its protocol."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lms.payments.providers.base import ProviderPayment, ProviderRejected, ProviderUnavailable
from lms.payments.providers.stripe import LISTED_AT_ONCE, StripeProvider
from tests.factories import stripe_account as fake
from tests.factories.stripe_adapter import METADATA, WEBHOOK_SECRET, adapter, pay, refund
from tests.factories.stripe_server import StripeServer, running_stripe


@pytest.fixture(scope="module")
def server() -> Iterator[StripeServer]:
    with running_stripe() as running:
        yield running


@pytest.fixture
def provider(server: StripeServer) -> StripeProvider:
    return adapter(server)


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


def test_a_payment_that_waits_for_the_learner_is_canceled(
    provider: StripeProvider, server: StripeServer
) -> None:
    payment = pay(provider, fake.ASKS_3DS)
    canceled = provider.cancel_payment(payment.id)
    assert (canceled.status, canceled.client_secret) == ("canceled", None)
    (intent,) = server.intents(provider.secret_key)
    assert intent["cancellation_reason"] == "abandoned"
    assert provider.cancel_payment(payment.id) == canceled


@pytest.mark.parametrize(("token", "status"), [(fake.GOOD, "succeeded"), (fake.SLOW, "pending")])
def test_what_is_paid_or_on_its_way_is_not_canceled(
    provider: StripeProvider, token: str, status: str
) -> None:
    payment = pay(provider, token)
    assert provider.cancel_payment(payment.id).status == status


def test_a_payment_of_another_account_is_not_canceled(provider: StripeProvider) -> None:
    with pytest.raises(ProviderRejected) as caught:
        provider.cancel_payment("pi_of_nobody")
    assert caught.value.code == "resource_missing"


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


# --- the list


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
