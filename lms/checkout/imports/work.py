"""Working off an import, in steps of one transaction each that may be killed and repeated.

At first all rows are looked at, and nothing is done. Then they are done in the file's order: those
of a partial import some at a time, those of all or nothing in one transaction. What is done for a
row and what the row says of it commit together, so no row is done twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from lms.checkout import holds
from lms.checkout.imports import report
from lms.checkout.imports.checking import (
    ENROLLMENT_CLOSED,
    FORBIDDEN,
    Judgement,
    PendingRow,
    RowRefusal,
    check_addresses,
    judge,
    seats_left,
)
from lms.checkout.imports.enrolling import enroll_all
from lms.checkout.imports.files import MAX_ROWS
from lms.checkout.imports.models import GAVE_UP, ROWS_REFUSED, LearnerImport

ROWS_AT_ONCE = 200
"""Of a partial import, so that others wait for no more than that, and its progress is seen."""

BEGIN = text("""
    UPDATE learner_imports
       SET state = 'running', failure = NULL, finished_at = NULL,
           started_at = COALESCE(started_at, now())
     WHERE id = :id AND (state IN ('queued', 'running') OR failure = 'gave_up')
    RETURNING run_id
""")
# With what the import's maker is by now: files are worked off after they were asked for.
HOLD_RUN = text("""
    SELECT r.state = 'scheduled'
           AND now() >= r.enrollment_opens_at AND now() < r.enrollment_closes_at AS is_open,
           r.price_amount, COALESCE(u.account_type = 'admin', false) AS by_admin,
           u.account_type = 'instructor'
           AND EXISTS (SELECT FROM course_instructors i
                        WHERE i.course_id = r.course_id AND i.user_id = u.id) AS by_teacher
      FROM course_runs r
      LEFT JOIN users u ON u.id = :created_by AND u.deactivated_at IS NULL
     WHERE r.id = :run_id
       FOR SHARE OF r
""")


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
    written = report.pending_rows(session, importing, after=None, most=MAX_ROWS)
    rows, wrong = check_addresses(written)
    report.normalise(session, rows)
    judgement = _judge(session, importing, rows, hold=False)
    if importing.dry_run or importing.mode == "all_or_nothing":
        judgement = judgement.cut_to(seats_left(session, importing.run_id))
    report.refuse(session, importing, [*wrong, *judgement.refused])
    importing.checked_at = _now(session)
    if importing.mode == "all_or_nothing" and importing.refused:
        _finish(session, importing, failure=ROWS_REFUSED)
        return Step(finished=True)
    if importing.dry_run:
        report.accept(session, importing, judgement.accepted)
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
    rows = report.pending_rows(session, importing, after=after, most=most)
    judgement = _judge(session, importing, rows, hold=True)
    judgement = judgement.cut_to(seats_left(session, importing.run_id))
    report.refuse(session, importing, judgement.refused)
    if is_whole and judgement.refused:
        _finish(session, importing, failure=ROWS_REFUSED)
        return Step(finished=True)
    enroll_all(session, importing, judgement.accepted)
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
    values = {"run_id": importing.run_id, "created_by": importing.created_by}
    run = session.execute(HOLD_RUN, values).one()
    if not (run.by_admin or run.by_teacher):
        message = "Who asked for this import does not teach this course by now; ask for it anew."
        return _none_of(rows, FORBIDDEN, message)
    if not run.is_open:
        return _none_of(rows, ENROLLMENT_CLOSED, "This run does not take enrollments now.")
    if run.price_amount > 0 and not run.by_admin:
        message = "This run costs money by now; only admins give its seats away."
        return _none_of(rows, FORBIDDEN, message)
    return judge(session, importing.run_id, rows, by_admin=run.by_admin, hold=hold)


def _none_of(rows: Sequence[PendingRow], code: str, message: str) -> Judgement:
    return Judgement([], [RowRefusal(row, code, message) for row in rows])


def _finish(session: Session, importing: LearnerImport, *, failure: str | None = None) -> None:
    importing.finished_at = _now(session)
    importing.state = "done" if failure is None else "failed"
    importing.failure = failure
    session.flush()


def _now(session: Session) -> datetime:
    return session.execute(select(func.now())).scalar_one()
