"""Enrolling many at once whom staff put into a run: what `granting.grant_seat` does for one.

Locks are taken in the order of every purchase: the run, which the caller holds, payments,
enrollments, seats. Accounts come before all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from lms.checkout.imports import report
from lms.checkout.imports.checking import Acceptance
from lms.checkout.imports.models import LearnerImport
from lms.core import audit
from lms.core.ids import new_id
from lms.users.operations import create_students

ROWS_A_STATEMENT = 1000
"""Of all or nothing, so that none comes near the time that PostgreSQL gives a statement."""

# As `enroll_statement.GRANT_SEAT` does for one. Who has not joined has nothing to pay for yet. In
# the order that is given, so that two imports of the same people wait for each other in one order.
ENROLL = text("""
    WITH due AS (
        SELECT *
          FROM unnest(CAST(:user_ids AS uuid[]), CAST(:payment_ids AS uuid[]),
                      CAST(:enrollment_ids AS uuid[]), CAST(:change_ids AS uuid[]),
                      CAST(:joined AS boolean[])) WITH ORDINALITY
               AS due (user_id, payment_id, enrollment_id, change_id, has_joined, place)
    ), payment AS (
        INSERT INTO payments
               (id, user_id, run_id, amount, currency, method, state, succeeded_at, refund_policy)
        SELECT due.payment_id, due.user_id, r.id, 0, r.currency, 'free', 'succeeded', now(),
               r.refund_policy
          FROM due JOIN course_runs r ON r.id = :run_id
         WHERE due.has_joined
         ORDER BY due.place
            ON CONFLICT DO NOTHING
        RETURNING id
    ), enrolled AS (
        INSERT INTO enrollments
               (id, user_id, run_id, version_id, payment_id, attempt, state, awaiting,
                activated_at)
        SELECT due.enrollment_id, due.user_id, r.id, r.version_id, payment.id,
               (SELECT COALESCE(max(e.attempt), 0) + 1 FROM enrollments e
                 WHERE e.user_id = due.user_id AND e.run_id = r.id),
               CASE WHEN due.has_joined THEN 'active' ELSE 'pending' END,
               CASE WHEN NOT due.has_joined THEN 'invitation' END,
               CASE WHEN due.has_joined THEN now() END
          FROM due JOIN course_runs r ON r.id = :run_id
          LEFT JOIN payment ON payment.id = due.payment_id
         WHERE payment.id IS NOT NULL OR NOT due.has_joined
         ORDER BY due.place
            ON CONFLICT DO NOTHING
        RETURNING id, state
    ), recorded AS (
        INSERT INTO enrollment_changes (id, enrollment_id, from_state, to_state, actor_id, reason)
        SELECT due.change_id, enrolled.id, NULL, enrolled.state, CAST(:actor_id AS uuid),
               CASE enrolled.state WHEN 'active' THEN 'granted' ELSE 'awaiting_invitation' END
          FROM enrolled JOIN due ON due.enrollment_id = enrolled.id
    )
    SELECT count(*) FROM enrolled
""")
TAKE_SEATS = text("""
    UPDATE run_seats SET taken = taken + :seats
     WHERE run_id = :run_id AND (capacity IS NULL OR taken + waitlisted + :seats <= capacity)
    RETURNING taken
""")


class OvertakenError(Exception):
    """Somebody enrolled or took a seat since it was looked at: roll back, and look again."""


def enroll_all(session: Session, importing: LearnerImport, accepted: Sequence[Acceptance]) -> None:
    """Give all of them their seats, with history and audit log, and say so in their rows.

    Args:
        session: the organization's session, in which their run and accounts are held; must roll
            back when this raises.
        importing: whose rows.
        accepted: whom; accounts that are missing are made.

    Raises:
        OvertakenError: somebody enrolled, got an account or took a seat meanwhile.
    """
    if not accepted:
        return
    chunks = list(_chunks(sorted(accepted, key=lambda one: one.row.email)))
    # All accounts first: between enrollments, whoever waits for an account that another import
    # makes would hold what that one waits for.
    for chunk in [_with_accounts(session, importing, one) for one in chunks]:
        _enroll_some(session, importing, chunk)
    # Last, because everybody who enrolls in the run waits from here on until the commit.
    values = {"run_id": importing.run_id, "seats": len(accepted)}
    if session.execute(TAKE_SEATS, values).one_or_none() is None:
        raise OvertakenError("somebody else took a seat")


def _chunks(accepted: Sequence[Acceptance]) -> Iterator[Sequence[Acceptance]]:
    for start in range(0, len(accepted), ROWS_A_STATEMENT):
        yield accepted[start : start + ROWS_A_STATEMENT]


def _enroll_some(
    session: Session, importing: LearnerImport, accepted: Sequence[Acceptance]
) -> None:
    enrollment_ids = [new_id() for _ in accepted]
    enrolled = session.execute(
        ENROLL,
        {
            "run_id": importing.run_id,
            "actor_id": importing.created_by,
            "user_ids": [one.user_id for one in accepted],
            "joined": [one.has_joined for one in accepted],
            "enrollment_ids": enrollment_ids,
            "payment_ids": [new_id() for _ in accepted],
            "change_ids": [new_id() for _ in accepted],
        },
    ).scalar_one()
    if enrolled != len(accepted):
        raise OvertakenError("somebody enrolled by themselves")
    for one, enrollment_id in zip(accepted, enrollment_ids, strict=True):
        audit.record(
            session,
            "enrollment.grant",
            ("enrollment", enrollment_id),
            actor_id=importing.created_by,
            after={
                "run_id": str(importing.run_id),
                "user_id": str(one.user_id),
                "reason": importing.reason,
                "learner_import_id": str(importing.id),
            },
        )
    report.accept(session, importing, accepted, enrollment_ids)


def _with_accounts(
    session: Session, importing: LearnerImport, accepted: Sequence[Acceptance]
) -> list[Acceptance]:
    """Make the accounts that are missing."""
    missing = {one.row.email: one.row.name for one in accepted if one.user_id is None}
    made: Mapping[str, UUID] = {}
    if missing:
        made = create_students(session, importing.created_by, missing)
    if len(made) != len(missing):
        raise OvertakenError("somebody else has just made an account")
    return [
        one if one.user_id else Acceptance(one.row, made[one.row.email], one.has_joined)
        for one in accepted
    ]
