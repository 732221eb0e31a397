"""The webhooks that the sandbox server has yet to send."""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lms.payments.providers.sandbox_file import SandboxFile

RETRY_SECONDS = (0.5, 1, 2, 5, 10, 30, 60, 60, 120, 300, 600, 1800, 3600)
"""How long to wait after each failed delivery of a webhook; after the last it is given up."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A webhook that is due: the event's id, where to post it, and the exact bytes."""

    event_id: str
    url: str
    body: bytes


def announce(
    db: sqlite3.Connection,
    url: str,
    kind: str,
    body: Mapping[str, Any],
    *,
    deliveries: int = 1,
    age: int = 0,
) -> None:
    """Have an event sent, once this transaction is committed.

    Args:
        db: The transaction that makes the change.
        url: Where to post it; empty for one who asked for no news.
        kind: The event's type.
        body: The event's account and data.
        deliveries: How many times it is sent.
        age: How many seconds ago it happened.
    """
    if not url:
        return
    now = time.time()
    event = {"id": f"evt_{secrets.token_hex(12)}", "type": kind, "created": int(now) - age, **body}
    db.execute(
        "INSERT INTO events (id, url, body, deliveries_left, due_at) VALUES (?, ?, ?, ?, ?)",
        (event["id"], url, json.dumps(event), deliveries, now),
    )


class Outbox:
    """What is to be sent, and what became of it. Safe to share between threads.

    Args:
        file: Where the state is.
    """

    def __init__(self, file: SandboxFile) -> None:
        self._file = file

    def next_delivery(self) -> Delivery | None:
        """The webhook that has been due longest, if any is due."""
        with self._file.transaction() as db:
            row = db.execute(
                "SELECT id, url, body FROM events WHERE due_at <= ? ORDER BY due_at, rowid LIMIT 1",
                (time.time(),),
            ).fetchone()
        return None if row is None else Delivery(row["id"], row["url"], row["body"].encode())

    def delivered(self, event_id: str) -> None:
        """Record that a webhook arrived; it is sent again when its token asks for more."""
        with self._file.transaction() as db:
            db.execute(
                "UPDATE events SET deliveries_left = deliveries_left - 1,"
                " due_at = CASE WHEN deliveries_left > 1 THEN due_at END WHERE id = ?",
                (event_id,),
            )

    def not_delivered(self, event_id: str) -> float | None:
        """Record that a webhook did not arrive.

        Returns:
            Seconds until it is tried again, or None when it is given up.
        """
        with self._file.transaction() as db:
            (failures,) = db.execute(
                "SELECT failures FROM events WHERE id = ?", (event_id,)
            ).fetchone()
            pause = RETRY_SECONDS[failures] if failures < len(RETRY_SECONDS) else None
            due_at = None if pause is None else time.time() + pause
            db.execute(
                "UPDATE events SET failures = failures + 1, due_at = ? WHERE id = ?",
                (due_at, event_id),
            )
        return pause

    def next_due(self) -> float | None:
        """When the next webhook is due, in Unix seconds, or None without any."""
        with self._file.transaction() as db:
            (due_at,) = db.execute(
                "SELECT min(due_at) FROM events WHERE due_at IS NOT NULL"
            ).fetchone()
        return due_at
