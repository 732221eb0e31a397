"""What the sandbox server answers, and that it answers a repeated request the same."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lms.payments.providers.sandbox_file import SandboxFile


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer: its status, its JSON body, and whether an earlier request got it first."""

    status: int
    body: dict[str, Any]
    replayed: bool = False


def refusal(status: int, code: str, message: str) -> Answer:
    """The answer to a request that is not carried out."""
    return Answer(status, {"error": {"code": code, "message": message}})


def once(
    file: SandboxFile,
    account: str,
    key: str,
    request: list[Any],
    decide: Callable[[sqlite3.Connection], Answer],
) -> Answer:
    """Decide a request, or repeat what was answered to the same request before.

    Args:
        file: Where the state is.
        account: Whose key it is.
        key: The idempotency key.
        request: What is asked for, ready for JSON.
        decide: Carries it out in a transaction, and answers.

    Returns:
        The answer; 409 for a key that came with another request before.
    """
    digest = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
    with file.transaction() as db:
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
