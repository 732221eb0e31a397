"""Idempotency-Key (IETF draft httpapi-idempotency-key-header): one promise, one effect.

The key's row is inserted first. Where the request is one transaction, a second one with the same
key waits on the unique index and is told 409 after the connection's lock time-out; where it takes
steps, the row carries a lease and the second is told 409 at once. Later it gets the stored
response. Only committed outcomes are stored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString
from uuid import UUID

import orjson
import psycopg
from flask import Request, Response
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from lms.core.errors import ConflictError, DomainError
from lms.core.ids import new_id
from lms.http.bodies import read_body
from tenants.session import PipelinedQuery, first_rows, send_with_commit

LEASE_SECONDS = 30
"""For how long a request in steps keeps others with its key out; a provider's answer takes less.

After it, or after a crash, the next request with the key resumes the same subject.
"""

INSERT_KEY: LiteralString = """
    INSERT INTO idempotency_keys
           (user_id, operation, key, request_hash, subject_id, claimed_until)
    VALUES ($1, $2, $3, $4, $5, clock_timestamp() + make_interval(secs => $6))
    ON CONFLICT DO NOTHING RETURNING subject_id, claimed_until
"""
FIND_KEY = text("""
    SELECT request_hash, status, body, content_type, headers FROM idempotency_keys
     WHERE user_id = :user_id AND operation = :operation AND key = :key
""")
CLAIM_AGAIN = text("""
    UPDATE idempotency_keys
       SET claimed_until = clock_timestamp() + make_interval(secs => :lease_seconds)
     WHERE user_id = :user_id AND operation = :operation AND key = :key
       AND status IS NULL AND claimed_until < clock_timestamp()
    RETURNING subject_id, claimed_until
""")
LET_GO = text("""
    UPDATE idempotency_keys SET claimed_until = clock_timestamp()
     WHERE user_id = :user_id AND operation = :operation AND key = :key AND status IS NULL
       AND claimed_until = :claimed_until
""")
STORE_RESPONSE: LiteralString = """
    UPDATE idempotency_keys
       SET status = $4, body = $5, content_type = $6, headers = $7::jsonb
     WHERE user_id = $1 AND operation = $2 AND key = $3 AND status IS NULL
"""

FIRST_CLAIM = 1
"""Among the queries that a transaction begins with: after the one that finds the actor."""

REPLAYED_HEADERS = ("ETag", "Location", "Retry-After")


class IdempotencyKeyMissingError(DomainError):
    """A request that moves money came without a key."""

    kind = "bad_request"
    code = "idempotency_key_missing"


class IdempotencyKeyReusedError(DomainError):
    """The key was used for another request."""

    kind = "invalid"
    code = "idempotency_key_reused"


class RequestInProgressError(ConflictError):
    """The first request with this key still runs."""

    code = "request_in_progress"


class ReplayedResponse(Exception):
    """Carries the stored response out of the transaction to the edge."""

    def __init__(self, response: Response) -> None:
        super().__init__("replayed")
        self.response = response


@dataclass(slots=True)
class IdempotentRequest:
    """One request under a key.

    Attributes:
        user_id: keys of different users never meet.
        operation: the operation's id.
        key: as the client sent it.
        request_hash: SHA-256 of path, query and body.
        held_until: end of this request's own claim, None before it; tells it from another's.
        stored: whether its answer is kept already.
    """

    user_id: UUID
    operation: str
    key: str
    request_hash: str
    held_until: datetime | None = None
    stored: bool = False

    @classmethod
    def of(cls, request: Request, user_id: UUID, operation: str) -> IdempotentRequest:
        """Read the key of a request.

        Raises:
            IdempotencyKeyMissingError: there is none, or it is longer than 255 characters.
        """
        key = request.headers.get("Idempotency-Key", "")
        if not key or len(key) > 255 or not key.isprintable():
            raise IdempotencyKeyMissingError(
                "Send an Idempotency-Key header (a fresh UUID for each intent, at most 255"
                " characters), so that a repeated request cannot move money twice."
            )
        asked = b"?".join(filter(None, (request.path.encode(), request.query_string)))
        digest = hashlib.sha256(asked + b"\0" + read_body(request))
        return cls(user_id, operation, key, digest.hexdigest())

    def claim(self, session: Session) -> UUID:
        """Insert the key in this transaction, or resume what an unfinished request began.

        Returns:
            The id under which the request's subject (payment, top-up, refund) is made: the same
            for every request with this key.

        Raises:
            ReplayedResponse: the outcome is already known.
            IdempotencyKeyReusedError: the key came with another request before.
            RequestInProgressError: the first request still runs.
        """
        self.held_until = None
        sent_along = first_rows(session)[FIRST_CLAIM:]
        if sent_along:
            claimed = sent_along[0]
        else:
            with conflicts_told():
                query = self.ask()
                found = session.connection().exec_driver_sql(query.sql, tuple(query.values))
                claimed = found.one_or_none()
        if claimed is None:
            claimed = self._resume(session)
        subject_id, self.held_until = claimed
        return subject_id

    def ask(self) -> PipelinedQuery:
        """Return the query that claims the key, for a transaction to begin with after its actor's.

        The first step's `claim` then finds its row there.
        """
        values = (self.user_id, self.operation, self.key, self.request_hash, new_id())
        return PipelinedQuery(INSERT_KEY, (*values, LEASE_SECONDS))

    def _resume(self, session: Session) -> tuple[UUID, datetime]:
        row = session.execute(FIND_KEY, self._where()).one()
        if row.request_hash != self.request_hash:
            raise IdempotencyKeyReusedError(
                "This Idempotency-Key came with another request before; use a fresh one."
            )
        if row.status is not None:
            response = Response(row.body, status=row.status, content_type=row.content_type)
            response.headers.update(row.headers or {})
            response.headers["Idempotency-Replayed"] = "true"
            raise ReplayedResponse(response)
        again = {**self._where(), "lease_seconds": LEASE_SECONDS}
        claimed = session.execute(CLAIM_AGAIN, again).one_or_none()
        if claimed is None:
            raise _in_progress()
        return claimed

    def let_go(self, session: Session) -> None:
        """Let the next request with this key resume at once: this one ended without an outcome."""
        session.execute(LET_GO, {**self._where(), "claimed_until": self.held_until})

    def store(self, session: Session, response: Response) -> None:
        """Keep the response beside its effect; goes with the transaction's COMMIT."""
        kept = {
            name: response.headers[name] for name in REPLAYED_HEADERS if name in response.headers
        }
        values = (self.user_id, self.operation, self.key, response.status_code)
        body, headers = response.get_data(as_text=True), orjson.dumps(kept).decode()
        query = PipelinedQuery(STORE_RESPONSE, (*values, body, response.content_type, headers))
        send_with_commit(session, query)
        self.stored = True

    def _where(self) -> dict[str, object]:
        return {"user_id": self.user_id, "operation": self.operation, "key": self.key}


@contextmanager
def conflicts_told() -> Iterator[None]:
    """Tell a key that another request still holds from other locks that did not come.

    Raises:
        RequestInProgressError: instead of PostgreSQL's lock time-out, where the claim met it.
    """
    try:
        yield
    except OperationalError as error:
        waited = isinstance(error.orig, psycopg.errors.LockNotAvailable)
        if waited and (error.statement or "").startswith(INSERT_KEY):
            raise _in_progress() from error
        raise


def _in_progress() -> RequestInProgressError:
    return RequestInProgressError(
        "The first request with this Idempotency-Key still runs; ask again shortly."
    )
