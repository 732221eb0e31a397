"""The sandbox's payments: each request is decided in one transaction."""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from collections.abc import Mapping
from typing import Any

from lms.payments.providers.sandbox_answers import Answer, once, refusal
from lms.payments.providers.sandbox_disputes import DEFAULT_REASON, open_dispute
from lms.payments.providers.sandbox_file import SandboxFile
from lms.payments.providers.sandbox_refunds import make_refund, succeed_refund
from lms.payments.providers.sandbox_rows import (
    find_payment,
    no_payment,
    read_payment,
    show_payment,
    tell,
    tell_old_news,
)
from lms.payments.providers.sandbox_tokens import OUTCOMES, Outcome

PAGE = 100
"""Payments on a page of the list."""

OLD_NEWS_SECONDS = 60


class SandboxStore:
    """What can be asked of the sandbox about payments. Safe to share between threads.

    Args:
        file: Where the state is.
        settle_after: Seconds until a pending payment succeeds by itself, or a paid one is disputed
            or given back if its token says so.
    """

    def __init__(self, file: SandboxFile, *, settle_after: float) -> None:
        self._file = file
        self._settle_after = settle_after

    def create_payment(self, account: str, key: str, request: Mapping[str, Any]) -> Answer:
        """Make a payment as its token says, once per key.

        Args:
            account: Whose money it is.
            key: The idempotency key.
            request: amount (minor units), currency, token, metadata and webhook_url.

        Returns:
            201 with the payment, 400 for an unknown token, 409 for a key used for another request.
        """

        def decide(db: sqlite3.Connection) -> Answer:
            outcome = OUTCOMES.get(request["token"])
            if outcome is None:
                return refusal(400, "unknown_token", "No means of payment has this token.")
            payment = self._make(db, account, request, outcome)
            if outcome.status != "pending":
                tell(db, payment, f"payment.{outcome.status}", deliveries=outcome.deliveries)
            if outcome.out_of_order:
                tell_old_news(db, payment, "payment.pending", age=OLD_NEWS_SECONDS)
            return Answer(201, show_payment(payment))

        # where to report is not what is asked: who moved meanwhile may still ask again
        asked = {name: value for name, value in request.items() if name != "webhook_url"}
        return once(self._file, account, key, ["payment", asked], decide)

    def fetch_payment(self, account: str, payment_id: str) -> Answer:
        """200 with the payment as it is now, or 404 when the account has no such payment."""
        with self._file.transaction() as db:
            payment = find_payment(db, account, payment_id)
            return no_payment() if payment is None else Answer(200, show_payment(payment))

    def list_payments(self, account: str, *, created_after: int, cursor: str | None) -> Answer:
        """List an account's payments, oldest first.

        Args:
            account: Whose money it is.
            created_after: Only those made at this moment or later, in Unix seconds.
            cursor: The last payment of the page before.

        Returns:
            200 with the page, 400 when the cursor is no payment of this account.
        """
        with self._file.transaction() as db:
            if cursor is not None and find_payment(db, account, cursor) is None:
                return refusal(400, "invalid_cursor", "No payment of this list has this name.")
            rows = db.execute(
                "SELECT * FROM payments WHERE account = ? AND created >= ? AND rowid >"
                " COALESCE((SELECT rowid FROM payments WHERE id = ?), 0)"
                " ORDER BY rowid LIMIT ?",
                (account, created_after, cursor, PAGE + 1),
            ).fetchall()
        more = len(rows) > PAGE
        page = [show_payment(row) for row in rows[:PAGE]]
        return Answer(200, {"data": page, "next": page[-1]["id"] if more else None})

    def cancel(self, account: str, payment_id: str) -> Answer:
        """Cancel a payment that waits for the learner; any other one stays as it is.

        Returns:
            200 with the payment as it is then, 404 without such a payment.
        """
        with self._file.transaction() as db:
            payment = find_payment(db, account, payment_id)
            if payment is None:
                return no_payment()
            if payment["status"] == "pending" and payment["client_secret"] is not None:
                db.execute(
                    "UPDATE payments SET status = 'failed', canceled = 1 WHERE id = ?",
                    (payment_id,),
                )
                payment = read_payment(db, payment_id)
                tell(db, payment, "payment.canceled")
            return Answer(200, show_payment(payment))

    def authenticate(self, payment_id: str, client_secret: str, *, passed: bool) -> Answer:
        """Let the learner do what the payment waits for (3-D Secure), or fail to.

        Args:
            payment_id: Which payment.
            client_secret: What the front end was given with it.
            passed: Whether the learner did it.

        Returns:
            200 with the payment, 404 without such a payment or with another secret, 400 when the
            payment does not wait (any more).
        """
        with self._file.transaction() as db:
            payment = db.execute(
                "SELECT * FROM payments WHERE id = ? AND client_secret = ?",
                (payment_id, client_secret),
            ).fetchone()
            if payment is None:
                return no_payment()
            if payment["status"] != "pending":
                return refusal(400, "payment_not_pending", "It does not wait for the learner.")
            done = _succeed(db, payment_id) if passed else _fail_authentication(db, payment_id)
            return Answer(200, show_payment(done))

    def settle(self, account: str, payment_id: str) -> Answer:
        """Let happen now what would happen to a payment by itself, or at the learner's hand.

        Returns:
            200 with the payment (also when nothing was to come), 404 without such a payment, 400
            when it failed.
        """
        with self._file.transaction() as db:
            payment = find_payment(db, account, payment_id)
            if payment is None:
                return no_payment()
            if payment["status"] == "failed":
                return refusal(400, "payment_not_pending", "A failed payment stays failed.")
            _go_on(db, payment)
            return Answer(200, show_payment(read_payment(db, payment_id)))

    def settle_due(self) -> None:
        """Let happen what is due: to payments, and to pending refunds."""
        now = time.time()
        with self._file.transaction() as db:
            for payment in db.execute(
                "SELECT * FROM payments WHERE settles_at <= ? ORDER BY settles_at", (now,)
            ).fetchall():
                _go_on(db, payment)
            for refund in db.execute(
                "SELECT id FROM refunds WHERE settles_at <= ? ORDER BY settles_at", (now,)
            ).fetchall():
                succeed_refund(db, refund["id"])

    def next_settlement(self) -> float | None:
        """When something happens to a payment or refund by itself, in Unix seconds, or None."""
        with self._file.transaction() as db:
            (settles_at,) = db.execute(
                "SELECT min(settles_at) FROM (SELECT settles_at FROM payments"
                " UNION ALL SELECT settles_at FROM refunds) WHERE settles_at IS NOT NULL"
            ).fetchone()
        return settles_at

    def _make(
        self, db: sqlite3.Connection, account: str, request: Mapping[str, Any], outcome: Outcome
    ) -> sqlite3.Row:
        payment_id, now = f"pay_{secrets.token_hex(12)}", time.time()
        goes_on = outcome.status == "pending" and not outcome.asks_learner
        secret = f"{payment_id}_secret_{secrets.token_hex(12)}" if outcome.asks_learner else None
        db.execute(
            "INSERT INTO payments (id, account, status, amount, currency, decline_code, metadata,"
            " created, webhook_url, settles_at, refund_status, client_secret, afterwards)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                payment_id,
                account,
                outcome.status,
                request["amount"],
                request["currency"],
                outcome.decline_code,
                json.dumps(request["metadata"]),
                int(now),
                request["webhook_url"],
                now + self._settle_after if goes_on or outcome.afterwards else None,
                outcome.refund_status,
                secret,
                outcome.afterwards,
            ),
        )
        return read_payment(db, payment_id)


