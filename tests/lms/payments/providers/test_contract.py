"""What every provider keeps to, asked of each adapter in the same words."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from lms.payments.providers.base import (
    InvalidWebhook,
    PaymentProvider,
    ProviderPayment,
    ProviderRejected,
    ProviderUnavailable,
)
from lms.payments.providers.sandbox import SandboxProvider
from lms.payments.providers.stripe import StripeProvider
from tests.factories import stripe_server as fake
from tests.factories.stripe_server import StripeServer, running_stripe


@dataclass(frozen=True)
class Contracted:
    """An adapter, what stands for the same means of payment at it, and how to carry one on."""

    provider: PaymentProvider
    tokens: dict[str, str]
    settle: Callable[[str], object]


@pytest.fixture(scope="module")
def stripe() -> Iterator[StripeServer]:
    with running_stripe() as running:
        yield running


@pytest.fixture(params=["sandbox", "stripe"])
def contracted(request: pytest.FixtureRequest, stripe: StripeServer) -> Contracted:
    if request.param == "stripe":
        secret_key = f"sk_test_{uuid.uuid4().hex}"
        stripe.open_account(secret_key)
        return Contracted(
            StripeProvider(
                secret_key=secret_key,
                webhook_secret="whsec_1",
                account=str(uuid.uuid4()),
                api_base=stripe.url,
            ),
            {
                "good": fake.GOOD,
                "poor": fake.POOR,
                "pending": fake.ASKS_3DS,
                "lost": fake.LOST,
                "slow refund": fake.SLOW_REFUND,
            },
            lambda payment_id: stripe.finish(secret_key, payment_id),
        )
    provider: SandboxProvider = request.getfixturevalue("provider")
    headers = {
        "Authorization": f"Bearer {provider.secret_key}",
        "Sandbox-Account": provider.account,
    }
    return Contracted(
        provider,
        {
            "good": "tok_success",
            "poor": "tok_insufficient_funds",
            "pending": "tok_pending",
            "lost": "tok_timeout_after_success",
            "slow refund": "tok_pending_refund",
        },
        lambda payment_id: httpx.post(
            f"{provider.base_url}/v1/payments/{payment_id}/settle", headers=headers
        ).raise_for_status(),
    )


def pay(contracted: Contracted, means: str, **changes: Any) -> ProviderPayment:
    arguments: dict[str, Any] = {
        "idempotency_key": str(uuid.uuid4()),
        "amount": 4900,
        "currency": "EUR",
        "token": contracted.tokens.get(means, means),
        "metadata": {"payment": "0190f3a0"},
        **changes,
    }
    return contracted.provider.create_payment(**arguments)


def refund(contracted: Contracted, payment_id: str, amount: int, **changes: Any) -> Any:
    arguments = {"idempotency_key": str(uuid.uuid4()), **changes}
    return contracted.provider.refund(payment_id=payment_id, amount=amount, **arguments)


def test_money_is_taken_once_for_each_key(contracted: Contracted) -> None:
    first = pay(contracted, "good", idempotency_key="k")
    assert first.status == "succeeded"
    assert (first.amount, first.currency, first.refunded_amount) == (4900, "EUR", 0)
    assert first.metadata == {"payment": "0190f3a0"}
    assert pay(contracted, "good", idempotency_key="k") == first
    assert contracted.provider.fetch_payment(first.id) == first
    with pytest.raises(ProviderRejected) as caught:
        pay(contracted, "good", idempotency_key="k", amount=5000)
    assert caught.value.code == "idempotency_key_reused"


def test_a_decline_is_an_answer(contracted: Contracted) -> None:
    payment = pay(contracted, "poor")
    assert (payment.status, payment.decline_code) == ("failed", "insufficient_funds")


def test_an_unknown_token_is_a_rejection(contracted: Contracted) -> None:
    with pytest.raises(ProviderRejected) as caught:
        pay(contracted, "tok_of_nobody")
    assert caught.value.code == "unknown_token"


def test_what_is_pending_succeeds_later(contracted: Contracted) -> None:
    payment = pay(contracted, "pending", idempotency_key="k")
    assert payment.status == "pending"
    contracted.settle(payment.id)
    assert contracted.provider.fetch_payment(payment.id).status == "succeeded"
    assert pay(contracted, "pending", idempotency_key="k").status == "pending"  # the first answer


def test_a_lost_answer_is_an_unknown_outcome_and_the_same_key_finds_out(
    contracted: Contracted,
) -> None:
    with pytest.raises(ProviderUnavailable):
        pay(contracted, "lost", idempotency_key="k")
    assert pay(contracted, "lost", idempotency_key="k").status == "succeeded"


def test_refunds_stay_within_the_payment_and_happen_once_for_each_key(
    contracted: Contracted,
) -> None:
    payment = pay(contracted, "good")
    part = refund(contracted, payment.id, 1900, idempotency_key="r")
    assert (part.status, part.amount, part.payment_id) == ("succeeded", 1900, payment.id)
    assert refund(contracted, payment.id, 1900, idempotency_key="r") == part
    assert contracted.provider.fetch_refund(part.id) == part
    with pytest.raises(ProviderRejected) as caught:
        refund(contracted, payment.id, 3001)
    assert caught.value.code == "refund_exceeds_payment"
    refund(contracted, payment.id, 3000)
    assert contracted.provider.fetch_payment(payment.id).refunded_amount == 4900


def test_only_paid_money_is_given_back(contracted: Contracted) -> None:
    payment = pay(contracted, "pending")
    with pytest.raises(ProviderRejected) as caught:
        refund(contracted, payment.id, 4900)
    assert caught.value.code == "payment_not_refundable"


def test_a_refund_may_take_its_time(contracted: Contracted) -> None:
    payment = pay(contracted, "slow refund")
    assert refund(contracted, payment.id, 4900).status == "pending"


def test_what_the_account_does_not_have_is_a_rejection(contracted: Contracted) -> None:
    with pytest.raises(ProviderRejected):
        contracted.provider.fetch_payment("of_nobody")
    with pytest.raises(ProviderRejected):
        contracted.provider.fetch_refund("of_nobody")


@pytest.mark.parametrize("signature", ["", "t=1,v1=00", "nonsense", "v1=é"])
def test_what_the_provider_did_not_sign_is_no_webhook(
    contracted: Contracted, signature: str
) -> None:
    with pytest.raises(InvalidWebhook):
        contracted.provider.parse_webhook(b"{}", signature, now=datetime.now(UTC))
