"""Stripe's adapter: an organization's own account, through Stripe's library.

A payment is a PaymentIntent, confirmed as it is made. What its token stands for must not redirect
(cards, wallets, debits): a learner who must act does so in the front end, with the intent's client
secret. Stripe removes Idempotency-Keys after a day at the earliest, so later the payment or refund
is looked for: https://docs.stripe.com/api/idempotent_requests.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar

import stripe
from stripe.params import (
    DisputeListParams,
    PaymentIntentCancelParams,
    PaymentIntentCreateParams,
    PaymentIntentListParams,
    RefundCreateParams,
)

from lms.core import clock
from lms.payments.providers import stripe_errors
from lms.payments.providers.base import (
    NEVER_RECEIVED,
    DisputePage,
    InvalidWebhook,
    PaymentPage,
    ProviderDispute,
    ProviderEvent,
    ProviderPayment,
    ProviderRefund,
    ProviderRejected,
    ProviderUnavailable,
)
from lms.payments.providers.stripe_amounts import to_stripe
from lms.payments.providers.stripe_connection import Declined, answering, http_client
from lms.payments.providers.stripe_objects import (
    MARK,
    read_dispute,
    read_event,
    read_payment,
    read_refund,
)
from lms.payments.providers.stripe_signatures import check_signature

KEY_IS_GOOD_FOR = timedelta(hours=23)
"""How long after its first use a key is sent again: Stripe keeps it for 24 hours at least."""

SEARCH_TELLS_ALL_AFTER = timedelta(hours=26)
"""When Stripe's search finds everything that was made with a key: it lags behind by a minute, by
an hour in bad times."""

REFUND_KEY = "key"
"""Where a refund's metadata keeps our idempotency key."""

