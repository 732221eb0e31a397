"""Rows of old imports: the addresses and names in them are forgotten after 90 days."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.orm import Session

FORGET = text("""
    WITH old AS (
        SELECT r.id
          FROM learner_imports i JOIN learner_import_rows r ON r.import_id = i.id
         WHERE i.finished_at < now() - interval '90 days'
         LIMIT :most
    ), forgotten AS (
        DELETE FROM learner_import_rows r USING old WHERE r.id = old.id
        RETURNING r.id
    )
    SELECT count(*) FROM forgotten
""")


def forget_old_rows(session: Session, *, most: int) -> int:
    """Forget the rows of imports that ended more than 90 days ago, by the database's clock.

    The imports stay, with how many rows became what; so do the enrollments and their history.

    Args:
        session: the organization's session.
        most: how many at once, so that the transaction stays short.

    Returns:
        How many were forgotten; `most` when there may be more.
    """
    return session.execute(FORGET, {"most": most}).scalar_one()
