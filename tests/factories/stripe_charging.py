"""PaymentIntents of the stand-in for Stripe."""

from __future__ import annotations

import re
import time
from typing import Any
from uuid import uuid4

from tests.factories.stripe_account import (
    DECLINES,
    MEANS,
    STATUSES,
    TOKENS,
    Account,
    Refusal,
    amount_of,
    found,
    metadata_of,
    only,
    page,
)

INTENT_PARAMETERS = re.compile(
    r"(amount|currency|confirm|payment_method|confirmation_token|use_stripe_sdk"
    r"|payment_method_data\[type\]|payment_method_data\[card\]\[token\]"
    r"|automatic_payment_methods\[(enabled|allow_redirects)\]|metadata\[\w+\]|expand\[0\])\Z"
)
CANCEL_PARAMETERS = re.compile(r"(cancellation_reason|expand\[0\])\Z")
CANCELABLE = {
    *("requires_payment_method", "requires_capture", "requires_confirmation", "requires_action"),
}


def create_intent(account: Account, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
    only(INTENT_PARAMETERS, form)
    amount = amount_of(form)
    if amount < 50:
        raise Refusal(400, "Amount must be at least 50.", code="amount_too_small", param="amount")
    if not re.fullmatch("[a-z]{3}", form["currency"]):
        raise Refusal(400, "Invalid currency.", param="currency")
    assert form["confirm"] == "true"
    assert form["automatic_payment_methods[allow_redirects]"] == "never"
    means = means_of(form)
    intent_id = f"pi_{uuid4().hex[:24]}"
    intent = {
        "id": intent_id,
        "object": "payment_intent",
        "amount": amount,
        "created": int(time.time()),
        "currency": form["currency"],
        "cancellation_reason": None,
        "client_secret": f"{intent_id}_secret_{uuid4().hex}",
        "last_payment_error": None,
        "latest_charge": None,
        "metadata": metadata_of(form),
        "payment_method": means,
        "status": STATUSES.get(means, "requires_confirmation"),
    }
    account.intents[intent_id] = intent
    if means in DECLINES:
        error = decline(intent, "card_declined", DECLINES[means])
        return 402, {"error": {**error, "payment_intent": shown(intent, expanded=False)}}
    if means not in STATUSES:
        charge(intent)
    return 200, shown(intent, expanded=form.get("expand[0]") == "latest_charge")


def cancel_intent(
    account: Account, intent_id: str, form: dict[str, str]
) -> tuple[int, dict[str, Any]]:
    only(CANCEL_PARAMETERS, form)
    intent = found(account.intents, intent_id, "payment_intent")
    if intent["status"] not in CANCELABLE:
        message = (
            f"You cannot cancel this PaymentIntent because it has a status of {intent['status']}."
        )
        code = "payment_intent_unexpected_state"
        raise Refusal(400, message, code=code, payment_intent=shown(intent, expanded=False))
    intent["status"], intent["cancellation_reason"] = "canceled", form["cancellation_reason"]
    return 200, shown(intent, expanded=form.get("expand[0]") == "latest_charge")


def read_intents(account: Account, path: list[str], query: dict[str, str]) -> dict[str, Any]:
    match path:
        case ["search"]:
            wanted = dict(re.findall(r"metadata\['(\w+)'\]:'([^']*)'", query["query"]))
            hits = [
                intent
                for intent in account.intents.values()
                if wanted.items() <= intent["metadata"].items()
            ]
            return {
                "object": "search_result",
                "url": "/v1/payment_intents/search",
                "has_more": False,
                "data": [shown(intent, expanded=False) for intent in hits],
            }
        case []:
            assert query.get("expand[0]") == "data.latest_charge"
            since = int(query.get("created[gte]", 0))
            made = [one for one in account.intents.values() if one["created"] >= since]
            listed = page(list(reversed(made)), query, "/v1/payment_intents")
            return {**listed, "data": [shown(intent, expanded=True) for intent in listed["data"]]}
        case [intent_id]:
            expanded = query.get("expand[0]") == "latest_charge"
            return shown(found(account.intents, intent_id, "payment_intent"), expanded=expanded)
    raise Refusal(404, "Unrecognized request URL.")


def means_of(form: dict[str, str]) -> str:
    card = "payment_method_data[card][token]"
    given = [name for name in ("payment_method", "confirmation_token", card) if name in form]
    assert len(given) == 1, given
    assert ("use_stripe_sdk" in form) == ("confirmation_token" not in form)
    token = form[given[0]]
    if not token:
        raise Refusal(400, "An empty string.", code="parameter_invalid_empty", param=given[0])
    means = TOKENS.get(token, token) if given[0] != "payment_method" else token
    if means not in MEANS:
        raise Refusal(400, f"No such token: '{token}'", code="resource_missing", param=given[0])
    return means


def charge(intent: dict[str, Any]) -> None:
    intent["status"], intent["last_payment_error"] = "succeeded", None
    intent["latest_charge"] = {
        "id": f"ch_{uuid4().hex[:24]}",
        "object": "charge",
        "amount": intent["amount"],
        "amount_refunded": 0,
        "currency": intent["currency"],
        "disputed": False,
        "metadata": dict(intent["metadata"]),
        "payment_intent": intent["id"],
        "refunded": False,
    }


def decline(intent: dict[str, Any], code: str, decline_code: str | None) -> dict[str, Any]:
    error = {"type": "card_error", "code": code, "message": "Your card was declined."}
    if decline_code is not None:
        error["decline_code"] = decline_code
    intent["status"], intent["last_payment_error"] = "requires_payment_method", error
    return error


def shown(intent: dict[str, Any], *, expanded: bool) -> dict[str, Any]:
    if expanded or intent["latest_charge"] is None:
        return intent
    return {**intent, "latest_charge": intent["latest_charge"]["id"]}
