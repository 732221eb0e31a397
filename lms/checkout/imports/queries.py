"""Reads of imports, for those who teach the run, and admins."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from lms.checkout.imports.models import LearnerImport, LearnerImportRow
from lms.core.actor import Actor
from lms.core.errors import NotFoundError
from lms.core.pagination import Page, paginate
from lms.courses import run_queries
from lms.courses.models import CourseRun
from lms.courses.queries import taught_by


def learner_import(session: Session, actor: Actor, import_id: UUID) -> LearnerImport:
    """Return an import into a run that the actor teaches.

    Raises:
        NotFoundError: there is none.
    """
    found = session.scalar(
        select(LearnerImport)
        .join(CourseRun, CourseRun.id == LearnerImport.run_id)
        .where(LearnerImport.id == import_id, taught_by(actor, CourseRun.course_id))
    )
    if found is None:
        raise NotFoundError("There is no such import for you.")
    return found


def learner_imports(
    session: Session, actor: Actor, run_id: UUID, *, limit: int, cursor: str | None
) -> Page[LearnerImport]:
    """Read a page of a run's imports, newest first.

    Raises:
        NotFoundError: the actor teaches no course with this run.
        InvalidCursorError: the cursor is not one of this list.
    """
    run_queries.taught_run(session, actor, run_id)
    query = select(LearnerImport).where(LearnerImport.run_id == run_id)
    return paginate(session, query, LearnerImport.id, limit=limit, cursor=cursor, newest_first=True)


def import_rows(
    session: Session,
    actor: Actor,
    import_id: UUID,
    *,
    outcome: str | None,
    limit: int,
    cursor: str | None,
) -> Page[LearnerImportRow]:
    """Read a page of an import's rows, in the file's order.

    Raises:
        NotFoundError: there is no such import into a run that the actor teaches.
        InvalidCursorError: the cursor is not one of this list.
    """
    learner_import(session, actor, import_id)
    query = select(LearnerImportRow).where(LearnerImportRow.import_id == import_id)
    if outcome is not None:
        query = query.where(LearnerImportRow.outcome == outcome)
    return paginate(session, query, LearnerImportRow.id, limit=limit, cursor=cursor)
