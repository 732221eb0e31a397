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
    ProviderPayment,
    ProviderRejected,
    ProviderUnavailable,
)
from lms.payments.providers.interface import PaymentProvider
from lms.payments.providers.sandbox import SandboxProvider
from lms.payments.providers.stripe import StripeProvider
from tests.factories import stripe_account as fake
from tests.factories.stripe_server import StripeServer, running_stripe


@dataclass(frozen=True)
class Contracted:
    """An adapter, what stands for the same means of payment at it, and what happens past us.

    Attributes:
        provider: the adapter.
        tokens: its means of payment.
        settle: lets a pending payment succeed.
        give_back: refunds a part of a payment in the provider's dashboard.
        contest: lets a payer contest a payment; gives the dispute's identifier.
        decide: lets the bank decide a dispute.
    """

    provider: PaymentProvider
    tokens: dict[str, str]
    settle: Callable[[str], object]
    give_back: Callable[[str, int], object]
    contest: Callable[[str], str]
    decide: Callable[[str, str], object]


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
                "slow": fake.SLOW,
                "slow refund": fake.SLOW_REFUND,
            },
            lambda payment_id: stripe.finish(secret_key, payment_id),
            lambda payment_id, amount: stripe.refund_in_dashboard(secret_key, payment_id, amount),
            lambda payment_id: stripe.dispute(secret_key, payment_id)["id"],
            lambda dispute_id, status: stripe.move_dispute(secret_key, dispute_id, status),
        )
    provider: SandboxProvider = request.getfixturevalue("provider")

    def ask(path: str, body: Any = None) -> Any:
        headers = {
            "Authorization": f"Bearer {provider.secret_key}",
            "Sandbox-Account": provider.account,
            "Idempotency-Key": str(uuid.uuid4()),
        }
        answer = httpx.post(f"{provider.base_url}/v1{path}", headers=headers, json=body)
        return answer.raise_for_status().json()

    return Contracted(
        provider,
        {
            "good": "tok_success",
            "poor": "tok_insufficient_funds",
            "pending": "tok_3d_secure",
            "slow": "tok_pending",
            "lost": "tok_timeout_after_success",
            "slow refund": "tok_pending_refund",
        },
        lambda payment_id: ask(f"/payments/{payment_id}/settle"),
        lambda payment_id, amount: ask(f"/payments/{payment_id}/refunds", {"amount": amount}),
        lambda payment_id: ask(f"/payments/{payment_id}/disputes", {})["id"],
        lambda dispute_id, status: ask(f"/disputes/{dispute_id}", {"status": status}),
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
    arguments: dict[str, Any] = {
        "idempotency_key": str(uuid.uuid4()),
        "metadata": {"refund": "0190f3a1"},
        **changes,
    }
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
        contracted.provider.cancel_payment("of_nobody")
    with pytest.raises(ProviderRejected):
        contracted.provider.fetch_refund("of_nobody")
    with pytest.raises(ProviderRejected):
        contracted.provider.list_refunds("of_nobody")
    with pytest.raises(ProviderRejected):
        contracted.provider.fetch_dispute("of_nobody")


def test_what_waits_for_the_learner_can_be_canceled_for_good(contracted: Contracted) -> None:
    payment = pay(contracted, "pending")
    assert payment.client_secret is not None
    canceled = contracted.provider.cancel_payment(payment.id)
    assert (canceled.status, canceled.client_secret) == ("canceled", None)
    assert contracted.provider.cancel_payment(payment.id) == canceled
    assert contracted.provider.fetch_payment(payment.id).status == "canceled"


@pytest.mark.parametrize("means", ["good", "slow"])
def test_what_is_paid_or_on_its_way_is_not_canceled(contracted: Contracted, means: str) -> None:
    payment = pay(contracted, means)
    assert contracted.provider.cancel_payment(payment.id).status in ("succeeded", "pending")
    assert contracted.provider.fetch_payment(payment.id).status in ("succeeded", "pending")


def test_ours_are_told_from_refunds_that_somebody_made_in_the_dashboard(
    contracted: Contracted,
) -> None:
    payment = pay(contracted, "good")
    ours = refund(contracted, payment.id, 1000)
    contracted.give_back(payment.id, 900)
    listed = contracted.provider.list_refunds(payment.id)
    assert {one.amount: bool(one.metadata) for one in listed} == {1000: True, 900: False}
    assert ours.metadata["refund"] == "0190f3a1"
    assert ours in listed
    assert contracted.provider.fetch_payment(payment.id).refunded_amount == 1900


def test_a_dispute_is_told_as_it_stands_and_blocks_refunds_unless_it_is_won(
    contracted: Contracted,
) -> None:
    lost, won = pay(contracted, "good"), pay(contracted, "good")
    disputes = [contracted.contest(payment.id) for payment in (lost, won)]
    opened = contracted.provider.fetch_dispute(disputes[0])
    assert opened is not None
    assert (opened.payment_id, opened.amount, opened.currency) == (lost.id, 4900, "EUR")
    assert (opened.kind, opened.status) == ("chargeback", "needs_response")
    assert opened.metadata == {"payment": "0190f3a0"}
    contracted.decide(disputes[0], "lost")
    for payment in (lost, won):
        with pytest.raises(ProviderRejected) as caught:
            refund(contracted, payment.id, 100)
        assert caught.value.code == "payment_disputed"
    contracted.decide(disputes[1], "won")
    assert refund(contracted, won.id, 100).status == "succeeded"
    listed = {one.id: one.status for one in contracted.provider.list_disputes().disputes}
    assert listed == {disputes[0]: "lost", disputes[1]: "won"}


@pytest.mark.parametrize("signature", ["", "t=1,v1=00", "nonsense", "v1=é"])
def test_what_the_provider_did_not_sign_is_no_webhook(
    contracted: Contracted, signature: str
) -> None:
    with pytest.raises(InvalidWebhook):
        contracted.provider.parse_webhook(b"{}", signature, now=datetime.now(UTC))
