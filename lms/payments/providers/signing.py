"""Signed webhook bodies in Stripe's form: `t=<unix seconds>,v1=<hex hmac-sha256 of "t.body">`.

https://docs.stripe.com/webhooks#verify-manually describes the scheme.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime

from lms.payments.providers.base import InvalidWebhook

TOLERANCE_SECONDS = 300
"""How far a signature's time may be from now; Stripe's own default."""

_LONGEST_TIME = 12  # digits: enough for 30,000 years, short enough that int() stays cheap


def sign(body: bytes, *, secret: str, timestamp: int) -> str:
    """Sign a body.

    Args:
        body: The exact bytes that will be sent.
        secret: Shared with the receiver.
        timestamp: When, in Unix seconds.

    Returns:
        The signature header's value.
    """
    return f"t={timestamp},v1={_digest(body, secret=secret, time_text=str(timestamp))}"


def verify(body: bytes, header: str, *, secret: str, now: datetime) -> None:
    """Check that a body was signed with a secret, recently.

    Several `v1` values may stand in one header, so that a sender can change its secret; one that
    matches is enough.

    Args:
        body: The exact bytes received.
        header: The signature header's value.
        secret: Shared with the sender.
        now: The present, aware of its time zone.

    Raises:
        InvalidWebhook: The header is malformed, no signature matches, or its time is further than
            `TOLERANCE_SECONDS` from now, in either direction.
    """
    time_text, candidates = _parse(header)
    expected = _digest(body, secret=secret, time_text=time_text)
    # every candidate is compared, so that the time taken does not tell which one matched
    matches = [hmac.compare_digest(expected, candidate) for candidate in candidates]
    if not any(matches):
        raise InvalidWebhook("the signature does not match the body")
    if abs(now.timestamp() - int(time_text)) > TOLERANCE_SECONDS:
        raise InvalidWebhook("the signature is too far from the present")


def _digest(body: bytes, *, secret: str, time_text: str) -> str:
    signed = time_text.encode("ascii") + b"." + body
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def _parse(header: str) -> tuple[str, list[str]]:
    if not header.isascii():
        raise InvalidWebhook("the signature header is malformed")
    pairs = [part.strip().partition("=") for part in header.split(",")]
    times = [value for name, _, value in pairs if name == "t"]
    candidates = [value for name, _, value in pairs if name == "v1"]
    if len(times) != 1 or not times[0].isdigit() or len(times[0]) > _LONGEST_TIME:
        raise InvalidWebhook("the signature header is malformed")
    return times[0], candidates
