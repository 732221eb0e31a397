"""Stripe's adapter: an organization's own account, through Stripe's library.

A payment is a PaymentIntent, confirmed as it is made. What its token stands for must not redirect
(cards, wallets, debits): a learner who must act does so in the front end, with the intent's client
secret. Stripe removes Idempotency-Keys after a day at the earliest, so later the payment or refund
is looked for: https://docs.stripe.com/api/idempotent_requests.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any, ClassVar

import stripe
from stripe.params import (
    PaymentIntentCreateParams,
    PaymentIntentListParams,
    RefundCreateParams,
)

from lms.core import clock
from lms.payments.providers import stripe_errors
from lms.payments.providers.base import (
    NEVER_RECEIVED,
    InvalidWebhook,
    PaymentPage,
    ProviderEvent,
    ProviderPayment,
    ProviderRefund,
    ProviderRejected,
    ProviderUnavailable,
)
from lms.payments.providers.signing import TOLERANCE_SECONDS
from lms.payments.providers.stripe_amounts import to_stripe
from lms.payments.providers.stripe_objects import (
    MARK,
    read_event,
    read_payment,
    read_refund,
)

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
            with _answering(stripe_errors.of_payment):
                intent = self._client().v1.payment_intents.create(
                    params, {"idempotency_key": idempotency_key}
                )
                return read_payment(intent.to_dict())
        except _Declined as decline:
            return decline.payment

    def fetch_payment(self, payment_id: str, /) -> ProviderPayment:
        """Ask how a payment stands now; see `PaymentProvider.fetch_payment`."""
        with _answering(stripe_errors.of_request):
            intents = self._client().v1.payment_intents
            return read_payment(
                intents.retrieve(payment_id, {"expand": ["latest_charge"]}).to_dict()
            )

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
        with _answering(stripe_errors.of_request):
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
            "metadata": {MARK: self.account, REFUND_KEY: idempotency_key},
        }
        with _answering(stripe_errors.of_refund):
            refunds = self._client().v1.refunds
            return read_refund(
                refunds.create(params, {"idempotency_key": idempotency_key}).to_dict()
            )

    def fetch_refund(self, refund_id: str, /) -> ProviderRefund:
        """Ask how a refund stands now; see `PaymentProvider.fetch_refund`."""
        with _answering(stripe_errors.of_request):
            return read_refund(self._client().v1.refunds.retrieve(refund_id).to_dict())

    def parse_webhook(self, body: bytes, signature: str, *, now: datetime) -> ProviderEvent | None:
        """Check and read a webhook; see `PaymentProvider.parse_webhook`.

        The signature is checked by Stripe's library; its time here, because the library takes
        signatures of the future.
        """
        if not signature.isascii():
            raise InvalidWebhook("the signature header is malformed")
        try:
            stripe.WebhookSignature.verify_header(body, signature, self.webhook_secret)
        except (stripe.SignatureVerificationError, UnicodeDecodeError) as error:
            raise InvalidWebhook("the signature does not match the body") from error
        if abs(now.timestamp() - _time_of(signature)) > TOLERANCE_SECONDS:
            raise InvalidWebhook("the signature is too far from the present")
        try:
            return read_event(json.loads(body), account=self.account)
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
            raise InvalidWebhook("the signed body is not an event") from error

    def _client(self) -> stripe.StripeClient:
        # No retries by the library: an unknown outcome is asked again by ourselves, with its key.
        return stripe.StripeClient(
            self.secret_key,
            base_addresses={"api": self.api_base.rstrip("/")},
            http_client=_http_client(self.timeouts),
            max_network_retries=0,
        )

    def _find_payment(
        self, metadata: Mapping[str, str], first_asked: datetime | None
    ) -> ProviderPayment:
        """Look for a payment by what was sent along, instead of charging once more."""
        marks = {**metadata, MARK: self.account}
        query = " AND ".join(f"metadata['{name}']:'{value}'" for name, value in marks.items())
        with _answering(stripe_errors.of_request):
            found = self._client().v1.payment_intents.search({"query": query, "limit": 1})
            payments = [read_payment(intent.to_dict()) for intent in found.data]
        if payments:
            return self.fetch_payment(payments[0].id)
        if not _is_too_old(first_asked, SEARCH_TELLS_ALL_AFTER):
            raise ProviderUnavailable("the key is too old to be sent again; Stripe's search lags")
        raise ProviderRejected(NEVER_RECEIVED, "Stripe has no such payment, and none is made now.")

    def _find_refund(self, payment_id: str, key: str) -> ProviderRefund | None:
        """Look for a refund by its key. One that is not there is made: the money is owed still."""
        with _answering(stripe_errors.of_request):
            page = self._client().v1.refunds.list({"payment_intent": payment_id, "limit": 100})
            for one in page.auto_paging_iter():
                refund = one.to_dict()
                if (refund.get("metadata") or {}).get(REFUND_KEY) == key:
                    return read_refund(refund)
        return None


class _Declined(Exception):
    """A decline is an answer: it carries the payment."""

    def __init__(self, payment: ProviderPayment) -> None:
        super().__init__(payment.id)
        self.payment = payment


@contextmanager
def _answering(
    reading: Callable[[stripe.StripeError], ProviderRejected | ProviderUnavailable],
) -> Iterator[None]:
    """Turn what goes wrong between us and Stripe into the providers' own errors."""
    try:
        try:
            yield
        except stripe.StripeError as error:
            intent = stripe_errors.declined_intent(error)
            if intent is None:
                raise reading(error) from error
            raise _Declined(read_payment(intent)) from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ProviderUnavailable("Stripe's answer makes no sense") from error


@cache
def _http_client(timeouts: tuple[float, float]) -> stripe.HTTPClient:
    """Return one client for all accounts: it keeps connections, one set for each thread."""
    # At lower levels the library logs bodies, with client secrets in them.
    logging.getLogger("stripe").setLevel(logging.WARNING)
    return stripe.RequestsClient(timeout=timeouts)


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


def _time_of(signature: str) -> int:
    """Return the time that the library just found signed: the first `t`, in Unix seconds."""
    pairs = [part.split("=") for part in signature.split(",")]
    return int(next(pair[1] for pair in pairs if pair[0] == "t"))
