"""Reads of waiting lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from lms.core.actor import Actor
from lms.courses import run_queries
from lms.courses.models import RunSeats
from lms.enrollments import queries
from lms.enrollments.models import Enrollment
from lms.users.models import User

FIND_PLACE = text("""
    SELECT CASE WHEN e.state = 'waitlisted' THEN
                (SELECT count(*) FROM enrollments o
                  WHERE o.run_id = e.run_id AND o.state = 'waitlisted'
                    AND (o.waitlisted_at, o.id) <= (e.waitlisted_at, e.id)) END AS position,
           s.waitlisted, offers.seats_offered, offers.next_offer_ends_at
      FROM enrollments e
      JOIN run_seats s ON s.run_id = e.run_id
     CROSS JOIN LATERAL (
           SELECT count(*) AS seats_offered, min(o.hold_until) AS next_offer_ends_at
             FROM enrollments o
            WHERE o.run_id = e.run_id AND o.state = 'pending' AND o.awaiting = 'offer'
              AND o.hold_until > now() AND o.id <> e.id) AS offers
     WHERE e.id = :id
""")


@dataclass(frozen=True, slots=True)
class Place:
    """Where an enrollment stands in its run's waiting list.

    Attributes:
        position: 1 is next; None when it does not wait for a seat.
        waitlisted: how many do.
        seats_offered: seats that others may still accept.
        next_offer_ends_at: when the first of these offers lapses, UTC; None without one.
    """

    enrollment_id: UUID
    run_id: UUID
    state: str
    position: int | None
    waitlisted: int
    seats_offered: int
    next_offer_ends_at: datetime | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """Somebody who waits, as staff see them; position 1 is next."""

    position: int
    learner_name: str
    enrollment: Enrollment


@dataclass(frozen=True, slots=True)
class Waitlist:
    """How many wait for a seat, and some of them in their order."""

    waitlisted: int
    items: Sequence[Waiting]


def place_of(session: Session, actor: Actor, enrollment_id: UUID) -> Place:
    """Return where an enrollment stands: the actor's own, of a run they teach, or for admins.

    Raises:
        NotFoundError: there is none that the actor may know of.
    """
    enrollment = queries.enrollment(session, actor, enrollment_id)
    found = session.execute(FIND_PLACE, {"id": enrollment_id}).one()
    return Place(enrollment_id, enrollment.run_id, enrollment.state, *found)


def waitlist_of(
    session: Session, actor: Actor, run_id: UUID, *, from_position: int, limit: int
) -> Waitlist:
    """Return who waits for a seat of a run, for those who teach it and admins.

    Args:
        session: the organization's session.
        actor: who asks.
        run_id: for whose seats.
        from_position: of the first to return; 1 is next.
        limit: most to return.

    Raises:
        NotFoundError: the actor teaches no course with this run.
    """
    run_queries.taught_run(session, actor, run_id)
    waitlisted = session.scalars(select(RunSeats.waitlisted).where(RunSeats.run_id == run_id)).one()
    query = (
        select(Enrollment, User.name)
        .join(User, User.id == Enrollment.user_id)
        .where(Enrollment.run_id == run_id, Enrollment.state == "waitlisted")
        .order_by(Enrollment.waitlisted_at, Enrollment.id)
        .offset(from_position - 1)
        .limit(limit)
    )
    rows = enumerate(session.execute(query), start=from_position)
    return Waitlist(waitlisted, [Waiting(position, row[1], row[0]) for position, row in rows])