def _go_on(db: sqlite3.Connection, payment: sqlite3.Row) -> None:
    """Let a payment succeed that is pending, or be disputed or given back if that is to come."""
    if payment["status"] == "pending":
        _succeed(db, payment["id"])
        return
    db.execute(
        "UPDATE payments SET settles_at = NULL, afterwards = NULL WHERE id = ?", (payment["id"],)
    )
    left = payment["amount"] - payment["refunded_amount"]
    if payment["afterwards"] == "dispute":
        open_dispute(db, payment, payment["amount"], DEFAULT_REASON)
    elif payment["afterwards"] == "refund" and left > 0:
        make_refund(db, payment, left, {}, settle_after=0)


def _succeed(db: sqlite3.Connection, payment_id: str) -> sqlite3.Row:
    db.execute(
        "UPDATE payments SET status = 'succeeded', settles_at = NULL WHERE id = ?", (payment_id,)
    )
    payment = read_payment(db, payment_id)
    tell(db, payment, "payment.succeeded")
    return payment


def _fail_authentication(db: sqlite3.Connection, payment_id: str) -> sqlite3.Row:
    db.execute(
        "UPDATE payments SET status = 'failed', decline_code = 'authentication_failed'"
        " WHERE id = ?",
        (payment_id,),
    )
    payment = read_payment(db, payment_id)
    tell(db, payment, "payment.failed")
    return payment
