"""What Stripe's errors say about the money: nothing moved, or nobody knows.

https://docs.stripe.com/error-codes and https://docs.stripe.com/error-low-level.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stripe import CardError, IdempotencyError, InvalidRequestError, StripeError

from lms.payments.providers.base import ProviderRejected, ProviderUnavailable

MEANS = ("payment_method", "confirmation_token")
"""Beginnings of the parameters that carry the token."""

USED_UP = frozenset({"token_already_used", "token_in_use", "payment_method_unactivated"})
"""Codes about a token that stands for no means of payment any more."""

NOT_IN_THIS_STATE = "payment_intent_unexpected_state"
REFUNDED = frozenset({"charge_already_refunded"})
NOT_REFUNDABLE = frozenset({"charge_not_refundable", NOT_IN_THIS_STATE})
DISPUTED = "charge_disputed"


def declined_intent(error: StripeError) -> Mapping[str, Any] | None:
    """Return the PaymentIntent whose decline an error tells of, None when it tells of none."""
    body = error.json_body
    if not isinstance(error, CardError) or not isinstance(body, dict):
        return None
    intent = body.get("error", {}).get("payment_intent")
    return intent if isinstance(intent, dict) else None


def of_request(error: StripeError) -> ProviderRejected | ProviderUnavailable:
    """Read an error by its kind alone.

    Refused credentials (401, 403) leave the outcome open: what an earlier request with the same key
    did is unknown until they are right again. So do a key that is in use (409), rate limits (429),
    errors at Stripe (5xx), and answers that are not Stripe's.
    """
    code = error.code or "none"
    if isinstance(error, IdempotencyError) and error.http_status == 400:
        return ProviderRejected(
            "idempotency_key_reused", "This key was used for another request before."
        )
    if isinstance(error, InvalidRequestError):
        return ProviderRejected(error.code or "invalid_request", error.user_message or "No reason.")
    # the messages of other errors may quote keys, or whatever answered in Stripe's place
    kind, status = type(error).__name__, error.http_status
    return ProviderUnavailable(f"no answer from Stripe that counts: {kind}, {status}, {code}")


def of_payment(error: StripeError) -> ProviderRejected | ProviderUnavailable:
    """Read an error about a payment that was to be made."""
    reason = error.user_message or "No reason."
    if isinstance(error, CardError):
        # Without a PaymentIntent: the token itself was declined.
        return ProviderRejected("declined", reason)
    if isinstance(error, InvalidRequestError):
        parameter = str(error.param or "")
        if parameter.startswith(MEANS) or error.code in USED_UP:
            return ProviderRejected("unknown_token", reason)
        if parameter in ("amount", "currency"):
            return ProviderRejected("amount_not_accepted", reason)
    return of_request(error)


def of_refund(error: StripeError) -> ProviderRejected | ProviderUnavailable:
    """Read an error about a refund that was to be made.

    That Stripe does not know the payment is no answer about the money: the account's key may be of
    another account now.
    """
    reason = error.user_message or "No reason."
    if isinstance(error, InvalidRequestError) and error.code != "resource_missing":
        if error.param == "amount" or error.code in REFUNDED:
            return ProviderRejected("refund_exceeds_payment", reason)
        if error.code == DISPUTED:
            return ProviderRejected("payment_disputed", reason)
        if error.param == "payment_intent" or error.code in NOT_REFUNDABLE:
            return ProviderRejected("payment_not_refundable", reason)
    return of_request(error)
