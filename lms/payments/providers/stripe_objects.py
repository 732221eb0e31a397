"""Stripe's objects, read as the providers' own values.

Objects come as plain dictionaries (`to_dict`). Only what every version of Stripe's API says the
same way is read of events: their version is set at Stripe, not by us.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from lms.payments.providers.base import (
    PaymentStatus,
    ProviderEvent,
    ProviderPayment,
    ProviderRefund,
    RefundStatus,
)
from lms.payments.providers.stripe_amounts import from_stripe

MARK = "organization"
"""Metadata that marks what was made through us, with the organization's id."""

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


def read_refund(refund: Mapping[str, Any]) -> ProviderRefund:
    """Read a Refund.

    Raises:
        ValueError: it is none; so for LookupError and TypeError.
    """
    currency = _text(refund, "currency").upper()
    return ProviderRefund(
        id=_text(refund, "id"),
        payment_id=_text(refund, "payment_intent"),
        amount=from_stripe(_whole(refund, "amount"), currency),
        status=REFUND_STATUSES[_text(refund, "status")],
    )


def read_event(event: Mapping[str, Any], *, account: str) -> ProviderEvent | None:
    """Read an event about a PaymentIntent, one of its charges or one of its refunds.

    Stripe copies an intent's metadata to its charges.

    Args:
        event: as it was signed.
        account: the organization's id; only what it marked is ours.

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
    metadata = _metadata(subject)
    is_ours = event.get("account") is None and metadata.get(MARK) == account
    if about not in ("payment_intent", "charge", "refund") or not is_ours or payment_id is None:
        return None
    return ProviderEvent(
        id=event_id,
        type=kind,
        payment_id=_text({"id": payment_id}, "id"),
        account=account,
        created=created,
        metadata={name: value for name, value in metadata.items() if name != MARK},
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
