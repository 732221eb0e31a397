"""The states of an enrollment: the one table of what may become what, and the one way to do it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NoReturn
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from lms.core import queue
from lms.core.errors import NotFoundError
from lms.core.ids import new_id
from lms.enrollments.errors import RunFullError, TransitionNotAllowedError
from lms.enrollments.models import SEATED_STATES, Enrollment

State = Literal[
    "pending",
    "waitlisted",
    "active",
    "completed",
    "withdrawn",
    "suspended",
    "expired",
    "cancelled",
    "transferred",
]

TRANSITIONS: Mapping[str | None, frozenset[State]] = {
    None: frozenset({"pending", "waitlisted", "active"}),
    "pending": frozenset({"active", "waitlisted", "cancelled", "expired"}),
    "waitlisted": frozenset({"pending", "active", "cancelled"}),
    "active": frozenset({"completed", "withdrawn", "suspended", "expired", "transferred"}),
    "suspended": frozenset({"active", "withdrawn"}),
    "expired": frozenset({"active", "waitlisted"}),
    "completed": frozenset({"active"}),
    "withdrawn": frozenset(),
    "cancelled": frozenset(),
    "transferred": frozenset(),
}
"""From each state (None: not there yet) to what it may become."""

STANDS: Mapping[str, str] = {
    "pending": "This enrollment is not active yet",
    "waitlisted": "This enrollment is on the waiting list",
    "active": "This enrollment is active",
    "completed": "This enrollment is completed",
    "withdrawn": "This enrollment has ended: the learner has left the run",
    "suspended": "This enrollment is suspended",
    "expired": "This enrollment has ended: its seat was not taken in time",
    "cancelled": "This enrollment has ended: it was cancelled before it was active",
    "transferred": "This enrollment has ended: the learner went over to another run",
}
BROUGHT: Mapping[State, str] = {
    "pending": "offered a seat",
    "waitlisted": "put on the waiting list",
    "active": "activated",
    "completed": "completed",
    "withdrawn": "withdrawn",
    "suspended": "suspended",
    "expired": "ended",
    "cancelled": "cancelled",
    "transferred": "transferred",
}
"""What a learner is told of states, and of what was to be done."""

ENDED_STATES: tuple[State, ...] = ("withdrawn", "expired", "cancelled", "transferred")

# The lock is the one that the UPDATE takes anyway (foreign keys may still point at the row), taken
# first so that `before` is what a concurrent change left, not what it found.
MOVE = text("""
    WITH before AS (
        SELECT id, state, payment_id, hold_until FROM enrollments
         WHERE id = :id FOR NO KEY UPDATE
    ), moved AS (
        UPDATE enrollments e
           SET state = CAST(:to_state AS text),
               version = e.version + 1,
               awaiting = CAST(:awaiting AS text),
               hold_until = now() + make_interval(secs => CAST(:hold_seconds AS double precision)),
               offered_until = CASE WHEN CAST(:awaiting AS text) = 'offer'
                                    THEN now() + make_interval(
                                         secs => CAST(:hold_seconds AS double precision))
                                    ELSE e.offered_until END,
               waitlisted_at = CASE WHEN CAST(:to_state AS text) = 'waitlisted'
                                    THEN clock_timestamp() ELSE e.waitlisted_at END,
               activated_at = CASE WHEN CAST(:to_state AS text) = 'active'
                                   THEN COALESCE(e.activated_at, now())
                                   ELSE e.activated_at END,
               completed_at = CASE WHEN CAST(:to_state AS text) = 'completed'
                                   THEN COALESCE(e.completed_at, now())
                                   ELSE e.completed_at END,
               completed_rules_hash = COALESCE(e.completed_rules_hash, CAST(:rules_hash AS text)),
               ended_at = CASE WHEN CAST(:to_state AS text) = ANY(:ended_states) THEN now() END
          FROM before
         WHERE e.id = before.id AND before.state = ANY(:from_states)
           AND (NOT CAST(:unpaid AS boolean) OR before.payment_id IS NULL)
           AND (NOT CAST(:overdue AS boolean) OR before.hold_until <= now())
        RETURNING e.id, e.run_id, e.hold_until, before.state AS from_state
    ), seats AS (
        SELECT moved.run_id, moved.from_state,
               (CAST(:to_state AS text) = ANY(:seated_states))::int
               - (moved.from_state = ANY(:seated_states))::int AS change,
               (CAST(:to_state AS text) = 'waitlisted')::int
               - (moved.from_state = 'waitlisted')::int AS waiting
          FROM moved
    ), seated AS (
        UPDATE run_seats
           SET taken = run_seats.taken + seats.change,
               waitlisted = run_seats.waitlisted + seats.waiting
          FROM seats
         WHERE run_seats.run_id = seats.run_id AND (seats.change <> 0 OR seats.waiting <> 0)
           AND (seats.change <= 0 OR run_seats.capacity IS NULL
                OR run_seats.taken + seats.change
                   + CASE WHEN seats.from_state = 'waitlisted' THEN 0
                          ELSE run_seats.waitlisted END <= run_seats.capacity)
        RETURNING run_seats.run_id, run_seats.waitlisted
    ), recorded AS (
        INSERT INTO enrollment_changes (id, enrollment_id, from_state, to_state, actor_id, reason)
        SELECT CAST(:change_id AS uuid), moved.id, moved.from_state, CAST(:to_state AS text),
               CAST(:actor_id AS uuid), CAST(:reason AS text)
          FROM moved
    )
    SELECT moved.run_id, moved.from_state, moved.hold_until, seats.change, seats.waiting,
           seated.run_id IS NOT NULL AS seated, seated.waitlisted
      FROM moved CROSS JOIN seats LEFT JOIN seated ON true
