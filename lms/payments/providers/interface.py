"""What can be asked of every payment provider: one small interface, with an adapter for each.

Nothing here speaks HTTP or touches a database. Callers talk to a provider outside any database
transaction: commit the intention first, call, then record the answer in a second transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar, Protocol

from lms.payments.providers.base import (
    DisputePage,
    PaymentPage,
    ProviderDispute,
    ProviderEvent,
    ProviderPayment,
    ProviderRefund,
)


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

    def cancel_payment(self, payment_id: str, /) -> ProviderPayment:
        """Cancel a payment that waits for the learner, so that it cannot be paid any more.

        What is paid, on its way or over already stays as it is: the answer says how it stands.

        Args:
            payment_id: The provider's identifier.

        Raises:
            ProviderUnavailable: The outcome is unknown; ask again.
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
        metadata: Mapping[str, str],
        first_asked: datetime | None = None,
    ) -> ProviderRefund:
        """Give back a part or all of a payment, once per key.

        Args:
            idempotency_key: Names this refund.
            payment_id: The provider's identifier of the payment.
            amount: Minor units of the payment's currency, more than zero.
            metadata: Kept by the provider with the refund, and not empty: it tells ours from those
                that somebody makes in the provider's dashboard. No personal data.
            first_asked: As for `create_payment`.

        Raises:
            ProviderUnavailable: The outcome is unknown.
            ProviderRejected: Nothing was refunded, for example because it is more than is left, or
                the payment is disputed.
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

    def list_refunds(self, payment_id: str, /) -> Sequence[ProviderRefund]:
        """Return all refunds of a payment, whoever made them, in any state.

        Args:
            payment_id: The provider's identifier of the payment.

        Raises:
            ProviderUnavailable: The provider could not be asked.
            ProviderRejected: This account has no such payment.
        """
        ...

    def fetch_dispute(self, dispute_id: str, /) -> ProviderDispute | None:
        """Ask how a dispute stands now.

        Args:
            dispute_id: The provider's identifier.

        Returns:
            The dispute; None when it is about a payment that was not made through us.

        Raises:
            ProviderUnavailable: The provider could not be asked.
            ProviderRejected: This account has no such dispute.
        """
        ...

    def list_disputes(
        self, *, created_after: datetime | None = None, cursor: str | None = None
    ) -> DisputePage:
        """List the disputes of payments made through us, a page at a time, as `list_payments` does.

        Args:
            created_after: Only disputes opened at this moment or later; None for all.
            cursor: `next_cursor` of the page before, asked for with the same `created_after`.

        Raises:
            ProviderUnavailable: The provider could not be asked.
            ProviderRejected: The cursor is not one of this account's list.
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
