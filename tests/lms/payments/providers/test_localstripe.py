"""The adapter against `localstripe`, which others wrote, behind a strict proxy of ours."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from lms.payments.providers.base import InvalidWebhook, ProviderRejected
from lms.payments.providers.stripe import StripeProvider
from tests.factories.localstripe import SECRET_KEY, LocalStripe, running_localstripe
from tests.factories.stripe_adapter import METADATA, WEBHOOK_SECRET, pay, refund
from tests.lms.payments.providers.conftest import Inbox, Received

ASKS_3DS = "4000002500003155"
DECLINED = "pm_card_chargeCustomerFail"


@pytest.fixture(scope="module")
def localstripe() -> Iterator[LocalStripe]:
    with running_localstripe() as running:
        yield running


@pytest.fixture
def provider(localstripe: LocalStripe) -> StripeProvider:
    """The adapter of an organization of one test alone."""
    return StripeProvider(
        secret_key=SECRET_KEY,
        webhook_secret=WEBHOOK_SECRET,
        account=str(uuid.uuid4()),
        api_base=localstripe.url,
    )


def test_a_card_pays_at_once(provider: StripeProvider) -> None:
    payment = pay(provider)
    assert (payment.status, payment.amount, payment.currency) == ("succeeded", 4900, "EUR")
    assert payment.metadata == METADATA
    assert provider.fetch_payment(payment.id) == payment


def test_a_decline_is_an_answer_with_its_reason(provider: StripeProvider) -> None:
    payment = pay(provider, DECLINED)
    assert (payment.status, payment.decline_code) == ("failed", "card_declined")
    assert provider.fetch_payment(payment.id) == payment


def test_a_key_charges_once(provider: StripeProvider, localstripe: LocalStripe) -> None:
    before = len(localstripe.intents())
    assert pay(provider, idempotency_key="once") == pay(provider, idempotency_key="once")
    assert len(localstripe.intents()) == before + 1


def test_a_key_is_good_for_one_payment(provider: StripeProvider) -> None:
    pay(provider, idempotency_key="first")
    with pytest.raises(ProviderRejected):
        pay(provider, idempotency_key="first", amount=9900)


@pytest.mark.parametrize(("succeeds", "status"), [(True, "succeeded"), (False, "failed")])
def test_the_learner_decides_over_3d_secure(
    provider: StripeProvider, localstripe: LocalStripe, succeeds: bool, status: str
) -> None:
    payment = pay(provider, localstripe.card(ASKS_3DS))
    assert payment.status == "pending"
    assert payment.client_secret is not None
    localstripe.authenticate(payment.id, payment.client_secret, succeeds=succeeds)
    assert provider.fetch_payment(payment.id).status == status


def test_what_waits_for_the_learner_is_canceled(
    provider: StripeProvider, localstripe: LocalStripe
) -> None:
    payment = pay(provider, localstripe.card(ASKS_3DS))
    assert provider.cancel_payment(payment.id).status == "canceled"
    assert provider.fetch_payment(payment.id).status == "canceled"


def test_what_is_paid_is_not_canceled(provider: StripeProvider) -> None:
    assert provider.cancel_payment(pay(provider).id).status == "succeeded"


def test_refunds_give_back_what_was_paid_and_no_more(provider: StripeProvider) -> None:
    payment = pay(provider)
    parts = [refund(provider, payment.id, amount) for amount in (1000, 3900)]
    assert [part.status for part in parts] == ["succeeded", "succeeded"]
    with pytest.raises(ProviderRejected):
        refund(provider, payment.id, 1)
    assert provider.fetch_payment(payment.id).refunded_amount == 4900
    assert {one.id for one in provider.list_refunds(payment.id)} == {one.id for one in parts}


def test_more_than_is_left_is_not_given_back(provider: StripeProvider) -> None:
    payment = pay(provider)
    with pytest.raises(ProviderRejected):
        refund(provider, payment.id, 4901)
    assert provider.list_refunds(payment.id) == []


def test_a_key_gives_back_once(provider: StripeProvider) -> None:
    payment = pay(provider)
    first = refund(provider, payment.id, 1000, idempotency_key="back")
    assert refund(provider, payment.id, 1000, idempotency_key="back") == first
    assert provider.fetch_payment(payment.id).refunded_amount == 1000


def news_of(
    provider: StripeProvider, inbox: Inbox, path: str, payment_id: str, kind: str
) -> Received:
    """What was told of a payment; news of other tests' payments comes late, and here too."""
    count = 0
    while True:
        count += 1
        news = inbox.wait(path, count)[count - 1]
        event = provider.parse_webhook(news.body, news.signature, now=datetime.now(UTC))
        if event is not None and (event.payment_id, event.type) == (payment_id, kind):
            return news


def test_its_news_is_believed_as_it_was_signed_and_not_otherwise(
    provider: StripeProvider, localstripe: LocalStripe, inbox: Inbox, path: str
) -> None:
    localstripe.send_news_to(f"http://127.0.0.1:{inbox.port}{path}", WEBHOOK_SECRET)
    payment = pay(provider)
    news = news_of(provider, inbox, path, payment.id, "payment_intent.succeeded")
    tampered = news.body.replace(b"4900", b"4901")
    assert tampered != news.body
    with pytest.raises(InvalidWebhook):
        provider.parse_webhook(tampered, news.signature, now=datetime.now(UTC))


def test_news_of_a_refund_names_its_payment(
    provider: StripeProvider, localstripe: LocalStripe, inbox: Inbox, path: str
) -> None:
    payment = pay(provider)
    localstripe.send_news_to(f"http://127.0.0.1:{inbox.port}{path}", WEBHOOK_SECRET)
    refund(provider, payment.id, 1000)
    assert news_of(provider, inbox, path, payment.id, "refund.created")
