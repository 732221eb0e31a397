"""Refunds and disputes of the stand-in for Stripe."""

from __future__ import annotations

import re
import time
from typing import Any
from uuid import uuid4

from tests.factories.stripe_account import (
    SLOW_REFUND,
    Account,
    Refusal,
    amount_of,
    found,
    metadata_of,
    only,
    page,
)

REFUND_PARAMETERS = re.compile(r"(payment_intent|amount|metadata\[\w+\])\Z")
CHARGED_BACK = {"needs_response", "under_review", "lost"}
EVIDENCE_SECONDS = 14 * 86_400


def create_refund(account: Account, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
    only(REFUND_PARAMETERS, form)
    intent = found(account.intents, form["payment_intent"], "payment_intent")
    charge = intent["latest_charge"]
    if charge is None:
        message = "This PaymentIntent does not have a successful charge to refund."
        raise Refusal(400, message, param="payment_intent")
    if any(is_charged_back(one) for one in disputes_of(account, intent["id"])):
        message = f"Charge {charge['id']} has been charged back; cannot issue a refund."
        raise Refusal(400, message, code="charge_disputed")
    left, wanted = charge["amount"] - charge["amount_refunded"], amount_of(form)
    if left == 0:
        raise Refusal(400, "It has already been refunded.", code="charge_already_refunded")
    if wanted > left:
        raise Refusal(400, "Refund amount is greater than unrefunded amount.", param="amount")
    refund = make_refund(account, intent, wanted, metadata_of(form))
    return 200, refund


def make_refund(
    account: Account, intent: dict[str, Any], amount: int, metadata: dict[str, str]
) -> dict[str, Any]:
    """Give back what is known to be there; also what a dashboard does."""
    charge = intent["latest_charge"]
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    refund = {
        "id": f"re_{uuid4().hex[:24]}",
        "object": "refund",
        "amount": amount,
        "charge": charge["id"],
        "created": int(time.time()),
        "currency": intent["currency"],
        "metadata": metadata,
        "payment_intent": intent["id"],
        "status": "pending" if intent["payment_method"] == SLOW_REFUND else "succeeded",
    }
    account.refunds[refund["id"]] = refund
    return refund


def read_refunds(account: Account, path: list[str], query: dict[str, str]) -> dict[str, Any]:
    match path:
        case []:
            intent = found(account.intents, query["payment_intent"], "payment_intent")
            made = [r for r in account.refunds.values() if r["payment_intent"] == intent["id"]]
            return page(list(reversed(made)), query, "/v1/refunds")
        case [refund_id]:
            return found(account.refunds, refund_id, "refund")
    raise Refusal(404, "Unrecognized request URL.")


def disputes_of(account: Account, intent_id: str) -> list[dict[str, Any]]:
    return [one for one in account.disputes.values() if one["payment_intent"] == intent_id]


def is_charged_back(dispute: dict[str, Any]) -> bool:
    """Tell whether Stripe refuses refunds because of it: inquiries may be answered by one."""
    return dispute["status"] in CHARGED_BACK


def open_dispute(
    account: Account, intent_id: str, *, amount: int | None, status: str, reason: str
) -> dict[str, Any]:
    """Let a bank contest a charge: a dispute in Stripe's shape."""
    charge = account.intents[intent_id]["latest_charge"]
    charge["disputed"] = True
    now = int(time.time())
    dispute: dict[str, Any] = {
        "id": f"du_{uuid4().hex[:24]}",
        "object": "dispute",
        "amount": charge["amount"] if amount is None else amount,
        "balance_transactions": [],
        "charge": charge["id"],
        "created": now,
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {"customer_name": None, "receipt": None, "uncategorized_text": None},
        "evidence_details": {
            "due_by": now + EVIDENCE_SECONDS,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": status.startswith("warning"),
        "livemode": False,
        "metadata": {},
        "payment_intent": intent_id,
        "payment_method_details": {
            "card": {"brand": "visa", "case_type": "chargeback", "network_reason_code": "10.4"},
            "type": "card",
        },
        "reason": reason,
        "status": status,
    }
    account.disputes[dispute["id"]] = dispute
    move_dispute(dispute, status)
    return dispute


def move_dispute(dispute: dict[str, Any], status: str) -> None:
    """Let it become something else; the money follows as at Stripe."""
    dispute["status"] = status
    dispute["is_charge_refundable"] = status.startswith("warning")
    moved = dispute["balance_transactions"]
    if is_charged_back(dispute) and not moved:
        moved.append(_moved(dispute, -dispute["amount"], "Chargeback withdrawal"))
    if status == "won" and len(moved) == 1:
        moved.append(_moved(dispute, dispute["amount"], "Chargeback reversal"))


def _moved(dispute: dict[str, Any], amount: int, description: str) -> dict[str, Any]:
    return {
        "id": f"txn_{uuid4().hex[:24]}",
        "object": "balance_transaction",
        "amount": amount,
        "currency": dispute["currency"],
        "description": f"{description} for {dispute['charge']}",
        "fee": 1500 if amount < 0 else 0,
        "source": dispute["id"],
        "type": "adjustment",
    }


def read_disputes(account: Account, path: list[str], query: dict[str, str]) -> dict[str, Any]:
    match path:
        case []:
            assert query.get("expand[0]") == "data.payment_intent"
            since = int(query.get("created[gte]", 0))
            made = [one for one in account.disputes.values() if one["created"] >= since]
            listed = page(list(reversed(made)), query, "/v1/disputes")
            return {**listed, "data": [_with_intent(account, one) for one in listed["data"]]}
        case [dispute_id]:
            assert query.get("expand[0]") == "payment_intent"
            return _with_intent(account, found(account.disputes, dispute_id, "dispute"))
    raise Refusal(404, "Unrecognized request URL.")


def _with_intent(account: Account, dispute: dict[str, Any]) -> dict[str, Any]:
    intent = account.intents.get(dispute["payment_intent"])
    if intent is None:
        return {**dispute, "payment_intent": None}
    charge = intent["latest_charge"]["id"]
    return {**dispute, "payment_intent": {**intent, "latest_charge": charge}}
