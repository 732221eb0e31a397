"""What every payment provider offers the academy: values, errors and one small interface.

Nothing here speaks HTTP or touches a database. Callers talk to a provider outside any database
transaction: commit the intention first, call, then record the answer in a second transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Literal, Protocol, TypeAlias

PaymentStatus: TypeAlias = Literal["pending", "succeeded", "failed", "canceled"]
RefundStatus: TypeAlias = Literal["pending", "succeeded", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderPayment:
    """A payment as the provider sees it.

    Attributes:
        id: The provider's identifier.
        status: Where the payment stands. `pending` is not final; `failed` is a definite decline.
        amount: Minor units of `currency`.
        currency: ISO 4217 code, upper case.
        client_secret: What a front end hands to the provider's own script to finish the payment,
            or None when the learner has nothing to do.
        decline_code: The provider's reason for `failed`, otherwise None.
        refunded_amount: Minor units given back so far, between 0 and `amount`.
        metadata: What we sent along with it.
    """

    id: str
    status: PaymentStatus
    amount: int
    currency: str
    client_secret: str | None
    decline_code: str | None
    refunded_amount: int
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class PaymentPage:
    """A part of the list of an account's payments.

    Attributes:
        payments: Some of them.
        next_cursor: What to ask for the next page with; None on the last one.
    """

    payments: Sequence[ProviderPayment]
    next_cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderRefund:
    """Money on its way back to where a payment came from.

    Attributes:
        id: The provider's identifier.
        payment_id: The provider's identifier of the payment.
        amount: Minor units of the payment's currency.
        status: Where the refund stands.
    """

    id: str
    payment_id: str
    amount: int
    status: RefundStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderEvent:
    """News from the provider that something happened to a payment.

    An event says that it is time to look, not what is true: events arrive late, twice and out of
    order, so fetch the payment and apply what it says now.

    Attributes:
        id: Unique per provider and account; a repeated delivery carries the same one.
        type: The provider's name for what happened, for example `payment.succeeded`.
        payment_id: The provider's identifier of the payment.
        account: Whose money it is: the organization's account at the provider.
        created: When it happened, UTC.
        metadata: What we sent along with the payment: it names our subject also when the answer
            with the provider's identifier never reached us.
    """

    id: str
    type: str
    payment_id: str
    account: str
    created: datetime
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])


NEVER_RECEIVED = "never_received"
"""Code of a rejection that holds however often was asked: no request with this key arrived in time,
and none is carried out any more."""


class ProviderError(Exception):
    """Anything that kept a provider from doing what was asked."""


class ProviderUnavailable(ProviderError):
    """The outcome is unknown: it may or may not have happened. Ask again with the same key."""


class ProviderRejected(ProviderError):
    """The provider understood the request and definitely did not carry it out.

    Attributes:
        code: The provider's stable code for the reason.
        message: The reason in English.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class InvalidWebhook(ProviderError):
    """A webhook that the provider did not sign, or not recently, or not for this account."""


class PaymentProvider(Protocol):
    """One organization's connection to a payment provider."""

    name: ClassVar[str]
    """The provider's name, as stored with payments and used in webhook addresses."""

    signature_header: ClassVar[str]
    """The request header that carries a webhook's signature."""

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
        """Charge what a token stands for, once per key.

        The same key with the same arguments gets the answer of the first call, however long ago:
        a payment that was pending then may be further now, which `fetch_payment` tells.

        Args:
            idempotency_key: Names this attempt. A new one only after a definite decline.
            amount: Minor units of `currency`, more than zero.
            currency: ISO 4217 code, upper case.
            token: The learner's means of payment, as the provider's script named it.
            metadata: Kept by the provider with the payment; no personal data.
            first_asked: When the key may have been sent first; None for now. A provider that
                forgets keys looks for the payment instead once the key is too old to be sent again.

        Returns:
            The payment. A decline is an answer (`failed` with a `decline_code`), not an error.

        Raises:
            ProviderUnavailable: The outcome is unknown.
            ProviderRejected: No payment came of this request.
        """
        ...

    def fetch_payment(self, payment_id: str, /) -> ProviderPayment:
        """Ask how a payment stands now.

        Args:
            payment_id: The provider's identifier.

        Raises:
            ProviderUnavailable: The provider could not be asked.
            ProviderRejected: This account has no such payment.
        """
        ...

    def list_payments(
        self, *, created_after: datetime | None = None, cursor: str | None = None
    ) -> PaymentPage:
        """List the account's payments in any state, a page at a time.

        What is there when the first page is asked for is on exactly one page; what comes meanwhile
        may be on one. Pages are in the provider's order.

        Args:
            created_after: Only payments made at this moment or later, aware of its time zone; None
                for all.
            cursor: `next_cursor` of the page before, asked for with the same `created_after`.

        Raises:
            ProviderUnavailable: The provider could not be asked.
            ProviderRejected: The cursor is not one of this account's list.
        """
        ...

    def refund(
        self,
        *,
        idempotency_key: str,
        payment_id: str,
        amount: int,
        first_asked: datetime | None = None,
    ) -> ProviderRefund:
        """Give back a part or all of a payment, once per key.

        Args:
            idempotency_key: Names this refund.
            payment_id: The provider's identifier of the payment.
            amount: Minor units of the payment's currency, more than zero.
            first_asked: As for `create_payment`.

        Raises:
            ProviderUnavailable: The outcome is unknown.
            ProviderRejected: Nothing was refunded, for example because it is more than is left.
        """
        ...

    def fetch_refund(self, refund_id: str, /) -> ProviderRefund:
        """Ask how a refund stands now.

        Args:
            refund_id: The provider's identifier.

        Raises:
            ProviderUnavailable: The provider could not be asked.
            ProviderRejected: This account has no such refund.
        """
        ...

    def parse_webhook(self, body: bytes, signature: str, *, now: datetime) -> ProviderEvent | None:
        """Check a webhook's signature on its raw body and read it.

        Args:
            body: The request's body exactly as received.
            signature: The provider's signature header.
            now: The present, aware of its time zone; signatures of another time are refused.

        Returns:
            The event; None for genuine news of something else than payments made through us.

        Raises:
            InvalidWebhook: It is not a fresh, genuine event for this account.
        """
        ...
