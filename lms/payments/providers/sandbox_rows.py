"""The sandbox's payments as rows: found, shown, and told of in webhooks."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from lms.payments.providers.sandbox_answers import Answer, refusal
from lms.payments.providers.sandbox_outbox import announce


def no_payment() -> Answer:
    """The answer to who names a payment that the account does not have."""
    return refusal(404, "payment_not_found", "There is no such payment.")


def find_payment(db: sqlite3.Connection, account: str, payment_id: str) -> sqlite3.Row | None:
    """Find a payment of an account."""
    return db.execute(
        "SELECT * FROM payments WHERE id = ? AND account = ?", (payment_id, account)
    ).fetchone()


def read_payment(db: sqlite3.Connection, payment_id: str) -> sqlite3.Row:
    """Read a payment that is known to exist."""
    return db.execute("SELECT * FROM payments WHERE id = ?", (payment_id,)).fetchone()


def show_payment(payment: sqlite3.Row) -> dict[str, Any]:
    """Return what callers see of a payment."""
    return {
        "id": payment["id"],
        # files from before payments could be canceled have no such status
        "status": "canceled" if payment["canceled"] else payment["status"],
        "amount": payment["amount"],
        "currency": payment["currency"],
        "refunded_amount": payment["refunded_amount"],
        "decline_code": payment["decline_code"],
        "client_secret": payment["client_secret"] if payment["status"] == "pending" else None,
        "metadata": json.loads(payment["metadata"]),
        "created": payment["created"],
    }


def tell(db: sqlite3.Connection, payment: sqlite3.Row, kind: str, *, deliveries: int = 1) -> None:
    """Have news of a payment sent, with the payment as it is.

    Args:
        db: The transaction that makes the change.
        payment: As it is after the change.
        kind: The event's type.
        deliveries: How many times it is sent.
    """
    body = {"account": payment["account"], "data": {"object": show_payment(payment)}}
    announce(db, payment["webhook_url"], kind, body, deliveries=deliveries)


def tell_old_news(db: sqlite3.Connection, payment: sqlite3.Row, kind: str, *, age: int) -> None:
    """Have older news of a payment sent after newer ones: of when it was still pending.

    Args:
        db: The transaction that makes the change.
        payment: As it is now.
        kind: The event's type.
        age: How many seconds ago it is said to have happened.
    """
    shown = {**show_payment(payment), "status": "pending"}
    body = {"account": payment["account"], "data": {"object": shown}}
    announce(db, payment["webhook_url"], kind, body, age=age)
