"""Refusals of the payments room."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from sqlalchemy.orm import Session

from lms.core.errors import (
    ConflictError,
    DomainError,
    InvalidInputError,
    Kind,
    RecordedRefusalError,
)
from lms.core.money import Money


class InsufficientFundsError(DomainError):
    """The wallet does not hold the price; `balance` and `missing` say by how much."""

    kind = "payment_required"
    code = "insufficient_funds"
    remedy = "Put more money into the wallet, or pay by the provider."


class WalletTooEmptyError(ConflictError):
    """The wallet does not hold what is to be taken out of it; `balance` says what it holds."""

    code = "insufficient_funds"


class WalletFrozenError(ConflictError):
    """The wallet owes what a reversed top-up took back beyond its balance; `owed` says how much."""

    code = "wallet_frozen"
    remedy = "Deposit what is `owed`, or pay by the provider."


class PaymentDeclinedError(RecordedRefusalError):
    """The provider definitely took no money; `decline_code` is its reason."""

    kind: ClassVar[Kind] = "payment_required"
    code: ClassVar[str] = "payment_declined"
    remedy: ClassVar[str | None] = "Pay by another means of payment."

    @classmethod
    def because(
        cls,
        decline_code: str | None,
        record: Callable[[Session], None],
        **further: str | None,
    ) -> PaymentDeclinedError:
        """Make the refusal of a declined payment.

        Args:
            decline_code: the provider's reason.
            record: applies the decline: nothing live stays behind.
            further: members of the problem; what is None is left out.
        """
        return cls(
            "The payment was declined; try another means of payment.",
            record=record,
            decline_code=decline_code,
            **{name: value for name, value in further.items() if value is not None},
        )


class CurrencyMismatchError(ConflictError):
    """The amount is in another currency than wallet or payment; nothing is converted silently."""

    code = "currency_mismatch"
    remedy = "Use the currency in `expected`."


class TopUpTooLargeError(InvalidInputError):
    """More than this installation takes at once; `limit` says how much it does."""

    code = "top_up_too_large"

    @classmethod
    def of(cls, limit: Money) -> TopUpTooLargeError:
        """Make the refusal of a top-up of more than `limit`."""
        message = f"At most {limit} are deposited at once."
        return cls(
            message,
            errors=[{"pointer": "/amount/amount", "message": message}],
            limit={"amount": limit.amount, "currency": limit.currency},
        )


class WrongSharesError(InvalidInputError):
    """Somebody cannot get a share of a grant; `errors` names everybody, and nobody got anything."""

    code = "wrong_shares"


class InvalidCsvError(InvalidInputError):
    """The file cannot be read as the one that is expected."""

    code = "invalid_csv"


class PeriodTooLongError(InvalidInputError):
    """A file of this period would have more rows than fit into one; `limit` says how many do."""

    code = "period_too_long"

    @classmethod
    def of(cls, limit: int) -> PeriodTooLongError:
        """Make the refusal of a period with more than `limit` rows."""
        return cls(f"The period has more than {limit} rows; ask for a shorter one.", limit=limit)


class ProviderNotConfiguredError(ConflictError):
    """The organization has no payment provider, so only wallets and free runs work."""

    code = "provider_not_configured"
    remedy = "Enter an account at a provider, or pay from the wallet."


class ProviderAwayError(DomainError):
    """The provider cannot be asked right now."""

    kind = "unavailable"
    code = "provider_unavailable"


class KeysRefusedError(InvalidInputError):
    """The provider was asked with an account's keys, and does not take them."""

    code = "keys_refused"


class PaymentAccountInUseError(ConflictError):
    """Something is still open at the provider; `open` says how much of what."""

    code = "payment_account_in_use"

    @classmethod
    def of(cls, provider: str, still_open: dict[str, int]) -> PaymentAccountInUseError:
        """Make the refusal to remove an account.

        Args:
            provider: its name.
            still_open: how much of what is open there, by its plural.
        """
        told = ", ".join(
            f"{number} {name.replace('_', '-').removesuffix('s' if number == 1 else '')}"
            for name, number in still_open.items()
            if number
        )
        return cls(
            f"Still open at {provider}: {told}. Without the account nobody could see it through."
            " Wait until it is settled, or cancel it at the provider. If the provider does not take"
            " these keys any more, enter ones that it takes: what is open is asked about by itself"
            " then, and what the provider never had is closed within two days.",
            open=still_open,
        )


class NotRefundableError(ConflictError):
    """There is not that much paid money left in this payment to give back.

    `left` says how much is, `refunded` and `lost` (in disputes) where the rest went.
    """

    code = "not_refundable"
    remedy = "Give back no more than is `left`."


class PaymentDisputedError(ConflictError):
    """The payer contests the payment, so its bank has the money; `disputed_at` says since when."""

    code = "payment_disputed"
    remedy = "Wait until the bank has decided."


class InvalidWebhookError(DomainError):
    """A webhook that the provider did not sign, or not recently, or not for this organization."""

    kind = "bad_request"
    code = "invalid_webhook"
