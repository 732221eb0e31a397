"""End the enrollments of runs that were cancelled."""

from __future__ import annotations

import structlog
from sqlalchemy.exc import IntegrityError

from jobs import claims
from jobs.claims import Claim
from jobs.context import HandBackError, JobContext
from lms.checkout.cancellations import end_enrollment, unfinished_enrollments
from lms.core import queue
from lms.core.errors import DomainError

log = structlog.get_logger()

ENROLLMENTS_AT_ONCE = 200
"""So that a run of thousands never holds up others' work, nor outlasts RQ's limit."""


def cancel_run(context: JobContext, claim: Claim) -> None:
    """Handle CANCEL_RUN: end a cancelled run's enrollments, each in a transaction of its own.

    Killed anywhere, it goes on with the next one that has not ended. When there are more than it
    does at once, or some cannot be ended, the rest is asked for anew; it fails once those that
    cannot be are all that is left.

    Args:
        context: the job's.
        claim: on the work; its subject is the run.

    Raises:
        LostLeaseError: another worker has it by now.
        HandBackError: this worker must stop.
    """
    with context.holding(claim) as session:
        left = unfinished_enrollments(session, claim.subject_id, most=ENROLLMENTS_AT_ONCE)
    failures: list[Exception] = []
    for enrollment_id in left:
        if context.should_stop():
            raise HandBackError("stopping in the middle of a cancelled run")
        try:
            with context.holding(claim) as session:
                end_enrollment(session, context.doorbell, enrollment_id)
        except (DomainError, RuntimeError, IntegrityError) as error:
            # Nobody else waits for the one whose books are wrong.
            log.exception("enrollment_not_ended", enrollment_id=str(enrollment_id))
            failures.append(error)
    if failures and len(failures) == len(left):
        raise failures[-1]
    with context.holding(claim) as session:
        claims.finish(session, claim)
        if failures or len(left) == ENROLLMENTS_AT_ONCE:
            queue.enqueue(session, context.doorbell, queue.CANCEL_RUN, claim.subject_id)