LISTED_AT_ONCE = 100
"""As many as Stripe gives on a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StripeProvider:
    """One organization's account at Stripe. Safe to share between threads.

    Attributes:
        secret_key: Proves to Stripe that it is the organization.
        webhook_secret: Proves to us that a webhook comes from Stripe.
        account: The organization's id. It marks what is made through us: an account at Stripe may
            serve a shop beside the academy.
        api_base: Where Stripe's API is.
        timeouts: Seconds to wait for a connection, and for each part of an answer.
    """

    name: ClassVar[str] = "stripe"
    signature_header: ClassVar[str] = "Stripe-Signature"

    secret_key: str = field(repr=False)
    webhook_secret: str = field(repr=False)
    account: str
    api_base: str = stripe.DEFAULT_API_BASE
    timeouts: tuple[float, float] = (3.0, 10.0)

    def create_payment(
        self,
        *,
        idempotency_key: str,
        amount: int,
        currency: str,
        token: str,
        metadata: Mapping[str, str],
        first_asked: datetime | None = None,
    ) -> ProviderPayment:
        """Charge a means of payment; see `PaymentProvider.create_payment`.

        Tokens are ids of Stripe's PaymentMethods (`pm_...`), ConfirmationTokens (`ctoken_...`) or
        tokens of cards (`tok_...`).
        """
        if _is_too_old(first_asked, KEY_IS_GOOD_FOR):
            return self._find_payment(metadata, first_asked)
        params: PaymentIntentCreateParams = {
            "amount": _amount(amount, currency),
            "currency": currency.lower(),
            "confirm": True,
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
            "metadata": {**metadata, MARK: self.account},
            "expand": ["latest_charge"],
            **_means(token),
        }
        try:
            with answering(stripe_errors.of_payment):
                intent = self._client().v1.payment_intents.create(
                    params, {"idempotency_key": idempotency_key}
                )
                return read_payment(intent.to_dict())
        except Declined as decline:
            return decline.payment

    def fetch_payment(self, payment_id: str, /) -> ProviderPayment:
        """Ask how a payment stands now; see `PaymentProvider.fetch_payment`."""
        with answering(stripe_errors.of_request):
            intents = self._client().v1.payment_intents
            return read_payment(
                intents.retrieve(payment_id, {"expand": ["latest_charge"]}).to_dict()
            )

    def cancel_payment(self, payment_id: str, /) -> ProviderPayment:
        """Cancel what waits for the learner; see `PaymentProvider.cancel_payment`."""
        params: PaymentIntentCancelParams = {
            "cancellation_reason": "abandoned",
            "expand": ["latest_charge"],
        }
        try:
            with answering(stripe_errors.of_request):
                intents = self._client().v1.payment_intents
                return read_payment(intents.cancel(payment_id, params).to_dict())
        except ProviderRejected as refusal:
            if refusal.code != stripe_errors.NOT_IN_THIS_STATE:
                raise
            return self.fetch_payment(payment_id)

    def list_payments(
        self, *, created_after: datetime | None = None, cursor: str | None = None
    ) -> PaymentPage:
        """List payments, newest first; see `PaymentProvider.list_payments`.

        Only what was made through us: others sell through the same account.
        """
        params: PaymentIntentListParams = {
            "limit": LISTED_AT_ONCE,
            "expand": ["data.latest_charge"],
        }
        if created_after is not None:
            params["created"] = {"gte": int(created_after.timestamp())}
        if cursor is not None:
            params["starting_after"] = cursor
        with answering(stripe_errors.of_request):
            page = self._client().v1.payment_intents.list(params)
            intents = [intent.to_dict() for intent in page.data]
            ours = [one for one in intents if (one.get("metadata") or {}).get(MARK) == self.account]
            return PaymentPage(
                payments=[read_payment(intent) for intent in ours],
                next_cursor=intents[-1]["id"] if page.has_more and intents else None,
            )

    def refund(
        self,
        *,
        idempotency_key: str,
        payment_id: str,
        amount: int,
        metadata: Mapping[str, str],
        first_asked: datetime | None = None,
    ) -> ProviderRefund:
        """Give money back; see `PaymentProvider.refund`."""
        if _is_too_old(first_asked, KEY_IS_GOOD_FOR):
            made = self._find_refund(payment_id, idempotency_key)
            if made is not None:
                return made
        currency = self.fetch_payment(payment_id).currency
        params: RefundCreateParams = {
            "payment_intent": payment_id,
            "amount": _amount(amount, currency),
            "metadata": {**metadata, MARK: self.account, REFUND_KEY: idempotency_key},
        }
        with answering(stripe_errors.of_refund):
            refunds = self._client().v1.refunds
            made = refunds.create(params, {"idempotency_key": idempotency_key})
            return read_refund(made.to_dict(), account=self.account)

    def fetch_refund(self, refund_id: str, /) -> ProviderRefund:
        """Ask how a refund stands now; see `PaymentProvider.fetch_refund`."""
        with answering(stripe_errors.of_request):
            refund = self._client().v1.refunds.retrieve(refund_id)
            return read_refund(refund.to_dict(), account=self.account)

    def list_refunds(self, payment_id: str, /) -> list[ProviderRefund]:
        """Return all refunds of a payment; see `PaymentProvider.list_refunds`."""
        with answering(stripe_errors.of_request):
            refunds = self._client().v1.refunds
            page = refunds.list({"payment_intent": payment_id, "limit": LISTED_AT_ONCE})
            return [
                read_refund(refund.to_dict(), account=self.account)
                for refund in page.auto_paging_iter()
            ]

    def fetch_dispute(self, dispute_id: str, /) -> ProviderDispute | None:
        """Ask how a dispute stands now; see `PaymentProvider.fetch_dispute`.

        A dispute does not say whose payment it is about, so the PaymentIntent comes along.
        """
        with answering(stripe_errors.of_request):
            disputes = self._client().v1.disputes
            dispute = disputes.retrieve(dispute_id, {"expand": ["payment_intent"]})
            return read_dispute(dispute.to_dict(), account=self.account)

    def list_disputes(
        self, *, created_after: datetime | None = None, cursor: str | None = None
    ) -> DisputePage:
        """List disputes, newest first; see `PaymentProvider.list_disputes`."""
        params: DisputeListParams = {
            "limit": LISTED_AT_ONCE,
            "expand": ["data.payment_intent"],
        }
        if created_after is not None:
            params["created"] = {"gte": int(created_after.timestamp())}
        if cursor is not None:
            params["starting_after"] = cursor
        with answering(stripe_errors.of_request):
            page = self._client().v1.disputes.list(params)
            listed = [dispute.to_dict() for dispute in page.data]
            read = [read_dispute(dispute, account=self.account) for dispute in listed]
            return DisputePage(
                disputes=[dispute for dispute in read if dispute is not None],
                next_cursor=listed[-1]["id"] if page.has_more and listed else None,
            )

    def parse_webhook(self, body: bytes, signature: str, *, now: datetime) -> ProviderEvent | None:
        """Check and read a webhook; see `PaymentProvider.parse_webhook`."""
        check_signature(body, signature, secret=self.webhook_secret, now=now)
        try:
            return read_event(json.loads(body), account=self.account)
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
            raise InvalidWebhook("the signed body is not an event") from error

    def _client(self) -> stripe.StripeClient:
        # No retries by the library: an unknown outcome is asked again by ourselves, with its key.
        return stripe.StripeClient(
            self.secret_key,
            base_addresses={"api": self.api_base.rstrip("/")},
            http_client=http_client(self.timeouts),
            max_network_retries=0,
        )

    def _find_payment(
        self, metadata: Mapping[str, str], first_asked: datetime | None
    ) -> ProviderPayment:
        """Look for a payment by what was sent along, instead of charging once more."""
        marks = {**metadata, MARK: self.account}
        query = " AND ".join(f"metadata['{name}']:'{value}'" for name, value in marks.items())
        with answering(stripe_errors.of_request):
            found = self._client().v1.payment_intents.search({"query": query, "limit": 1})
            payments = [read_payment(intent.to_dict()) for intent in found.data]
        if payments:
            return self.fetch_payment(payments[0].id)
        if not _is_too_old(first_asked, SEARCH_TELLS_ALL_AFTER):
            raise ProviderUnavailable("the key is too old to be sent again; Stripe's search lags")
        raise ProviderRejected(NEVER_RECEIVED, "Stripe has no such payment, and none is made now.")

    def _find_refund(self, payment_id: str, key: str) -> ProviderRefund | None:
        """Look for a refund by its key. One that is not there is made: the money is owed still."""
        made = self.list_refunds(payment_id)
        return next((one for one in made if one.metadata.get(REFUND_KEY) == key), None)


def _amount(amount: int, currency: str) -> int:
    try:
        return to_stripe(amount, currency)
    except ValueError as error:
        raise ProviderRejected("amount_not_accepted", str(error)) from error


def _means(token: str) -> PaymentIntentCreateParams:
    """Return what a token stands for, as parameters of a PaymentIntent."""
    if token.startswith("ctoken_"):
        return {"confirmation_token": token}  # pyright: ignore[reportReturnType] - a part of them
    if token.startswith("tok_"):
        card: Any = {"type": "card", "card": {"token": token}}
        return {"payment_method_data": card, "use_stripe_sdk": True}  # pyright: ignore[reportReturnType]
    return {"payment_method": token, "use_stripe_sdk": True}  # pyright: ignore[reportReturnType]


def _is_too_old(first_asked: datetime | None, limit: timedelta) -> bool:
    return first_asked is not None and clock.now() - first_asked > limit
