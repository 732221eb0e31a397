"""Refusals of the payments room."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from sqlalchemy.orm import Session

from lms.core.errors import ConflictError, DomainError, Kind, RecordedRefusalError


class InsufficientFundsError(DomainError):
    """The wallet does not hold the price; `balance` and `missing` say by how much."""

    kind = "payment_required"
    code = "insufficient_funds"


class PaymentDeclinedError(RecordedRefusalError):
    """The provider definitely took no money; `decline_code` is its reason."""

    kind: ClassVar[Kind] = "payment_required"
    code: ClassVar[str] = "payment_declined"

    @classmethod
    def because(
        cls, decline_code: str | None, record: Callable[[Session], None]
    ) -> PaymentDeclinedError:
        """Make the refusal of a declined payment.

        Args:
            decline_code: the provider's reason.
            record: applies the decline: nothing live stays behind.
        """
        return cls(
            "The payment was declined; try another means of payment.",
            record=record,
            decline_code=decline_code,
        )


class CurrencyMismatchError(ConflictError):
    """The amount is in another currency than wallet or payment; nothing is converted silently."""

    code = "currency_mismatch"


class ProviderNotConfiguredError(ConflictError):
    """This installation has no payment provider, so only wallets and free runs work."""

    code = "provider_not_configured"


class NotRefundableError(ConflictError):
    """There is not that much paid money left in this payment to give back; `left` says how much."""

    code = "not_refundable"


class InvalidWebhookError(DomainError):
    """A webhook that the provider did not sign, or not recently, or not for this organization."""

    kind = "bad_request"
    code = "invalid_webhook"
