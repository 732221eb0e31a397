"""Stripe's signatures of webhooks: https://docs.stripe.com/webhooks/signature."""

from __future__ import annotations

from datetime import datetime

import stripe

from lms.payments.providers.base import InvalidWebhook
from lms.payments.providers.signing import TOLERANCE_SECONDS


def check_signature(body: bytes, signature: str, *, secret: str, now: datetime) -> None:
    """Check that Stripe signed a webhook, and lately.

    The signature is checked by Stripe's library; its time here, because the library takes
    signatures of the future.

    Args:
        body: The request's body exactly as received.
        signature: The header.
        secret: The endpoint's.
        now: The present, aware of its time zone.

    Raises:
        InvalidWebhook: It is not Stripe's, or of another time.
    """
    if not signature.isascii():
        raise InvalidWebhook("the signature header is malformed")
    try:
        stripe.WebhookSignature.verify_header(body, signature, secret)
    except (stripe.SignatureVerificationError, UnicodeDecodeError) as error:
        raise InvalidWebhook("the signature does not match the body") from error
    if abs(now.timestamp() - _time_of(signature)) > TOLERANCE_SECONDS:
        raise InvalidWebhook("the signature is too far from the present")


def _time_of(signature: str) -> int:
    """Return the time that the library just found signed: the first `t`, in Unix seconds."""
    pairs = [part.split("=") for part in signature.split(",")]
    return int(next(pair[1] for pair in pairs if pair[0] == "t"))
