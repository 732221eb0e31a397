"""Idempotency-Keys whose promise has ended: forgotten after 30 days."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.orm import Session

# A request without an answer is seen through by the sweeper, however long the provider takes: while
# its subject is open (as `settlement.is_open` says) the key still resumes it, and never begins
# another one beside it. One that runs just now is left alone too.
FORGET = text("""
    WITH old AS (
        SELECT k.user_id, k.operation, k.key
          FROM idempotency_keys k
         WHERE k.created_at < now() - interval '30 days'
           AND (k.status IS NOT NULL
                OR (k.claimed_until < now()
                    AND NOT EXISTS (SELECT FROM provider_attempts a
                                     WHERE a.subject_id = k.subject_id
                                       AND a.outcome IN ('unknown', 'pending'))
                    AND NOT EXISTS (SELECT FROM refunds r
                                     WHERE r.id = k.subject_id
                                       AND r.state IN ('created', 'pending'))))
         LIMIT :most
           FOR UPDATE OF k SKIP LOCKED
    ), forgotten AS (
        DELETE FROM idempotency_keys k
         USING old
         WHERE (k.user_id, k.operation, k.key) = (old.user_id, old.operation, old.key)
        RETURNING k.key
    )
    SELECT count(*) FROM forgotten
""")


def forget_old_keys(session: Session, *, most: int) -> int:
    """Forget keys older than 30 days with their stored answers, by the database's clock.

    What the requests did stays unique for ever; only the answers are not repeated any more.

    Args:
        session: the organization's session.
        most: how many at once, so that the transaction stays short.

    Returns:
        How many were forgotten; `most` when there may be more.
    """
    return session.execute(FORGET, {"most": most}).scalar_one()
