"""The sandbox server's memory: one SQLite file, changed in transactions.

A payment, the answer kept for its idempotency key and the webhook that reports it exist together
or not at all, whenever the process dies.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

_LOCK_SECONDS = 30

_SCHEMA = """
CREATE TABLE IF NOT EXISTS payments (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending', 'succeeded', 'failed')),
    amount INTEGER NOT NULL CHECK (amount > 0),
    currency TEXT NOT NULL,
    refunded_amount INTEGER NOT NULL DEFAULT 0 CHECK (refunded_amount BETWEEN 0 AND amount),
    decline_code TEXT,
    metadata TEXT NOT NULL,
    created INTEGER NOT NULL,
    webhook_url TEXT NOT NULL,
    settles_at REAL,
    refund_status TEXT NOT NULL DEFAULT 'succeeded',
    client_secret TEXT,
    canceled INTEGER NOT NULL DEFAULT 0,
    afterwards TEXT
);
CREATE INDEX IF NOT EXISTS payments_unsettled ON payments (settles_at)
    WHERE settles_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS refunds (
    id TEXT PRIMARY KEY,
    payment_id TEXT NOT NULL REFERENCES payments (id),
    amount INTEGER NOT NULL CHECK (amount > 0),
    status TEXT NOT NULL DEFAULT 'succeeded',
    settles_at REAL,
    metadata TEXT NOT NULL DEFAULT '{}'
);
CREATE TABLE IF NOT EXISTS disputes (
    id TEXT PRIMARY KEY,
    payment_id TEXT NOT NULL REFERENCES payments (id),
    amount INTEGER NOT NULL CHECK (amount > 0),
    reason TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('needs_response', 'under_review', 'won', 'lost')),
    evidence_due_at INTEGER NOT NULL,
    created INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS answers (
    account TEXT NOT NULL,
    key TEXT NOT NULL,
    request TEXT NOT NULL,
    status INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (account, key)
);
CREATE TABLE IF NOT EXISTS events (
    id TEXT PRIMARY KEY,
    url TEXT NOT NULL,
    body TEXT NOT NULL,
    deliveries_left INTEGER NOT NULL,
    failures INTEGER NOT NULL DEFAULT 0,
    due_at REAL
);
CREATE INDEX IF NOT EXISTS events_due ON events (due_at) WHERE due_at IS NOT NULL;
"""


_LATER_COLUMNS = (
    ("payments", "refund_status", "TEXT NOT NULL DEFAULT 'succeeded'"),
    ("refunds", "status", "TEXT NOT NULL DEFAULT 'succeeded'"),
    ("refunds", "settles_at", "REAL"),
    ("payments", "client_secret", "TEXT"),
    ("payments", "canceled", "INTEGER NOT NULL DEFAULT 0"),
    ("payments", "afterwards", "TEXT"),
    ("refunds", "metadata", "TEXT NOT NULL DEFAULT '{}'"),
)
"""What files of earlier versions do not have yet."""


class SandboxFile:
    """A SQLite file with the sandbox's tables. Safe to share between threads.

    Args:
        path: The file; made when it does not exist.

    Raises:
        sqlite3.Error: The file cannot be opened or is not a database.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with closing(sqlite3.connect(path)) as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.executescript(_SCHEMA)
            for table, column, kind in _LATER_COLUMNS:
                known = {row[1] for row in db.execute(f"PRAGMA table_info({table})")}
                if column not in known:
                    db.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Everything inside happens, or nothing; one transaction runs at a time.

        Raises:
            sqlite3.Error: The file is unusable, or was locked for too long.
        """
        connect = sqlite3.connect(self._path, timeout=_LOCK_SECONDS, isolation_level=None)
        with closing(connect) as db:
            db.row_factory = sqlite3.Row
            with db:
                # writers queue here, so what is read below cannot change before it is written
                db.execute("BEGIN IMMEDIATE")
                yield db
