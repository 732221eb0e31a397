"""The sandbox's refunds: of the academy's own making, and of its dashboard's."""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from collections.abc import Mapping
from typing import Any

from lms.payments.providers.sandbox_answers import Answer, once, refusal
from lms.payments.providers.sandbox_file import SandboxFile
from lms.payments.providers.sandbox_rows import find_payment, no_payment, read_payment, tell

_DISPUTED = (
    "SELECT 1 FROM disputes WHERE payment_id = ?"
    " AND status IN ('needs_response', 'under_review', 'lost')"
)


class SandboxRefunds:
    """What can be asked of the sandbox about refunds. Safe to share between threads.

    Args:
        file: Where the state is.
        settle_after: Seconds until a pending refund succeeds by itself.
    """

    def __init__(self, file: SandboxFile, *, settle_after: float) -> None:
        self._file = file
        self._settle_after = settle_after

    def refund(
        self, account: str, key: str, payment_id: str, amount: int, metadata: Mapping[str, str]
    ) -> Answer:
        """Give back at most what was paid and not yet given back, once per key.

        Args:
            account: Whose money it is.
            key: The idempotency key.
            payment_id: Which payment.
            amount: Minor units.
            metadata: Kept with the refund; empty for one that is made in the dashboard.

        Returns:
            201 with the refund, 404 without such a payment, 400 when that much is not there to be
            refunded or the payment is disputed, 409 for a key used for another request.
        """

        def decide(db: sqlite3.Connection) -> Answer:
            payment = find_payment(db, account, payment_id)
            if payment is None:
                return no_payment()
            if payment["status"] != "succeeded":
                return refusal(400, "payment_not_refundable", "Only a paid payment has refunds.")
            if db.execute(_DISPUTED, (payment_id,)).fetchone() is not None:
                return refusal(400, "payment_disputed", "The bank has its money back, or may get.")
            if payment["refunded_amount"] + amount > payment["amount"]:
                return refusal(400, "refund_exceeds_payment", "That is more than is left of it.")
            refund = make_refund(db, payment, amount, metadata, settle_after=self._settle_after)
            return Answer(201, _show(refund))

        return once(
            self._file, account, key, ["refund", payment_id, amount, dict(metadata)], decide
        )

    def fetch(self, account: str, refund_id: str) -> Answer:
        """200 with the refund as it is now, or 404 when the account has no such refund."""
        with self._file.transaction() as db:
            refund = _find(db, account, refund_id)
            return _no_refund() if refund is None else Answer(200, _show(refund))

    def list(self, account: str, payment_id: str) -> Answer:
        """200 with all refunds of a payment, the oldest first, or 404 without such a payment."""
        with self._file.transaction() as db:
            if find_payment(db, account, payment_id) is None:
                return no_payment()
            rows = db.execute(
                "SELECT * FROM refunds WHERE payment_id = ? ORDER BY rowid", (payment_id,)
            ).fetchall()
        return Answer(200, {"data": [_show(row) for row in rows]})

    def settle(self, account: str, refund_id: str) -> Answer:
        """Let a pending refund succeed now.

        Returns:
            200 with the refund (also when it had succeeded before), 404 without such a refund.
        """
        with self._file.transaction() as db:
            refund = _find(db, account, refund_id)
            if refund is None:
                return _no_refund()
            if refund["status"] == "pending":
                refund = succeed_refund(db, refund_id)
            return Answer(200, _show(refund))


def make_refund(
    db: sqlite3.Connection,
    payment: sqlite3.Row,
    amount: int,
    metadata: Mapping[str, str],
    *,
    settle_after: float,
) -> sqlite3.Row:
    """Give money back that is known to be there.

    Args:
        db: The transaction.
        payment: Whose money.
        amount: Minor units.
        metadata: Kept with the refund.
        settle_after: Seconds until it succeeds by itself, if the payment's token makes it wait.
    """
    refund_id, status = f"re_{secrets.token_hex(12)}", payment["refund_status"]
    settles_at = time.time() + settle_after if status == "pending" else None
    db.execute(
        "INSERT INTO refunds (id, payment_id, amount, status, settles_at, metadata)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (refund_id, payment["id"], amount, status, settles_at, json.dumps(dict(metadata))),
    )
    db.execute(
        "UPDATE payments SET refunded_amount = refunded_amount + ? WHERE id = ?",
        (amount, payment["id"]),
    )
    if status == "succeeded":
        tell(db, read_payment(db, payment["id"]), "payment.refunded")
    return _read(db, refund_id)


def succeed_refund(db: sqlite3.Connection, refund_id: str) -> sqlite3.Row:
    """Let a refund succeed, and have it told."""
    db.execute(
        "UPDATE refunds SET status = 'succeeded', settles_at = NULL WHERE id = ?", (refund_id,)
    )
    refund = _read(db, refund_id)
    tell(db, read_payment(db, refund["payment_id"]), "payment.refunded")
    return refund


def _no_refund() -> Answer:
    return refusal(404, "refund_not_found", "There is no such refund.")


def _find(db: sqlite3.Connection, account: str, refund_id: str) -> sqlite3.Row | None:
    return db.execute(
        "SELECT refunds.* FROM refunds JOIN payments ON payments.id = refunds.payment_id"
        " WHERE refunds.id = ? AND payments.account = ?",
        (refund_id, account),
    ).fetchone()


def _read(db: sqlite3.Connection, refund_id: str) -> sqlite3.Row:
    """Read a refund that is known to exist."""
    return db.execute("SELECT * FROM refunds WHERE id = ?", (refund_id,)).fetchone()


def _show(refund: sqlite3.Row) -> dict[str, Any]:
    shown = {name: refund[name] for name in ("id", "payment_id", "amount", "status")}
    return {**shown, "metadata": json.loads(refund["metadata"])}
