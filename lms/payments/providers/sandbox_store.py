"""The sandbox's payments, refunds and idempotency: each request is decided in one transaction."""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lms.payments.providers.sandbox_file import SandboxFile
from lms.payments.providers.sandbox_outbox import announce
from lms.payments.providers.sandbox_tokens import OUTCOMES

PAGE = 100
"""Payments on a page of the list."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer: its status, its JSON body, and whether an earlier request got it first."""

    status: int
    body: dict[str, Any]
    replayed: bool = False


def refusal(status: int, code: str, message: str) -> Answer:
    """The answer to a request that is not carried out."""
    return Answer(status, {"error": {"code": code, "message": message}})


class SandboxStore:
    """What can be asked of the sandbox. Safe to share between threads.

    Args:
        file: Where the state is.
        settle_after: Seconds until a pending payment succeeds by itself.
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
            payment_id = f"pay_{secrets.token_hex(12)}"
            pending = outcome.status == "pending"
            db.execute(
                "INSERT INTO payments (id, account, status, amount, currency, decline_code,"
                " metadata, created, webhook_url, settles_at, refund_status)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    payment_id,
                    account,
                    outcome.status,
                    request["amount"],
                    request["currency"],
                    outcome.decline_code,
                    json.dumps(request["metadata"]),
                    int(time.time()),
                    request["webhook_url"],
                    time.time() + self._settle_after if pending else None,
                    outcome.refund_status,
                ),
            )
            payment = _read(db, payment_id)
            if not pending:
                _announce(db, payment, f"payment.{outcome.status}", outcome.deliveries)
            return Answer(201, _present(payment))

        # where to report is not what is asked: who moved meanwhile may still ask again
        asked = {name: value for name, value in request.items() if name != "webhook_url"}
        return self._once(account, key, ["payment", asked], decide)

    def refund(self, account: str, key: str, payment_id: str, amount: int) -> Answer:
        """Give back at most what was paid and not yet given back, once per key.

        Args:
            account: Whose money it is.
            key: The idempotency key.
            payment_id: Which payment.
            amount: Minor units.

        Returns:
            201 with the refund, 404 without such a payment, 400 when that much is not there to be
            refunded, 409 for a key used for another request.
        """

        def decide(db: sqlite3.Connection) -> Answer:
            payment = _find(db, account, payment_id)
            if payment is None:
                return _no_payment()
            if payment["status"] != "succeeded":
                return refusal(400, "payment_not_refundable", "Only a paid payment has refunds.")
            if payment["refunded_amount"] + amount > payment["amount"]:
                return refusal(400, "refund_exceeds_payment", "That is more than is left of it.")
            refund_id = f"re_{secrets.token_hex(12)}"
            status = payment["refund_status"]
            settles_at = time.time() + self._settle_after if status == "pending" else None
            db.execute(
                "INSERT INTO refunds (id, payment_id, amount, status, settles_at)"
                " VALUES (?, ?, ?, ?, ?)",
                (refund_id, payment_id, amount, status, settles_at),
            )
            db.execute(
                "UPDATE payments SET refunded_amount = refunded_amount + ? WHERE id = ?",
                (amount, payment_id),
            )
            if status == "succeeded":
                _announce(db, _read(db, payment_id), "payment.refunded")
            return Answer(201, _present_refund(_read_refund(db, refund_id)))

        return self._once(account, key, ["refund", payment_id, amount], decide)

    def fetch_payment(self, account: str, payment_id: str) -> Answer:
        """200 with the payment as it is now, or 404 when the account has no such payment."""
        with self._file.transaction() as db:
            payment = _find(db, account, payment_id)
            return _no_payment() if payment is None else Answer(200, _present(payment))

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
            if cursor is not None and _find(db, account, cursor) is None:
                return refusal(400, "invalid_cursor", "No payment of this list has this name.")
            rows = db.execute(
                "SELECT * FROM payments WHERE account = ? AND created >= ? AND rowid >"
                " COALESCE((SELECT rowid FROM payments WHERE id = ?), 0)"
                " ORDER BY rowid LIMIT ?",
                (account, created_after, cursor, PAGE + 1),
            ).fetchall()
        more = len(rows) > PAGE
        page = [_present(row) for row in rows[:PAGE]]
        return Answer(200, {"data": page, "next": page[-1]["id"] if more else None})

    def fetch_refund(self, account: str, refund_id: str) -> Answer:
        """200 with the refund as it is now, or 404 when the account has no such refund."""
        with self._file.transaction() as db:
            refund = _find_refund(db, account, refund_id)
            return _no_refund() if refund is None else Answer(200, _present_refund(refund))

    def settle_refund(self, account: str, refund_id: str) -> Answer:
        """Let a pending refund succeed now.

        Returns:
            200 with the refund (also when it had succeeded before), 404 without such a refund.
        """
        with self._file.transaction() as db:
            refund = _find_refund(db, account, refund_id)
            if refund is None:
                return _no_refund()
            if refund["status"] == "pending":
                refund = _succeed_refund(db, refund_id)
            return Answer(200, _present_refund(refund))

    def settle(self, account: str, payment_id: str) -> Answer:
        """Let a pending payment succeed now.

        Returns:
            200 with the payment (also when it had succeeded before), 404 without such a payment,
            400 when it failed.
        """
        with self._file.transaction() as db:
            payment = _find(db, account, payment_id)
            if payment is None:
                return _no_payment()
            if payment["status"] == "failed":
                return refusal(400, "payment_not_pending", "A failed payment stays failed.")
            if payment["status"] == "pending":
                payment = _succeed(db, payment_id)
            return Answer(200, _present(payment))

    def settle_due(self) -> None:
        """Let the pending payments and refunds succeed whose time has come."""
        with self._file.transaction() as db:
            for table, succeed in (("payments", _succeed), ("refunds", _succeed_refund)):
                due = db.execute(
                    f"SELECT id FROM {table} WHERE settles_at <= ? ORDER BY settles_at",  # noqa: S608 - our own names
                    (time.time(),),
                ).fetchall()
                for row in due:
                    succeed(db, row["id"])

    def next_settlement(self) -> float | None:
        """When the next pending payment or refund succeeds, in Unix seconds, or None."""
        with self._file.transaction() as db:
            (settles_at,) = db.execute(
                "SELECT min(settles_at) FROM (SELECT settles_at FROM payments"
                " UNION ALL SELECT settles_at FROM refunds) WHERE settles_at IS NOT NULL"
            ).fetchone()
        return settles_at

    def _once(
        self,
        account: str,
        key: str,
        request: list[Any],
        decide: Callable[[sqlite3.Connection], Answer],
    ) -> Answer:
        """Decide a request, or repeat what was answered to the same request before."""
        digest = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
        with self._file.transaction() as db:
            earlier = db.execute(
                "SELECT request, status, body FROM answers WHERE account = ? AND key = ?",
                (account, key),
            ).fetchone()
            if earlier is None:
                answer = decide(db)
                db.execute(
                    "INSERT INTO answers VALUES (?, ?, ?, ?, ?)",
                    (account, key, digest, answer.status, json.dumps(answer.body)),
                )
                return answer
        if earlier["request"] != digest:
            return refusal(
                409, "idempotency_key_reused", "This key was used for another request before."
            )
        return Answer(earlier["status"], json.loads(earlier["body"]), replayed=True)


def _no_payment() -> Answer:
    return refusal(404, "payment_not_found", "There is no such payment.")


def _no_refund() -> Answer:
    return refusal(404, "refund_not_found", "There is no such refund.")


def _find_refund(db: sqlite3.Connection, account: str, refund_id: str) -> sqlite3.Row | None:
    return db.execute(
        "SELECT refunds.* FROM refunds JOIN payments ON payments.id = refunds.payment_id"
        " WHERE refunds.id = ? AND payments.account = ?",
        (refund_id, account),
    ).fetchone()


def _read_refund(db: sqlite3.Connection, refund_id: str) -> sqlite3.Row:
    """Read a refund that is known to exist."""
    return db.execute("SELECT * FROM refunds WHERE id = ?", (refund_id,)).fetchone()


def _succeed_refund(db: sqlite3.Connection, refund_id: str) -> sqlite3.Row:
    db.execute(
        "UPDATE refunds SET status = 'succeeded', settles_at = NULL WHERE id = ?", (refund_id,)
    )
    refund = _read_refund(db, refund_id)
    _announce(db, _read(db, refund["payment_id"]), "payment.refunded")
    return refund


def _present_refund(refund: sqlite3.Row) -> dict[str, Any]:
    return {name: refund[name] for name in ("id", "payment_id", "amount", "status")}


def _find(db: sqlite3.Connection, account: str, payment_id: str) -> sqlite3.Row | None:
    return db.execute(
        "SELECT * FROM payments WHERE id = ? AND account = ?", (payment_id, account)
    ).fetchone()


def _read(db: sqlite3.Connection, payment_id: str) -> sqlite3.Row:
    """Read a payment that is known to exist."""
    return db.execute("SELECT * FROM payments WHERE id = ?", (payment_id,)).fetchone()


def _succeed(db: sqlite3.Connection, payment_id: str) -> sqlite3.Row:
    db.execute(
        "UPDATE payments SET status = 'succeeded', settles_at = NULL WHERE id = ?", (payment_id,)
    )
    payment = _read(db, payment_id)
    _announce(db, payment, "payment.succeeded")
    return payment


def _announce(db: sqlite3.Connection, payment: sqlite3.Row, kind: str, deliveries: int = 1) -> None:
    body = {"account": payment["account"], "data": {"object": _present(payment)}}
    announce(db, payment["webhook_url"], kind, body, deliveries=deliveries)


def _present(payment: sqlite3.Row) -> dict[str, Any]:
    return {
        "id": payment["id"],
        "status": payment["status"],
        "amount": payment["amount"],
        "currency": payment["currency"],
        "refunded_amount": payment["refunded_amount"],
        "decline_code": payment["decline_code"],
        # nothing is left to do in a browser: no token asks for a confirmation
        "client_secret": None,
        "metadata": json.loads(payment["metadata"]),
        "created": payment["created"],
    }
