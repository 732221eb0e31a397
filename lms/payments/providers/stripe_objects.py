"""Stripe's objects, read as the providers' own values.

Objects come as plain dictionaries (`to_dict`). Only what every version of Stripe's API says the
same way is read of events: their version is set at Stripe, not by us.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from lms.payments.providers.base import (
    DisputeKind,
    DisputeStatus,
    PaymentStatus,
    ProviderDispute,
    ProviderEvent,
    ProviderPayment,
    ProviderRefund,
    RefundStatus,
)
from lms.payments.providers.stripe_amounts import from_stripe

MARK = "organization"
"""Metadata that marks what was made through us, with the organization's id."""

UNMARKED = frozenset({"refund", "dispute"})
"""Objects that may be about what was made through us without saying so."""

ABOUT_PAYMENTS = frozenset({"payment_intent", "charge"}) | UNMARKED

PAYMENT_STATUSES: Mapping[str, PaymentStatus] = {
    "requires_confirmation": "pending",
    "requires_action": "pending",
    "requires_capture": "pending",
    "processing": "pending",
    "succeeded": "succeeded",
    "canceled": "canceled",
}
"""https://docs.stripe.com/payments/paymentintents/lifecycle; for `requires_payment_method` see
`read_payment`."""

FOR_THE_LEARNER = frozenset({"requires_payment_method", "requires_confirmation", "requires_action"})
"""Statuses in which the front end carries the payment on."""

REFUND_STATUSES: Mapping[str, RefundStatus] = {
    "pending": "pending",
    "requires_action": "pending",
    "succeeded": "succeeded",
    "failed": "failed",
    "canceled": "failed",
}

DISPUTE_STATUSES: Mapping[str, tuple[DisputeKind, DisputeStatus]] = {
    "warning_needs_response": ("inquiry", "needs_response"),
    "warning_under_review": ("inquiry", "under_review"),
    "warning_closed": ("inquiry", "won"),
    "needs_response": ("chargeback", "needs_response"),
    "under_review": ("chargeback", "under_review"),
    "appeal_needs_response": ("chargeback", "needs_response"),
    "appeal_under_review": ("chargeback", "under_review"),
    "won": ("chargeback", "won"),
    "lost": ("chargeback", "lost"),
}
"""https://docs.stripe.com/api/disputes/object; for `prevented` see `read_dispute`. Warnings are
inquiries: no money has moved."""


def read_payment(intent: Mapping[str, Any]) -> ProviderPayment:
    """Read a PaymentIntent.

    One that needs another means of payment was declined if it says by what error; ours are
    confirmed as they are made, so that they are new attempts for us.

    Raises:
        ValueError: it is none; so for LookupError and TypeError.
    """
    currency, status = _text(intent, "currency").upper(), _text(intent, "status")
    error, code = intent.get("last_payment_error"), None
    if status != "requires_payment_method":
        state = PAYMENT_STATUSES[status]
    elif error is None:
        state = "pending"
    else:
        state = "failed"
        code = error.get("decline_code") or error.get("code") or "declined"
    for_the_learner = state == "pending" and status in FOR_THE_LEARNER
    return ProviderPayment(
        id=_text(intent, "id"),
        status=state,
        amount=from_stripe(_whole(intent, "amount"), currency),
        currency=currency,
        client_secret=intent.get("client_secret") if for_the_learner else None,
        decline_code=code,
        refunded_amount=from_stripe(_refunded(intent), currency),
        metadata={name: value for name, value in _metadata(intent).items() if name != MARK},
    )


def read_refund(refund: Mapping[str, Any], *, account: str) -> ProviderRefund:
    """Read a Refund.

    Args:
        refund: as Stripe shows it.
        account: the organization's id; only what it marked was made through us.

    Raises:
        ValueError: it is none; so for LookupError and TypeError.
    """
    currency, metadata = _text(refund, "currency").upper(), _metadata(refund)
    is_ours = metadata.pop(MARK, None) == account
    return ProviderRefund(
        id=_text(refund, "id"),
        payment_id=_text(refund, "payment_intent"),
        amount=from_stripe(_whole(refund, "amount"), currency),
        status=REFUND_STATUSES[_text(refund, "status")],
        metadata=metadata if is_ours else {},
    )


