"""What other rooms ask of enrollments."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.orm import Session

from lms.core.errors import NotFoundError
from lms.enrollments.models import Enrollment
from lms.enrollments.transitions import Change, try_move


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
    change = Change("all_required_lessons_done", actor_id)
    try_move(session, enrollment_id, "completed", change, rules_hash=rules_hash)
    found = session.get(Enrollment, enrollment_id, populate_existing=True)
    if found is None:
        raise NotFoundError("There is no such enrollment.")
    return found
