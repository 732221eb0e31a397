"""Enroll learners whom files name, and those whose invitation was accepted."""

from __future__ import annotations

from uuid import UUID

import structlog
from sqlalchemy.orm import Session

from jobs import claims
from jobs.claims import Claim
from jobs.context import HandBackError, JobContext
from lms.checkout.imports import invited, work
from lms.checkout.imports.enrolling import OvertakenError

log = structlog.get_logger()

MOST_OVERTAKEN = 20
"""In a row, before the work fails and is tried again after a pause."""


def import_learners(context: JobContext, claim: Claim) -> None:
    """Handle IMPORT_LEARNERS: check a file's rows, then enroll whom they name.

    Killed anywhere, it goes on with the first row that says nothing yet.

    Args:
        context: the job's.
        claim: on the work; its subject is the import.

    Raises:
        LostLeaseError: another worker has it by now.
        HandBackError: this worker must stop.
        OvertakenError: things changed too often while it looked.
    """
    import_id = claim.subject_id
    with context.holding(claim) as session:
        is_over = not work.begin(session, import_id)
    if is_over:
        return
    with context.holding(claim) as session:
        work.make_room(session, import_id)
    with context.holding(claim) as session:
        step = work.check(session, import_id)
    overtaken, most = 0, work.ROWS_AT_ONCE
    while not step.finished:
        if context.should_stop():
            raise HandBackError("stopping in the middle of an import")
        with context.holding(claim) as session:
            work.make_room(session, import_id)
        try:
            with context.holding(claim) as session:
                step = work.enroll(session, import_id, after=step.last_id, most=most)
        except OvertakenError as error:
            overtaken += 1
            log.info("import_overtaken", reason=str(error))
            if overtaken == MOST_OVERTAKEN:
                raise
            most = max(1, most // 2)
        else:
            overtaken, most = 0, work.ROWS_AT_ONCE


def gave_up_import(session: Session, claim: Claim, error: str) -> None:
    """Say in the import that the work failed for the last time.

    Args:
        session: the transaction that makes the work a dead letter.
        claim: on the work.
        error: for operators; it is in the row of work.
    """
    del error
    work.give_up(session, claim.subject_id)


def enroll_invited(context: JobContext, claim: Claim) -> None:
    """Handle ENROLL_INVITED: make active what waited for a learner's invitation.

    Args:
        context: the job's.
        claim: on the work; its subject is the learner.

    Raises:
        LostLeaseError: another worker has it by now.
    """
    user_id: UUID = claim.subject_id
    with context.holding(claim) as session:
        waiting = invited.waiting_for(session, user_id)
    for enrollment_id in waiting:
        with context.holding(claim) as session:
            invited.enroll_invited(session, user_id, enrollment_id)
    with context.holding(claim) as session:
        claims.finish(session, claim)
