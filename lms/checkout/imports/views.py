"""Routes by which staff import learners from files."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from lms.checkout.imports import queries
from lms.checkout.imports.models import LearnerImport, LearnerImportRow
from lms.checkout.imports.operations import start_import
from lms.checkout.imports.schemas import (
    LearnerImportIn,
    LearnerImportOut,
    LearnerImportRowOut,
    LearnerImportRowQuery,
)
from lms.core.pagination import Page
from lms.core.queue import Doorbell
from lms.http.blueprint import STAFF, TenantBlueprint
from lms.http.call import Call

RUNNING: dict[str, Any] = {
    "id": "01935b80-11aa-7d02-b3c4-9a7e5d1f2c33",
    "run_id": "01935b80-11aa-7d02-b3c4-9a7e5d1f2c34",
    "mode": "partial",
    "dry_run": False,
    "reason": "Paid by invoice 2027-14.",
    "ignored_columns": ["department"],
    "state": "running",
    "failure": None,
    "rows_total": 120,
    "rows_done": 53,
    "enrolled": 40,
    "invited": 10,
    "refused": 3,
    "created_by": "01935b80-11aa-7d02-b3c4-9a7e5d1f2c35",
    "created_at": "2027-01-12T09:00:00Z",
    "started_at": "2027-01-12T09:00:01Z",
    "finished_at": None,
}
QUEUED: dict[str, Any] = {
    **RUNNING,
    "state": "queued",
    "rows_done": 0,
    "enrolled": 0,
    "invited": 0,
    "refused": 0,
    "started_at": None,
}

blp = TenantBlueprint(
    "Learner imports",
    __name__,
    description="Files of learners whom staff enroll, and what became of each row.",
)


@blp.operation(
    "POST",
    "/runs/<uuid:run_id>/learner-imports",
    id="importLearners",
    body=LearnerImportIn,
    returns=LearnerImportOut,
    status=202,
    roles=STAFF,
    idempotent=True,
    refusals=(409,),
    example=QUEUED,
)
def import_learners(call: Call, body: dict[str, Any], run_id: UUID) -> LearnerImport:
    """Enroll the learners that a CSV file names, without payment, in the background.

    For those who teach the run, while it is free; for admins also when it costs money. 404 for
    those who do not teach it. Read the import again until its `state` is `done` or `failed`, and
    its rows for what became of each. The whole body is at most 1 MiB. 422 `invalid_csv` with the
    `line` when it is no such file; 409 `enrollment_closed` when the run takes nobody now. Rows that
    are left when the person who asked may no longer do so are refused with `forbidden`.

    All rows are checked before anybody is enrolled. Who has an account and has joined is enrolled
    at once. Everybody else is `invited`: the seat is theirs, pending, and becomes active by itself
    when they accept their invitation. Admins invite people who have no account yet, by a row with
    a name: their account is made, and `createUser` with the same address issues the invitation to
    pass on. A partial import that runs out of seats refuses the last rows with `run_full`.
    """
    if call.subject_id is None:
        raise TypeError("this operation declares that it is idempotent")
    return start_import(
        call.session,
        call.use(Doorbell),
        call.actor,
        run_id,
        import_id=call.subject_id,
        **body,
    )


@blp.operation(
    "GET",
    "/runs/<uuid:run_id>/learner-imports",
    id="listLearnerImports",
    returns=LearnerImportOut,
    paged=True,
    roles=STAFF,
)
def list_learner_imports(call: Call, query: dict[str, Any], run_id: UUID) -> Page[LearnerImport]:
    """List the imports into a run, newest first.

    For those who teach the run, and admins; 404 for others.
    """
    return queries.learner_imports(call.session, call.actor, run_id, **query)


@blp.operation(
    "GET",
    "/learner-imports/<uuid:import_id>",
    id="getLearnerImport",
    returns=LearnerImportOut,
    roles=STAFF,
    example=RUNNING,
)
def get_learner_import(call: Call, import_id: UUID) -> LearnerImport:
    """Read an import, and how far it is.

    For those who teach the run, and admins; 404 for others. A partial import counts rows while it
    runs; all or nothing counts those that it does when it is done.
    """
    return queries.learner_import(call.session, call.actor, import_id)


@blp.operation(
    "GET",
    "/learner-imports/<uuid:import_id>/rows",
    id="listLearnerImportRows",
    query=LearnerImportRowQuery,
    returns=LearnerImportRowOut,
    paged=True,
    roles=STAFF,
)
def list_learner_import_rows(
    call: Call, query: dict[str, Any], import_id: UUID
) -> Page[LearnerImportRow]:
    """List what became of an import's rows, in the file's order; `outcome` picks some.

    For those who teach the run, and admins; 404 for others. Rows are forgotten 90 days after the
    import has ended, because they are personal data; its counts stay.
    """
    return queries.import_rows(call.session, call.actor, import_id, **query)
