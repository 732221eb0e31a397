"""Claiming rows of `platform.work`: compare-and-set with a lease and a growing fence.

Every function runs inside the organization's transaction that carries the domain's own effect, so
both commit or neither does. Times are PostgreSQL's, so that machines need not agree. Row-level
security lets an organization's role see its own rows only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from sqlalchemy import TextClause, text
from sqlalchemy.orm import Session

MAX_CLAIMS = 25
"""A job claimed more often than this takes its workers down with it: given up."""

BACKOFF_SECONDS = (5, 30, 120)
"""Pauses before the second, third and fourth attempt."""

MAX_ERROR_LENGTH = 2_000

CLAIM = text("""
    UPDATE platform.work
       SET state = 'running', fence = fence + 1, claims = claims + 1, error = NULL,
           lease_until = clock_timestamp() + make_interval(secs => :lease_seconds)
     WHERE id = :id
       AND (state = 'waiting' AND due_at <= clock_timestamp()
            OR state = 'running' AND lease_until < clock_timestamp())
    RETURNING kind, subject_id, queue, fence, claims, attempts, max_attempts
""")
RENEW = text("""
    UPDATE platform.work
       SET lease_until = clock_timestamp() + make_interval(secs => :lease_seconds)
     WHERE id = :id AND fence = :fence AND state = 'running'
    RETURNING id
""")
FINISH = text("""
    UPDATE platform.work
       SET state = 'done', lease_until = NULL, finished_at = clock_timestamp()
     WHERE id = :id AND fence = :fence AND state = 'running'
    RETURNING id
""")
RETRY = text("""
    UPDATE platform.work
       SET state = 'waiting', lease_until = NULL, handed_out_at = NULL, error = :error,
           attempts = attempts + 1,
           due_at = clock_timestamp() + make_interval(secs => :pause_seconds)
     WHERE id = :id AND fence = :fence AND state = 'running'
    RETURNING id
""")
BURY = text("""
    UPDATE platform.work
       SET state = 'failed', lease_until = NULL, error = :error, attempts = attempts + 1,
           finished_at = clock_timestamp()
     WHERE id = :id AND fence = :fence AND state = 'running'
    RETURNING id
""")
GIVE_BACK = text("""
    UPDATE platform.work
       SET state = 'waiting', lease_until = NULL, handed_out_at = NULL,
           due_at = clock_timestamp() + make_interval(secs => :pause_seconds)
     WHERE id = :id AND fence = :fence AND state = 'running'
    RETURNING id
""")


class LostLeaseError(Exception):
    """Somebody else holds the claim by now, or the work has ended: whatever we made is void."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's hold on one row of work.

    Attributes:
        work_id: the row.
        organization_id: whose work it is.
        kind: what is to be done (`lms.core.queue`).
        subject_id: id of the row that the work is about.
        queue: `media` or `default`.
        fence: number of this claim; larger than that of every earlier one.
        claims: how often it was claimed since a person (re)started it, this time included.
        attempts: how often the work has failed before.
        max_attempts: how often it may fail before it is given up.
        lease_seconds: how long the hold lasts without a renewal.
    """

    work_id: UUID
    organization_id: UUID
    kind: str
    subject_id: UUID
    queue: str
    fence: int
    claims: int
    attempts: int
    max_attempts: int
    lease_seconds: float


def claim(
    session: Session, organization_id: UUID, work_id: UUID, *, lease_seconds: float
) -> Claim | None:
    """Take hold of a row that waits and is due, or whose lease has run out.

    Args:
        session: the organization's.
        organization_id: whose work it is.
        work_id: the row.
        lease_seconds: how long the hold lasts without a renewal.

    Returns:
        The claim, or None when another worker was faster or nothing is left to do.
    """
    row = session.execute(CLAIM, {"id": work_id, "lease_seconds": lease_seconds}).first()
    if row is None:
        return None
    return Claim(
        work_id=work_id,
        organization_id=organization_id,
        kind=row.kind,
        subject_id=row.subject_id,
        queue=row.queue,
        fence=row.fence,
        claims=row.claims,
        attempts=row.attempts,
        max_attempts=row.max_attempts,
        lease_seconds=lease_seconds,
    )


def renew(session: Session, held: Claim) -> None:
    """Prolong the lease. The row stays locked, so what follows in this transaction is fenced.

    Raises:
        LostLeaseError: the claim is not ours any more.
    """
    _change(session, RENEW, held, lease_seconds=held.lease_seconds)


def finish(session: Session, held: Claim) -> None:
    """Mark the work done, in the transaction of its effect.

    Raises:
        LostLeaseError: the claim is not ours any more; the caller's effect must roll back.
    """
    _change(session, FINISH, held)


def fail(session: Session, held: Claim, error: str) -> Literal["waiting", "failed"]:
    """Put failed work back to be tried again after a pause, or give it up after the last attempt.

    Args:
        session: the organization's.
        held: our claim.
        error: for operators; cut to a bounded length.

    Returns:
        `waiting` when it will be tried again, `failed` when it was given up: a dead letter that an
        admin may revive by asking for the work anew.

    Raises:
        LostLeaseError: the claim is not ours any more.
    """
    last = held.attempts + 1 >= held.max_attempts or held.claims > MAX_CLAIMS
    if last:
        bury(session, held, error)
        return "failed"
    pause = BACKOFF_SECONDS[min(held.attempts, len(BACKOFF_SECONDS) - 1)]
    _change(session, RETRY, held, error=error[:MAX_ERROR_LENGTH], pause_seconds=pause)
    return "waiting"


def bury(session: Session, held: Claim, error: str) -> None:
    """Give the work up for good.

    Raises:
        LostLeaseError: the claim is not ours any more.
    """
    _change(session, BURY, held, error=error[:MAX_ERROR_LENGTH])


def give_back(session: Session, held: Claim, *, pause_seconds: float = 0) -> None:
    """Let another worker have it, without counting a failure.

    Args:
        session: the organization's.
        held: our claim.
        pause_seconds: before anybody may have it.

    Raises:
        LostLeaseError: the claim is not ours any more.
    """
    _change(session, GIVE_BACK, held, pause_seconds=pause_seconds)


def _change(session: Session, statement: TextClause, held: Claim, **values: object) -> None:
    found = session.execute(statement, {"id": held.work_id, "fence": held.fence, **values}).scalar()
    if found is None:
        raise LostLeaseError(f"claim {held.fence} of work {held.work_id} is not ours any more")
