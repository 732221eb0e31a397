"""Asking for an import of learners: the file is kept with its rows, and worked off later."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from lms.checkout.errors import EnrollmentClosedError
from lms.checkout.imports.files import FileRow, read_learners
from lms.checkout.imports.models import LearnerImport, Mode
from lms.core import audit, queue
from lms.core.actor import Actor
from lms.core.clock import rfc3339
from lms.core.errors import ForbiddenError
from lms.core.ids import new_id
from lms.core.queue import Doorbell
from lms.courses import run_queries
from lms.courses.models import CourseRun

KEEP_ROWS = text("""
    INSERT INTO learner_import_rows (id, import_id, line, email, name, outcome, code, message)
    SELECT written.id, :import_id, written.line, written.email, written.name,
           CASE WHEN written.message IS NULL THEN 'pending' ELSE 'refused' END,
           CASE WHEN written.message IS NOT NULL THEN 'wrong_number_of_fields' END,
           written.message
      FROM unnest(CAST(:ids AS uuid[]), CAST(:lines AS bigint[]), CAST(:emails AS text[]),
                  CAST(:names AS text[]), CAST(:messages AS text[]))
           AS written (id, line, email, name, message)
""")


def start_import(
    session: Session,
    doorbell: Doorbell,
    actor: Actor,
    run_id: UUID,
    *,
    import_id: UUID,
    csv: str,
    mode: Mode,
    dry_run: bool,
    reason: str,
) -> LearnerImport:
    """Keep a file of learners, and ask for the work that enrolls them.

    Args:
        session: the organization's session; must roll back when this raises.
        doorbell: of the queue.
        actor: who teaches the run, or an admin.
        run_id: where.
        import_id: the same for every request with one Idempotency-Key.
        csv: the file's text.
        mode: whether one refused row refuses all.
        dry_run: only tell what would become of each row.
        reason: for the audit log; no personal data.

    Raises:
        NotFoundError: the actor teaches no course with this run.
        ForbiddenError: the run costs money, and the actor is not an admin.
        EnrollmentClosedError: the run takes nobody now, by the database's clock.
        InvalidCsvError: it is no file of learners.
    """
    run = run_queries.taught_run(session, actor, run_id)
    if run.price_amount > 0 and not actor.is_admin:
        raise ForbiddenError(
            "This run costs money; only admins give its seats away.", required="admin"
        )
    _require_open(session, run)
    file = read_learners(csv)
    wrong = [_wrong_form(row, file.columns) for row in file.rows]
    made = LearnerImport(
        id=import_id,
        run_id=run_id,
        mode=mode,
        dry_run=dry_run,
        reason=reason,
        by_admin=actor.is_admin,
        ignored_columns=list(file.ignored_columns),
        rows_total=len(file.rows),
        refused=sum(message is not None for message in wrong),
        created_by=actor.user_id,
    )
    session.add(made)
    session.flush()
    _keep_rows(session, import_id, file.rows, wrong)
    audit.record(
        session,
        "learner_import.create",
        ("learner_import", import_id),
        actor_id=actor.user_id,
        after={
            "run_id": str(run_id),
            "mode": mode,
            "dry_run": dry_run,
            "rows": len(file.rows),
            "reason": reason,
        },
    )
    queue.enqueue(session, doorbell, queue.IMPORT_LEARNERS, import_id)
    return made


def _require_open(session: Session, run: CourseRun) -> None:
    """Refuse at once what the work would refuse row by row; it asks again."""
    now = session.scalar(select(func.now()))
    is_open = now is not None and run.enrollment_opens_at <= now < run.enrollment_closes_at
    if run.state != "scheduled" or not is_open:
        raise EnrollmentClosedError(
            "This run does not take enrollments now.",
            run_state=run.state,
            opens_at=rfc3339(run.enrollment_opens_at),
            closes_at=rfc3339(run.enrollment_closes_at),
        )


def _keep_rows(
    session: Session, import_id: UUID, rows: Sequence[FileRow], messages: Sequence[str | None]
) -> None:
    session.execute(
        KEEP_ROWS,
        {
            "import_id": import_id,
            # Pages and batches go by id: within one millisecond ids are in no order of their own.
            "ids": sorted(new_id() for _ in rows),
            "lines": [row.line for row in rows],
            "emails": [row.email for row in rows],
            "names": [row.name for row in rows],
            "messages": list(messages),
        },
    )


def _wrong_form(row: FileRow, columns: int) -> str | None:
    """Say why a row cannot be read, None when it can."""
    if row.fields == columns:
        return None
    return f"Has {row.fields} fields; the header names {columns} columns."
