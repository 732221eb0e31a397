"""What the stand-in for Stripe holds of one account, and how it reads requests."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

GOOD = "pm_card_visa"
DECLINED = "pm_card_visa_chargeDeclined"
POOR = "pm_card_visa_chargeDeclinedInsufficientFunds"
ASKS_3DS = "pm_card_authenticationRequired"
SLOW = "pm_debit_processing"
SLOW_REFUND = "pm_card_pendingRefund"
LOST = "pm_card_answer_lost"
"""The payment is made, and the connection dies before the first answer."""

DECLINES = {DECLINED: "generic_decline", POOR: "insufficient_funds"}
STATUSES = {ASKS_3DS: "requires_action", SLOW: "processing"}
TOKENS = {"tok_visa": GOOD, "ctoken_visa": GOOD}
MEANS = {GOOD, ASKS_3DS, SLOW, SLOW_REFUND, LOST, *DECLINES}


class Refusal(Exception):
    """An error as Stripe answers it."""

    def __init__(self, status: int, message: str, **error: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"type": "invalid_request_error", "message": message, **error}}


@dataclass
class Account:
    """What one secret key reaches."""

    intents: dict[str, dict[str, Any]] = field(default_factory=dict)
    refunds: dict[str, dict[str, Any]] = field(default_factory=dict)
    disputes: dict[str, dict[str, Any]] = field(default_factory=dict)
    means: dict[str, str] = field(default_factory=dict)
    keys: dict[str, tuple[str, int, dict[str, Any]]] = field(default_factory=dict)


def page(things: list[dict[str, Any]], query: dict[str, str], url: str) -> dict[str, Any]:
    """One page of a list, of which things are the newest first."""
    ids = [thing["id"] for thing in things]
    start = ids.index(query["starting_after"]) + 1 if "starting_after" in query else 0
    limit = int(query.get("limit", 10))
    return {
        "object": "list",
        "url": url,
        "has_more": start + limit < len(things),
        "data": things[start : start + limit],
    }


def found(things: dict[str, dict[str, Any]], name: str, kind: str) -> dict[str, Any]:
    if name not in things:
        raise Refusal(404, f"No such {kind}: '{name}'", code="resource_missing", param=kind)
    return things[name]


def only(known: re.Pattern[str], form: dict[str, str]) -> None:
    for name in form:
        if not known.match(name):
            message = f"Received unknown parameter: {name}"
            raise Refusal(400, message, code="parameter_unknown", param=name)


def amount_of(form: dict[str, str]) -> int:
    if not re.fullmatch("[1-9][0-9]*", form["amount"]):
        raise Refusal(400, "Invalid integer.", code="parameter_invalid_integer", param="amount")
    return int(form["amount"])


def metadata_of(form: dict[str, str]) -> dict[str, str]:
    return {name[9:-1]: value for name, value in form.items() if name.startswith("metadata[")}
