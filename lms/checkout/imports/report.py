"""The report of an import: its rows that say nothing yet, and what is written into them."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from lms.checkout.imports.checking import Acceptance, PendingRow, RowRefusal
from lms.checkout.imports.models import LearnerImport, LearnerImportRow

NORMALISE = text("""
    UPDATE learner_import_rows r
       SET email = good.email
      FROM unnest(CAST(:ids AS uuid[]), CAST(:emails AS text[])) AS good (id, email)
     WHERE r.id = good.id AND r.email <> good.email
""")
REFUSE = text("""
    UPDATE learner_import_rows r
       SET outcome = 'refused', code = refused.code, message = refused.message
      FROM unnest(CAST(:ids AS uuid[]), CAST(:codes AS text[]), CAST(:messages AS text[]))
           AS refused (id, code, message)
     WHERE r.id = refused.id AND r.outcome = 'pending'
""")
ACCEPT = text("""
    UPDATE learner_import_rows r
       SET outcome = CASE WHEN done.has_joined THEN 'enrolled' ELSE 'invited' END,
           user_id = done.user_id, enrollment_id = done.enrollment_id
      FROM unnest(CAST(:ids AS uuid[]), CAST(:joined AS boolean[]), CAST(:user_ids AS uuid[]),
                  CAST(:enrollment_ids AS uuid[]))
           AS done (id, has_joined, user_id, enrollment_id)
     WHERE r.id = done.id AND r.outcome = 'pending'
""")


def pending_rows(
    session: Session, importing: LearnerImport, *, after: UUID | None, most: int
) -> list[PendingRow]:
    """Return the next rows that nothing was decided of, in the file's order.

    Args:
        session: the organization's session.
        importing: whose.
        after: id of the row after which to go on; None to begin with.
        most: how many at most.
    """
    query = select(
        LearnerImportRow.id, LearnerImportRow.line, LearnerImportRow.email, LearnerImportRow.name
    ).where(LearnerImportRow.import_id == importing.id, LearnerImportRow.outcome == "pending")
    if after is not None:
        query = query.where(LearnerImportRow.id > after)
    rows = session.execute(query.order_by(LearnerImportRow.id).limit(most))
    return [PendingRow(*row) for row in rows]


def normalise(session: Session, rows: Sequence[PendingRow]) -> None:
    """Write addresses into rows as accounts have them."""
    values = {"ids": [row.id for row in rows], "emails": [row.email for row in rows]}
    session.execute(NORMALISE, values)


def refuse(session: Session, importing: LearnerImport, refused: Sequence[RowRefusal]) -> None:
    """Write into rows why they are not done, and count them."""
    values = {
        "ids": [one.row.id for one in refused],
        "codes": [one.code for one in refused],
        "messages": [one.message for one in refused],
    }
    session.execute(REFUSE, values)
    importing.refused += len(refused)


def accept(
    session: Session,
    importing: LearnerImport,
    accepted: Sequence[Acceptance],
    enrollment_ids: Sequence[UUID] | None = None,
) -> None:
    """Mark rows as done, and count them.

    Args:
        session: the organization's session.
        importing: whose rows.
        accepted: which.
        enrollment_ids: of each; None of a dry run, which names no account either.
    """
    values = {
        "ids": [one.row.id for one in accepted],
        "joined": [one.has_joined for one in accepted],
        "user_ids": [one.user_id if enrollment_ids else None for one in accepted],
        "enrollment_ids": enrollment_ids or [None] * len(accepted),
    }
    session.execute(ACCEPT, values)
    joined = sum(one.has_joined for one in accepted)
    importing.enrolled += joined
    importing.invited += len(accepted) - joined
