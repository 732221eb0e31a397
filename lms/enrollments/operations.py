"""What other rooms ask of enrollments."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from lms.core.errors import NotFoundError
from lms.core.ids import new_id
from lms.enrollments.models import Enrollment
from lms.enrollments.transitions import Change, try_move

ALL_DONE = "all_required_lessons_done"

# What `transitions.MOVE` does for one; completing changes no seat.
COMPLETE_ALL = text("""
    WITH completed AS (
        UPDATE enrollments
           SET state = 'completed', version = version + 1,
               completed_at = COALESCE(completed_at, now()),
               completed_rules_hash = COALESCE(completed_rules_hash, CAST(:rules_hash AS text))
          FROM unnest(CAST(:ids AS uuid[]), CAST(:change_ids AS uuid[])) AS due (id, change_id)
         WHERE enrollments.id = due.id AND enrollments.state = 'active'
        RETURNING enrollments.id, due.change_id
    )
    INSERT INTO enrollment_changes (id, enrollment_id, from_state, to_state, actor_id, reason)
    SELECT completed.change_id, completed.id, 'active', 'completed', CAST(:actor_id AS uuid),
           CAST(:reason AS text)
      FROM completed
""")


def complete(
    session: Session, enrollment_id: UUID, *, rules_hash: str, actor_id: UUID | None = None
) -> Enrollment:
    """Complete an active enrollment, once; completing again never changes the date.

    Args:
        session: the organization's session.
        enrollment_id: which.
        rules_hash: of the version's completion rules, kept with the date.
        actor_id: whose step completed it; None for the platform itself.

    Returns:
        The enrollment as it is now: completed by this call or before, or as it was when it is
        neither active nor completed.

    Raises:
        NotFoundError: there is no such enrollment.
    """
    change = Change(ALL_DONE, actor_id)
    try_move(session, enrollment_id, "completed", change, rules_hash=rules_hash)
    found = session.get(Enrollment, enrollment_id, populate_existing=True)
    if found is None:
        raise NotFoundError("There is no such enrollment.")
    return found


def complete_all(
    session: Session, enrollment_ids: Sequence[UUID], *, rules_hash: str, actor_id: UUID
) -> None:
    """Complete those of many enrollments that are active, with one statement.

    Args:
        session: the organization's session, in which they are held.
        enrollment_ids: which.
        rules_hash: of their version's completion rules, kept with the date.
        actor_id: whose step completed them.
    """
    session.execute(
        COMPLETE_ALL,
        {
            "ids": list(enrollment_ids),
            "change_ids": [new_id() for _ in enrollment_ids],
            "rules_hash": rules_hash,
            "actor_id": actor_id,
            "reason": ALL_DONE,
        },
    )