def read_dispute(dispute: Mapping[str, Any], *, account: str) -> ProviderDispute | None:
    """Read a Dispute with its PaymentIntent.

    One that was `prevented` never became a chargeback: it is lost when Stripe gave the money back
    for us (a resolution), and an inquiry that ended well when the bank dropped it.

    Args:
        dispute: as Stripe shows it, with `payment_intent` expanded.
        account: the organization's id; only what it marked is ours.

    Returns:
        None for one of a payment that was not made through us.

    Raises:
        ValueError: it is none; so for LookupError, TypeError and AttributeError.
    """
    intent: Mapping[str, Any] | None = dispute["payment_intent"]
    metadata = {} if intent is None else _metadata(intent)
    if intent is None or metadata.pop(MARK, None) != account:
        return None
    currency, status = _text(dispute, "currency").upper(), _text(dispute, "status")
    if status == "prevented":
        is_taken = sum(_whole(one, "amount") for one in dispute["balance_transactions"]) < 0
        kind, stands = DISPUTE_STATUSES["lost" if is_taken else "warning_closed"]
    else:
        kind, stands = DISPUTE_STATUSES[status]
    due_by = dispute["evidence_details"].get("due_by")
    return ProviderDispute(
        id=_text(dispute, "id"),
        payment_id=_text(intent, "id"),
        amount=from_stripe(_whole(dispute, "amount"), currency),
        currency=currency,
        kind=kind,
        status=stands,
        reason=_text(dispute, "reason"),
        evidence_due_at=datetime.fromtimestamp(due_by, UTC) if due_by else None,
        opened_at=datetime.fromtimestamp(_whole(dispute, "created"), UTC),
        metadata=metadata,
    )


def read_event(event: Mapping[str, Any], *, account: str) -> ProviderEvent | None:
    """Read an event about a PaymentIntent, one of its charges, refunds or disputes.

    Stripe copies an intent's metadata to its charges. Disputes, and refunds that were made in the
    dashboard, have none.

    Args:
        event: as it was signed.
        account: the organization's id; what others marked is not ours.

    Returns:
        None for an event about anything else, or about another account that Stripe connects.

    Raises:
        ValueError: it is none; so for LookupError, TypeError and AttributeError.
    """
    event_id, kind = _text(event, "id"), _text(event, "type")
    created = datetime.fromtimestamp(_whole(event, "created"), UTC)
    subject = event["data"]["object"]
    about = subject.get("object")
    payment_id = subject.get("id" if about == "payment_intent" else "payment_intent")
    if about not in ABOUT_PAYMENTS or payment_id is None or event.get("account") is not None:
        return None
    metadata = _metadata(subject)
    mark = metadata.pop(MARK, None)
    if mark != account and (mark is not None or about not in UNMARKED):
        return None
    return ProviderEvent(
        id=event_id,
        type=kind,
        payment_id=_text({"id": payment_id}, "id"),
        account=account,
        created=created,
        metadata=metadata if mark == account else {},
        dispute_id=_text(subject, "id") if about == "dispute" else None,
        surely_ours=mark == account,
    )


def _refunded(intent: Mapping[str, Any]) -> int:
    charge = intent.get("latest_charge")
    return _whole(charge, "amount_refunded") if isinstance(charge, Mapping) else 0


def _metadata(thing: Mapping[str, Any]) -> dict[str, str]:
    return {str(name): str(value) for name, value in (thing.get("metadata") or {}).items()}


def _text(thing: Mapping[str, Any], name: str) -> str:
    value = thing[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} is not text")
    return value


def _whole(thing: Mapping[str, Any], name: str) -> int:
    value = thing[name]
    # bool is an int to Python and 1.0 equals 1, but neither is an amount
    if type(value) is not int:
        raise TypeError(f"{name} is not a whole number")
    return value
