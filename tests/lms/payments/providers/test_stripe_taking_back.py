"""Refunds and disputes: the adapter, with Stripe's own library, against a strict stand-in."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lms.payments.providers.base import (
    ProviderDispute,
    ProviderRejected,
    ProviderUnavailable,
)
from lms.payments.providers.stripe import LISTED_AT_ONCE, StripeProvider
from tests.factories import stripe_account as fake
from tests.factories.stripe_adapter import METADATA, REFUND_METADATA, adapter, pay, refund
from tests.factories.stripe_server import StripeServer, running_stripe


@pytest.fixture(scope="module")
def server() -> Iterator[StripeServer]:
    with running_stripe() as running:
        yield running


@pytest.fixture
def provider(server: StripeServer) -> StripeProvider:
    return adapter(server)


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
        other_id = f"re_{uuid.uuid4().hex}"
        server.accounts[provider.secret_key].refunds[other_id] = {
            **server.accounts[provider.secret_key].refunds[first.id],
            "id": other_id,
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


def test_what_was_not_paid_cannot_be_refunded(provider: StripeProvider) -> None:
    payment = pay(provider, fake.ASKS_3DS)
    with pytest.raises(ProviderRejected) as caught:
        refund(provider, payment.id, 4900)
    assert caught.value.code == "payment_not_refundable"


def test_an_unknown_payment_says_nothing_about_the_money(provider: StripeProvider) -> None:
    with pytest.raises(ProviderRejected) as caught:
        refund(provider, "pi_of_nobody", 4900)
    assert caught.value.code == "resource_missing"


def test_ours_carry_what_we_sent_along_and_others_nothing(
    provider: StripeProvider, server: StripeServer
) -> None:
    payment = pay(provider)
    ours = refund(provider, payment.id, 1000, idempotency_key="r")
    assert ours.metadata == {**REFUND_METADATA, "key": "r"}
    made = server.refund_in_dashboard(provider.secret_key, payment.id, 900)
    made["metadata"] = {"agent": "7"}
    listed = provider.list_refunds(payment.id)
    assert [(one.id, one.amount) for one in listed] == [(made["id"], 900), (ours.id, 1000)]
    assert [one.metadata for one in listed] == [{}, ours.metadata]


def test_all_pages_of_a_payments_refunds_are_read(
    provider: StripeProvider, server: StripeServer
) -> None:
    payment, other = pay(provider), pay(provider)
    refund(provider, other.id, 1)
    made = {
        server.refund_in_dashboard(provider.secret_key, payment.id, 1)["id"]
        for _ in range(LISTED_AT_ONCE + 1)
    }
    listed = [one.id for one in provider.list_refunds(payment.id)]
    assert (len(listed), set(listed)) == (len(made), made)


# --- disputes


def dispute_of(provider: StripeProvider, server: StripeServer, **options: Any) -> ProviderDispute:
    payment = pay(provider)
    made = server.dispute(provider.secret_key, payment.id, **options)
    dispute = provider.fetch_dispute(made["id"])
    assert dispute is not None
    return dispute


def test_a_dispute_names_its_payment_and_until_when_evidence_is_taken(
    provider: StripeProvider, server: StripeServer
) -> None:
    payment = pay(provider)
    made = server.dispute(provider.secret_key, payment.id, amount=4000)
    assert provider.fetch_dispute(made["id"]) == ProviderDispute(
        id=made["id"],
        payment_id=payment.id,
        amount=4000,
        currency="EUR",
        kind="chargeback",
        status="needs_response",
        reason="fraudulent",
        evidence_due_at=datetime.fromtimestamp(made["evidence_details"]["due_by"], UTC),
        opened_at=datetime.fromtimestamp(made["created"], UTC),
        metadata=METADATA,
    )


@pytest.mark.parametrize(
    ("theirs", "kind", "status"),
    [
        ("warning_needs_response", "inquiry", "needs_response"),
        ("warning_under_review", "inquiry", "under_review"),
        ("warning_closed", "inquiry", "won"),
        ("needs_response", "chargeback", "needs_response"),
        ("under_review", "chargeback", "under_review"),
        ("appeal_needs_response", "chargeback", "needs_response"),
        ("appeal_under_review", "chargeback", "under_review"),
        ("won", "chargeback", "won"),
        ("lost", "chargeback", "lost"),
    ],
)
def test_every_status_of_stripes_is_one_of_ours(
    provider: StripeProvider, server: StripeServer, theirs: str, kind: str, status: str
) -> None:
    dispute = dispute_of(provider, server, status=theirs)
    assert (dispute.kind, dispute.status) == (kind, status)


@pytest.mark.parametrize(
    ("moved", "kind", "status"), [([-4900], "chargeback", "lost"), ([], "inquiry", "won")]
)
def test_a_prevented_dispute_is_lost_if_stripe_gave_the_money_back(
    provider: StripeProvider, server: StripeServer, moved: list[int], kind: str, status: str
) -> None:
    payment = pay(provider)
    made = server.dispute(provider.secret_key, payment.id, status="prevented")
    made["balance_transactions"] = [{"amount": amount} for amount in moved]
    dispute = provider.fetch_dispute(made["id"])
    assert dispute is not None
    assert (dispute.kind, dispute.status) == (kind, status)


def test_a_status_of_another_year_leaves_the_outcome_open(
    provider: StripeProvider, server: StripeServer
) -> None:
    payment = pay(provider)
    made = server.dispute(provider.secret_key, payment.id, status="of_another_year")
    with pytest.raises(ProviderUnavailable):
        provider.fetch_dispute(made["id"])


@pytest.mark.parametrize("due_by", [0, None])
def test_a_bank_that_takes_no_evidence_sets_no_time(
    provider: StripeProvider, server: StripeServer, due_by: int | None
) -> None:
    payment = pay(provider)
    made = server.dispute(provider.secret_key, payment.id)
    made["evidence_details"]["due_by"] = due_by
    dispute = provider.fetch_dispute(made["id"])
    assert dispute is not None
    assert dispute.evidence_due_at is None


@pytest.mark.parametrize("status", ["needs_response", "under_review", "lost"])
def test_a_payment_that_is_charged_back_refuses_refunds(
    provider: StripeProvider, server: StripeServer, status: str
) -> None:
    dispute = dispute_of(provider, server, status=status)
    with pytest.raises(ProviderRejected) as caught:
        refund(provider, dispute.payment_id, 100)
    assert caught.value.code == "payment_disputed"


@pytest.mark.parametrize("status", ["warning_needs_response", "won"])
def test_an_inquiry_and_a_dispute_that_was_won_do_not(
    provider: StripeProvider, server: StripeServer, status: str
) -> None:
    dispute = dispute_of(provider, server, status=status)
    assert refund(provider, dispute.payment_id, 100).status == "succeeded"


def test_a_dispute_of_what_a_shop_sold_through_the_account_is_not_ours(
    provider: StripeProvider, server: StripeServer
) -> None:
    ours, theirs = dispute_of(provider, server), dispute_of(provider, server)
    account = server.accounts[provider.secret_key]
    account.intents[theirs.payment_id]["metadata"] = {}
    assert provider.fetch_dispute(theirs.id) is None
    account.disputes["du_without"] = {
        **account.disputes[ours.id],
        "id": "du_without",
        "payment_intent": None,
    }
    assert provider.fetch_dispute("du_without") is None
    assert [one.id for one in provider.list_disputes().disputes] == [ours.id]


def test_an_unknown_dispute_is_a_rejection(provider: StripeProvider) -> None:
    with pytest.raises(ProviderRejected) as caught:
        provider.fetch_dispute("du_of_nobody")
    assert caught.value.code == "resource_missing"


def test_disputes_of_other_accounts_are_not_seen(
    provider: StripeProvider, server: StripeServer
) -> None:
    dispute = dispute_of(provider, server)
    server.open_account("sk_test_of_another")
    other = replace(provider, secret_key="sk_test_of_another")
    assert other.list_disputes().disputes == []
    with pytest.raises(ProviderRejected):
        other.fetch_dispute(dispute.id)


def test_the_list_has_every_dispute_once_over_all_pages_from_a_moment_on(
    provider: StripeProvider, server: StripeServer
) -> None:
    payment = pay(provider)
    made = {
        server.dispute(provider.secret_key, payment.id, amount=1)["id"]
        for _ in range(LISTED_AT_ONCE + 1)
    }
    lately = datetime.now(UTC) - timedelta(minutes=5)
    first = provider.list_disputes(created_after=lately)
    assert len(first.disputes) == LISTED_AT_ONCE
    last = provider.list_disputes(created_after=lately, cursor=first.next_cursor)
    listed = [one.id for one in (*first.disputes, *last.disputes)]
    assert (len(listed), set(listed), last.next_cursor) == (len(made), made, None)
    later = lately + timedelta(hours=1)
    assert provider.list_disputes(created_after=later).disputes == []