""")


@dataclass(frozen=True, slots=True)
class Change:
    """Why an enrollment changes.

    Attributes:
        reason: a stable word for programs and people, `paid` for example.
        actor_id: who did it; None for the platform itself.
        id: of the row of history; given by requests that may be repeated.
    """

    reason: str
    actor_id: UUID | None = None
    id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Pending:
    """What an enrollment waits for that becomes pending.

    Attributes:
        awaiting: `payment`, `offer` (to be accepted by its learner), `approval` or `invitation`.
        hold_seconds: how long it keeps its seat; None for as long as it takes.
    """

    awaiting: Literal["payment", "offer", "approval", "invitation"]
    hold_seconds: int | None = None


def sources_of(to_state: State) -> list[str]:
    """Return the states that may become `to_state`."""
    return [state for state, targets in TRANSITIONS.items() if state and to_state in targets]


def try_move(
    session: Session,
    enrollment_id: UUID,
    to_state: State,
    change: Change,
    *,
    only_from: State | None = None,
    rules_hash: str | None = None,
    pending: Pending | None = None,
    unpaid: bool = False,
    overdue: bool = False,
) -> bool:
    """Change an enrollment's state, its seat and its history in one statement.

    A seat that comes free while others wait for one is offered to them by work that is asked for
    here; a seat that is offered, or waited for, is nobody else's.

    Args:
        session: the organization's session.
        enrollment_id: which.
        to_state: what it becomes.
        change: who and why.
        only_from: narrower than the table, when the caller means one state.
        rules_hash: of the completion rules, for `completed`.
        pending: what it waits for, for `pending`.
        unpaid: only while it has no payment.
        overdue: only when its hold has run out, by the database's clock.

    Returns:
        Whether it changed; False when it is not in a state that may become `to_state`, or not as
        the caller means it.

    Raises:
        RunFullError: it needs a seat and none is free. The caller must roll back.
    """
    allowed = sources_of(to_state)
    row = session.execute(
        MOVE,
        {
            "id": enrollment_id,
            "to_state": to_state,
            "from_states": [state for state in allowed if only_from in (None, state)],
            "seated_states": list(SEATED_STATES),
            "ended_states": list(ENDED_STATES),
            "rules_hash": rules_hash,
            "unpaid": unpaid,
            "overdue": overdue,
            "awaiting": None if pending is None else pending.awaiting,
            "hold_seconds": None if pending is None else pending.hold_seconds,
            "change_id": change.id or new_id(),
            "actor_id": change.actor_id,
            "reason": change.reason,
        },
    ).one_or_none()
    if row is None:
        return False
    if (row.change or row.waiting) and not row.seated:
        raise RunFullError("Every seat of this run is taken.")
    if row.change < 0 and row.waitlisted:
        queue.enqueue(session, None, queue.OFFER_SEATS, row.run_id)
    if row.hold_until is not None:
        queue.enqueue(session, None, queue.EXPIRE_ENROLLMENT, enrollment_id, due_at=row.hold_until)
    return True


def move(session: Session, enrollment_id: UUID, to_state: State, change: Change) -> None:
    """Change an enrollment's state, or say what it could become.

    Args:
        session: the organization's session.
        enrollment_id: which.
        to_state: what it becomes.
        change: who and why.

    Raises:
        TransitionNotAllowedError: the table does not allow it.
        RunFullError: it needs a seat and none is free.
        NotFoundError: there is no such enrollment.
    """
    if try_move(session, enrollment_id, to_state, change):
        return
    refuse(session, enrollment_id, to_state)


def end(session: Session, enrollment_id: UUID, change: Change) -> bool:
    """End an enrollment that is paid: a seat is withdrawn, a place in the waiting list cancelled.

    Args:
        session: the organization's session.
        enrollment_id: which.
        change: who and why.

    Returns:
        Whether it ended by this: not what was never paid, is completed, or has ended before.
    """
    return try_move(session, enrollment_id, "withdrawn", change) or try_move(
        session, enrollment_id, "cancelled", change, only_from="waitlisted"
    )


def told(state: str, to_state: State) -> str:
    """Say in plain words that an enrollment in one state cannot be brought into another."""
    again = " again" if state == to_state else ""
    return f"{STANDS[state]}; it cannot be {BROUGHT[to_state]}{again}."


def refuse(session: Session, enrollment_id: UUID, to_state: State) -> NoReturn:
    """Say what an enrollment could become instead, as it is now.

    Raises:
        TransitionNotAllowedError: always, when the enrollment is there.
        NotFoundError: there is no such enrollment.
    """
    enrollment = session.get(Enrollment, enrollment_id, populate_existing=True)
    if enrollment is None:
        raise NotFoundError("There is no such enrollment.")
    state = enrollment.state
    raise TransitionNotAllowedError(
        told(state, to_state),
        state=state,
        requested=to_state,
        allowed=sorted(TRANSITIONS.get(state, ())),
    )
