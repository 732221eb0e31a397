"""Routes of a learner's wallet and payments."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response

from lms.config import Settings
from lms.core.pagination import Page
from lms.core.queue import Doorbell
from lms.http.blueprint import TenantBlueprint
from lms.http.call import Call
from lms.payments import operations, queries
from lms.payments.asking import ask
from lms.payments.errors import PaymentDeclinedError
from lms.payments.examples import TOP_UP, WALLET
from lms.payments.models import Payment, Refund, Wallet, WalletTopUp, WalletTransaction
from lms.payments.presenting import accepted, claimed_subject, provider_of
from lms.payments.schemas import (
    PaymentOut,
    PaymentQuery,
    RefundOut,
    TopUpIn,
    TopUpOut,
    WalletOut,
    WalletTransactionOut,
)

blp = TenantBlueprint(
    "Wallet and payments",
    __name__,
    description="A learner's wallet with its journal, deposits into it, and payments for runs.",
)


@blp.operation("GET", "/wallet", id="getWallet", returns=WalletOut, example=WALLET)
def get_wallet(call: Call) -> Wallet:
    """Read your wallet.

    Everybody has one, in the organization's currency; it is made on first use.
    """
    return operations.ensure_wallet(call.session, call.actor.user_id)


@blp.operation(
    "GET",
    "/wallet/transactions",
    id="listWalletTransactions",
    returns=WalletTransactionOut,
    paged=True,
)
def list_wallet_transactions(call: Call, query: dict[str, Any]) -> Page[WalletTransaction]:
    """List your wallet's movements, newest first.

    Rows are never changed or removed; a mistake is reversed by a new row.
    """
    return queries.wallet_transactions(call.session, call.actor, **query)


@blp.operation(
    "GET", "/payments", id="listPayments", query=PaymentQuery, returns=PaymentOut, paged=True
)
def list_payments(call: Call, query: dict[str, Any]) -> Page[Payment]:
    """List payments, newest first.

    Yours; admins get everybody's and may filter by `user_id`. 403 when somebody else's are asked
    for by one who is not an admin.
    """
    return queries.payments(call.session, call.actor, **query)


@blp.operation("GET", "/payments/<uuid:payment_id>", id="getPayment", returns=PaymentOut, etag=True)
def get_payment(call: Call, payment_id: UUID) -> Payment:
    """Read a payment: yours, or any for admins.

    Poll it while it is `created` or `pending`. Any other one is 404.
    """
    return queries.payment(call.session, call.actor, payment_id)


@blp.operation(
    "GET",
    "/payments/<uuid:payment_id>/refunds",
    id="listRefunds",
    returns=RefundOut,
    paged=True,
)
def list_refunds(call: Call, payment_id: UUID, query: dict[str, Any]) -> Page[Refund]:
    """List what was given back of a payment, newest first: yours, or any for admins.

    With each refund's state; a payment of somebody else is 404.
    """
    return queries.refunds(call.session, call.actor, payment_id, **query)


@blp.operation(
    "POST",
    "/wallet/top-ups",
    id="topUpWallet",
    body=TopUpIn,
    returns=TopUpOut,
    status=201,
    accepted=True,
    transaction="steps",
    idempotent=True,
    refusals=(402, 409),
    example=TOP_UP,
)
def top_up_wallet(call: Call, body: dict[str, Any]) -> WalletTopUp | Response:
    """Deposit money into your wallet through the payment provider.

    201 when the money is there, 202 when the provider has not decided yet: let the learner finish
    with `client_secret` when there is one, and poll `GET /wallet/top-ups/{id}`. 402
    `payment_declined` says why in `decline_code`. 409 `currency_mismatch` when the wallet is in
    another currency, `provider_not_configured` when this academy takes no payments. 422
    `top_up_too_large` when it is more than the `limit` of one deposit.
    """
    doorbell, client_secret = call.use(Doorbell), None
    with call.transaction() as session:
        top_up_id, provider = claimed_subject(call, session), provider_of(call, session)
        top_up = operations.start_top_up(
            session,
            doorbell,
            call.actor,
            top_up_id=top_up_id,
            amount=body["amount"],
            token=body["token"],
            provider=provider.name,
            most=call.use(Settings).max_top_up_amount,
        )
        attempt = operations.open_top_up(session, top_up)
        if attempt is not None and attempt.provider != provider.name:
            provider = provider_of(call, session, attempt.provider)
    if attempt is not None:
        answer = ask(provider, attempt)
        if answer.status in ("failed", "canceled"):
            raise PaymentDeclinedError.because(
                answer.code, lambda s: operations.apply_top_up(s, top_up.id, answer)
            )
        with call.transaction() as session:
            operations.apply_top_up(session, top_up.id, answer)
            client_secret = answer.client_secret
            top_up = queries.top_up(session, call.actor, top_up.id)
    if top_up.state in ("failed", "canceled"):
        raise PaymentDeclinedError.because(top_up.failure_code, lambda _session: None)
    if top_up.state == "succeeded":
        return top_up
    return accepted(TopUpOut, top_up, client_secret=client_secret)


@blp.operation("GET", "/wallet/top-ups/<uuid:top_up_id>", id="getTopUp", returns=TopUpOut)
def get_top_up(call: Call, top_up_id: UUID) -> WalletTopUp:
    """Read one of your top-ups.

    Poll it while it is `created` or `pending`; the wallet is credited when it is `succeeded`.
    """
    return queries.top_up(call.session, call.actor, top_up_id)
