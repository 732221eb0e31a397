"""The sandbox's disputes: a payer's bank takes the money back, and may give it back again."""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from typing import Any

from lms.payments.providers.sandbox_answers import Answer, refusal
from lms.payments.providers.sandbox_file import SandboxFile
from lms.payments.providers.sandbox_outbox import announce
from lms.payments.providers.sandbox_rows import find_payment, no_payment

PAGE = 100
"""Disputes on a page of the list."""

OVER = ("won", "lost")
EVIDENCE_DAYS = 14
DEFAULT_REASON = "fraudulent"
_DAY_SECONDS = 86_400
_OF_ACCOUNT = (
    "SELECT disputes.*, payments.account, payments.currency, payments.metadata,"
    " payments.webhook_url, disputes.rowid AS place"
    " FROM disputes JOIN payments ON payments.id = disputes.payment_id"
)


class SandboxDisputes:
    """What can be asked of the sandbox about disputes. Safe to share between threads.

    Args:
        file: Where the state is.
    """

    def __init__(self, file: SandboxFile) -> None:
        self._file = file

    def open(self, account: str, payment_id: str, amount: int | None, reason: str) -> Answer:
        """Let the payer's bank take a payment back, or a part of it.

        Args:
            account: Whose money it is.
            payment_id: Which payment.
            amount: Minor units; None for all of it.
            reason: What the payer says.

        Returns:
            201 with the dispute, 404 without such a payment, 400 when it was not paid or is less.
        """
        with self._file.transaction() as db:
            payment = find_payment(db, account, payment_id)
            if payment is None:
                return no_payment()
            taken = payment["amount"] if amount is None else amount
            if payment["status"] != "succeeded" or taken > payment["amount"]:
                return refusal(400, "payment_not_disputable", "That much was not paid.")
            return Answer(201, _show(open_dispute(db, payment, taken, reason)))

    def move(self, account: str, dispute_id: str, status: str) -> Answer:
        """Let evidence be handed in, or the bank decide: what its dashboard would show.

        Args:
            account: Whose money it is.
            dispute_id: Which dispute.
            status: What it becomes.

        Returns:
            200 with the dispute, 404 without such a dispute, 400 when it is over.
        """
        with self._file.transaction() as db:
            dispute = _find(db, account, dispute_id)
            if dispute is None:
                return _no_dispute()
            if dispute["status"] in OVER:
                return refusal(400, "dispute_closed", "The bank has decided already.")
            db.execute("UPDATE disputes SET status = ? WHERE id = ?", (status, dispute_id))
            dispute = _read(db, dispute_id)
            _tell(db, dispute, "dispute.closed" if status in OVER else "dispute.updated")
            return Answer(200, _show(dispute))

    def fetch(self, account: str, dispute_id: str) -> Answer:
        """200 with the dispute as it is now, or 404 when the account has no such dispute."""
        with self._file.transaction() as db:
            dispute = _find(db, account, dispute_id)
            return _no_dispute() if dispute is None else Answer(200, _show(dispute))

    def list(self, account: str, *, created_after: int, cursor: str | None) -> Answer:
        """List an account's disputes, oldest first; arguments and answers as of payments."""
        with self._file.transaction() as db:
            if cursor is not None and _find(db, account, cursor) is None:
                return refusal(400, "invalid_cursor", "No dispute of this list has this name.")
            rows = db.execute(
                f"{_OF_ACCOUNT} WHERE payments.account = ? AND disputes.created >= ?"  # noqa: S608 - our own words
                " AND place > COALESCE((SELECT rowid FROM disputes WHERE id = ?), 0)"
                " ORDER BY place LIMIT ?",
                (account, created_after, cursor, PAGE + 1),
            ).fetchall()
        page = [_show(row) for row in rows[:PAGE]]
        return Answer(200, {"data": page, "next": page[-1]["id"] if len(rows) > PAGE else None})


def open_dispute(
    db: sqlite3.Connection, payment: sqlite3.Row, amount: int, reason: str
) -> sqlite3.Row:
    """Open a dispute of a paid payment, and have it told.

    Args:
        db: The transaction.
        payment: Which payment.
        amount: Minor units.
        reason: What the payer says.
    """
    dispute_id, now = f"dp_{secrets.token_hex(12)}", int(time.time())
    db.execute(
        "INSERT INTO disputes (id, payment_id, amount, reason, status, evidence_due_at, created)"
        " VALUES (?, ?, ?, ?, 'needs_response', ?, ?)",
        (dispute_id, payment["id"], amount, reason, now + EVIDENCE_DAYS * _DAY_SECONDS, now),
    )
    dispute = _read(db, dispute_id)
    _tell(db, dispute, "dispute.opened")
    return dispute


def _no_dispute() -> Answer:
    return refusal(404, "dispute_not_found", "There is no such dispute.")


def _find(db: sqlite3.Connection, account: str, dispute_id: str) -> sqlite3.Row | None:
    return db.execute(
        f"{_OF_ACCOUNT} WHERE disputes.id = ? AND payments.account = ?", (dispute_id, account)
    ).fetchone()


def _read(db: sqlite3.Connection, dispute_id: str) -> sqlite3.Row:
    """Read a dispute that is known to exist, with its payment's account."""
    return db.execute(f"{_OF_ACCOUNT} WHERE disputes.id = ?", (dispute_id,)).fetchone()


def _tell(db: sqlite3.Connection, dispute: sqlite3.Row, kind: str) -> None:
    body = {"account": dispute["account"], "data": {"object": _show(dispute)}}
    announce(db, dispute["webhook_url"], kind, body)


def _show(dispute: sqlite3.Row) -> dict[str, Any]:
    names = ("id", "payment_id", "amount", "currency", "reason", "status", "created")
    return {
        **{name: dispute[name] for name in names},
        "kind": "chargeback",
        "evidence_due_at": dispute["evidence_due_at"],
        "metadata": json.loads(dispute["metadata"]),
    }
