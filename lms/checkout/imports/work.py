"""Working off an import, in steps of one transaction each that may be killed and repeated.

At first all rows are looked at, and nothing is done. Then they are done in the file's order: those
of a partial import some at a time, those of all or nothing in one transaction. What is done for a
row and what the row says of it commit together, so no row is done twice. Locks are taken in the
order of every purchase: run, payments, enrollments, seats.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from lms.checkout import holds
from lms.checkout.imports.checking import (
    ENROLLMENT_CLOSED,
    Acceptance,
    Judgement,
    PendingRow,
    RowRefusal,
    check_addresses,
    judge,
    seats_left,
)
from lms.checkout.imports.files import MAX_ROWS
from lms.checkout.imports.models import GAVE_UP, ROWS_REFUSED, LearnerImport, LearnerImportRow
from lms.core import audit
from lms.core.ids import new_id
from lms.users.operations import create_students

ROWS_AT_ONCE = 200
"""Of a partial import, so that others wait for no more than that, and its progress is seen."""

ROWS_A_STATEMENT = 1000
"""Of all or nothing, so that none comes near the time that PostgreSQL gives a statement."""

BEGIN = text("""
    UPDATE learner_imports
       SET state = 'running', failure = NULL, finished_at = NULL,
           started_at = COALESCE(started_at, now())
     WHERE id = :id AND (state IN ('queued', 'running') OR failure = 'gave_up')
    RETURNING run_id
""")
HOLD_RUN = text("""
    SELECT r.state = 'scheduled'
           AND now() >= r.enrollment_opens_at AND now() < r.enrollment_closes_at AS is_open,
           r.price_amount
      FROM course_runs r
     WHERE r.id = :run_id
       FOR SHARE
""")

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


class OvertakenError(Exception):
    """Somebody enrolled or took a seat since it was looked at: roll back, and look again."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one step did.

    Attributes:
        finished: there is nothing left to do.
        last_id: of the last row that was looked at; where the next step goes on.
    """

    finished: bool
    last_id: UUID | None = None


def begin(session: Session, import_id: UUID) -> bool:
    """Take an import up, also one that was given up and is asked for anew.

    Returns:
        Whether there is something to do; False when it has ended.
    """
    return session.execute(BEGIN, {"id": import_id}).one_or_none() is not None


def make_room(session: Session, import_id: UUID) -> None:
    """Give back the run's unpaid seats whose hold has run out; a transaction of its own."""
    importing = session.get_one(LearnerImport, import_id)
    holds.make_room(session, importing.run_id)


def check(session: Session, import_id: UUID) -> Step:
    """Look at all rows, once, and do nothing but say what is wrong with them.

    A dry run ends here, and so does all or nothing with a row that is refused.
    """
    importing = session.get_one(LearnerImport, import_id)
    if importing.checked_at is not None:
        return Step(finished=False)
    rows, wrong = check_addresses(_pending(session, importing, after=None, most=MAX_ROWS))
    values = {"ids": [row.id for row in rows], "emails": [row.email for row in rows]}
    session.execute(NORMALISE, values)
    judgement = _judge(session, importing, rows, hold=False)
    if importing.dry_run or importing.mode == "all_or_nothing":
        judgement = judgement.cut_to(seats_left(session, importing.run_id))
    _refuse(session, importing, [*wrong, *judgement.refused])
    importing.checked_at = _now(session)
    if importing.mode == "all_or_nothing" and importing.refused:
        _finish(session, importing, failure=ROWS_REFUSED)
        return Step(finished=True)
    if importing.dry_run:
        _accept(session, importing, judgement.accepted)
        _finish(session, importing)
    session.flush()
    return Step(finished=importing.dry_run)


def enroll(session: Session, import_id: UUID, *, after: UUID | None, most: int) -> Step:
    """Do the next rows, as a seat that staff grant: all of them, or none of this step.

    Args:
        session: the organization's session; must roll back when this raises.
        import_id: which.
        after: `last_id` of the step before; None to begin with.
        most: rows at most; of all or nothing, all.

    Raises:
        OvertakenError: things changed meanwhile.
    """
    importing = session.get_one(LearnerImport, import_id)
    is_whole = importing.mode == "all_or_nothing"
    most = MAX_ROWS if is_whole else most
    rows = _pending(session, importing, after=after, most=most)
    judgement = _judge(session, importing, rows, hold=True)
    judgement = judgement.cut_to(seats_left(session, importing.run_id))
    _refuse(session, importing, judgement.refused)
    if is_whole and judgement.refused:
        _finish(session, importing, failure=ROWS_REFUSED)
        return Step(finished=True)
    _enroll(session, importing, judgement.accepted)
    is_last = len(rows) < most or is_whole
    if is_last:
        _finish(session, importing)
    session.flush()
    return Step(is_last, rows[-1].id if rows else after)


