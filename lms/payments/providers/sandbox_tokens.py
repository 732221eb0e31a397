"""The sandbox's magic tokens: what a payment made with each of them does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outcome:
    """What happens to a payment made with a magic token.

    Attributes:
        status: The payment's first state.
        decline_code: Why it failed.
        answered: False when the server never gets to answer, although the payment was made.
        deliveries: How many times the webhook is sent.
        refund_status: The first state of its refunds.
    """

    status: str
    decline_code: str | None = None
    answered: bool = True
    deliveries: int = 1
    refund_status: str = "succeeded"


OUTCOMES: Mapping[str, Outcome] = {
    "tok_success": Outcome("succeeded"),
    "tok_declined": Outcome("failed", decline_code="card_declined"),
    "tok_insufficient_funds": Outcome("failed", decline_code="insufficient_funds"),
    "tok_pending": Outcome("pending"),
    "tok_timeout_after_success": Outcome("succeeded", answered=False),
    "tok_pending_refund": Outcome("succeeded", refund_status="pending"),
    "tok_duplicate_webhook": Outcome("succeeded", deliveries=2),
}
"""The magic tokens."""
