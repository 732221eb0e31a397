"""What is said with payment providers: values and errors. `interface` says what can be asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias

PaymentStatus: TypeAlias = Literal["pending", "succeeded", "failed", "canceled"]
RefundStatus: TypeAlias = Literal["pending", "succeeded", "failed"]
DisputeKind: TypeAlias = Literal["inquiry", "chargeback"]
DisputeStatus: TypeAlias = Literal["needs_response", "under_review", "won", "lost"]


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
        metadata: What we sent along with it; empty for a refund that was not made through us.
    """

    id: str
    payment_id: str
    amount: int
    status: RefundStatus
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderDispute:
    """A payment that its payer contests at their bank.

    Attributes:
        id: The provider's identifier.
        payment_id: The provider's identifier of the payment.
        amount: Minor units of `currency` that are contested; it may differ from the payment's.
        currency: ISO 4217 code, upper case.
        kind: A `chargeback` has taken the money back; an `inquiry` only asks, and may become one.
        status: Where it stands. `won` and `lost` are the bank's last word; an inquiry that ended
            without a chargeback is `won`.
        reason: The provider's word for what the payer says.
        evidence_due_at: Until when evidence is taken, UTC; None when none is.
        opened_at: When it was opened, UTC.
        metadata: What we sent along with the payment.
    """

    id: str
    payment_id: str
    amount: int
    currency: str
    kind: DisputeKind
    status: DisputeStatus
    reason: str
    evidence_due_at: datetime | None
    opened_at: datetime
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class DisputePage:
    """A part of the list of an account's disputes.

    Attributes:
        disputes: Some of them.
        next_cursor: What to ask for the next page with; None on the last one.
    """

    disputes: Sequence[ProviderDispute]
    next_cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderEvent:
    """News from the provider that something happened to a payment.

    An event says that it is time to look, not what is true: events arrive late, twice and out of
    order, so fetch the payment, and the dispute, and apply what they say now.

    Attributes:
        id: Unique per provider and account; a repeated delivery carries the same one.
        type: The provider's name for what happened, for example `payment.succeeded`.
        payment_id: The provider's identifier of the payment.
        account: Whose money it is: the organization's account at the provider.
        created: When it happened, UTC.
        metadata: What we sent along with the payment: it names our subject also when the answer
            with the provider's identifier never reached us.
        dispute_id: The provider's identifier of the dispute that it is about, otherwise None.
        surely_ours: False when it does not say whether the payment was made through us, as of
            disputes and of refunds made in the provider's dashboard: others may sell through the
            same account.
    """

    id: str
    type: str
    payment_id: str
    account: str
    created: datetime
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    dispute_id: str | None = None
    surely_ours: bool = True


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