def give_up(session: Session, import_id: UUID) -> None:
    """Say that the work failed too often; asked for anew, it goes on where it was."""
    importing = session.get_one(LearnerImport, import_id)
    if importing.finished_at is None:
        _finish(session, importing, failure=GAVE_UP)


def _judge(
    session: Session, importing: LearnerImport, rows: Sequence[PendingRow], *, hold: bool
) -> Judgement:
    """Decide what becomes of rows in the run as it is; it does not change until the commit."""
    run = session.execute(HOLD_RUN, {"run_id": importing.run_id}).one()
    if not run.is_open:
        message = "This run does not take enrollments now."
        return Judgement([], [RowRefusal(row, ENROLLMENT_CLOSED, message) for row in rows])
    if run.price_amount > 0 and not importing.by_admin:
        message = "This run costs money by now; only admins give its seats away."
        return Judgement([], [RowRefusal(row, "forbidden", message) for row in rows])
    return judge(session, importing, rows, hold=hold)


def _enroll(session: Session, importing: LearnerImport, accepted: Sequence[Acceptance]) -> None:
    if not accepted:
        return
    ordered = sorted(accepted, key=lambda one: one.row.email)
    for start in range(0, len(ordered), ROWS_A_STATEMENT):
        _enroll_some(session, importing, ordered[start : start + ROWS_A_STATEMENT])
    # Last, because everybody who enrolls in the run waits from here on until the commit.
    values = {"run_id": importing.run_id, "seats": len(accepted)}
    if session.execute(TAKE_SEATS, values).one_or_none() is None:
        raise OvertakenError("somebody else took a seat")


def _enroll_some(
    session: Session, importing: LearnerImport, accepted: Sequence[Acceptance]
) -> None:
    accepted = _with_accounts(session, importing, accepted)
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
    _accept(session, importing, accepted, enrollment_ids)


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


def _pending(
    session: Session, importing: LearnerImport, *, after: UUID | None, most: int
) -> list[PendingRow]:
    query = select(
        LearnerImportRow.id, LearnerImportRow.line, LearnerImportRow.email, LearnerImportRow.name
    ).where(LearnerImportRow.import_id == importing.id, LearnerImportRow.outcome == "pending")
    if after is not None:
        query = query.where(LearnerImportRow.id > after)
    rows = session.execute(query.order_by(LearnerImportRow.id).limit(most))
    return [PendingRow(*row) for row in rows]


def _refuse(session: Session, importing: LearnerImport, refused: Sequence[RowRefusal]) -> None:
    values = {
        "ids": [one.row.id for one in refused],
        "codes": [one.code for one in refused],
        "messages": [one.message for one in refused],
    }
    session.execute(REFUSE, values)
    importing.refused += len(refused)


def _accept(
    session: Session,
    importing: LearnerImport,
    accepted: Sequence[Acceptance],
    enrollment_ids: Sequence[UUID] | None = None,
) -> None:
    """Mark rows as done; of a dry run, as what would be done, without an enrollment."""
    values = {
        "ids": [one.row.id for one in accepted],
        "joined": [one.has_joined for one in accepted],
        "user_ids": [one.user_id for one in accepted],
        "enrollment_ids": enrollment_ids or [None] * len(accepted),
    }
    session.execute(ACCEPT, values)
    joined = sum(one.has_joined for one in accepted)
    importing.enrolled += joined
    importing.invited += len(accepted) - joined


def _finish(session: Session, importing: LearnerImport, *, failure: str | None = None) -> None:
    importing.finished_at = _now(session)
    importing.state = "done" if failure is None else "failed"
    importing.failure = failure
    session.flush()


def _now(session: Session) -> datetime:
    return session.execute(select(func.now())).scalar_one()
