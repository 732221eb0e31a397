"""The sandbox's magic tokens: what a payment made with each of them does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Afterwards = Literal["dispute", "refund"]
"""What may happen to a paid payment some time later."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What happens to a payment made with a magic token.

    Attributes:
        status: The payment's first state.
        decline_code: Why it failed.
        answered: False when the server never gets to answer, although the payment was made.
        deliveries: How many times the webhook is sent.
        refund_status: The first state of its refunds.
        asks_learner: True when a pending payment waits for the learner, as for 3-D Secure: it has a
            client secret, and can be canceled.
        out_of_order: True when older news are sent after newer ones.
        afterwards: What happens once the time is up in which others settle: the payer disputes it,
            or it is given back in the dashboard.
    """

    status: str
    decline_code: str | None = None
    answered: bool = True
    deliveries: int = 1
    refund_status: str = "succeeded"
    asks_learner: bool = False
    out_of_order: bool = False
    afterwards: Afterwards | None = None


OUTCOMES: Mapping[str, Outcome] = {
    "tok_success": Outcome("succeeded"),
    "tok_declined": Outcome("failed", decline_code="card_declined"),
    "tok_insufficient_funds": Outcome("failed", decline_code="insufficient_funds"),
    "tok_pending": Outcome("pending"),
    "tok_timeout_after_success": Outcome("succeeded", answered=False),
    "tok_pending_refund": Outcome("succeeded", refund_status="pending"),
    "tok_duplicate_webhook": Outcome("succeeded", deliveries=2),
    "tok_out_of_order_webhooks": Outcome("succeeded", out_of_order=True),
    "tok_3d_secure": Outcome("pending", asks_learner=True),
    "tok_dispute": Outcome("succeeded", afterwards="dispute"),
    "tok_refunded_at_provider": Outcome("succeeded", afterwards="refund"),
}
"""The magic tokens."""
