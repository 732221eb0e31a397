"""Offer seats that came free to those who wait, and end the waiting when a run is closed."""

from __future__ import annotations

import structlog

from jobs import claims
from jobs.claims import Claim
from jobs.context import JobContext, Lease
from lms.checkout import offers, waitlist
from lms.core import queue
from lms.core.errors import DomainError
from lms.enrollments.errors import RunFullError
from lms.enrollments.transitions import Change

log = structlog.get_logger()


def offer_seats(context: JobContext, claim: Claim) -> None:
    """Handle OFFER_SEATS: give free seats to those who wait, one transaction each.

    Whoever frees a seat holds the run's counter and then asks for this work. So nothing here holds
    the work's row while it waits for the counter; the last transaction takes both in that order,
    and so no seat that comes free meanwhile is missed.

    Args:
        context: the job's.
        claim: on the work; its subject is the run. A repeat finds nothing to do.

    Raises:
        LostLeaseError: another worker has it by now.
        HandBackError: this worker must stop.
    """
    lease = Lease(context, claim)
    while True:
        lease.tick()
        if _offer_or_close(context, claim):
            continue
        with context.database.transaction(context.scope) as session:
            if not offers.hold_seats(session, claim.subject_id):
                claims.finish(session, claim)
                return


def close_waitlist(context: JobContext, claim: Claim) -> None:
    """Handle CLOSE_WAITLIST: end the waiting for a run that takes nobody any more.

    Args:
        context: the job's.
        claim: on the work; its subject is the run. When its dates were moved, the work is asked
            for anew.

    Raises:
        LostLeaseError: another worker has it by now.
        HandBackError: this worker must stop.
    """
    lease = Lease(context, claim)
    while _close(context, claim):
        lease.tick()
    with context.holding(claim) as session:
        due_at = waitlist.closes_at(session, claim.subject_id)
        claims.finish(session, claim)
        if due_at is not None:
            queue.enqueue(session, None, queue.CLOSE_WAITLIST, claim.subject_id, due_at=due_at)


def take_offer(context: JobContext, claim: Claim) -> None:
    """Handle TAKE_OFFER: charge an offered seat from the wallet, as its learner agreed to.

    Args:
        context: the job's.
        claim: on the work; its subject is the enrollment. Finished in the transaction of the
            effect. What the wallet does not pay stays an offer.

    Raises:
        LostLeaseError: another worker has it by now.
    """
    try:
        with context.holding(claim) as session:
            offers.take_offer(session, claim.subject_id)
            claims.finish(session, claim)
    except DomainError as error:
        log.info("offer_not_taken", enrollment_id=str(claim.subject_id), reason=error.code)


def _offer_or_close(context: JobContext, claim: Claim) -> bool:
    """Do one step for those who wait; tell whether there was one to do."""
    try:
        with context.database.transaction(context.scope) as session:
            seconds = context.settings.waitlist_offer_seconds
            if offers.offer_next(session, context.doorbell, claim.subject_id, hold_seconds=seconds):
                return True
    except RunFullError:
        return True
    return _close(context, claim)


def _close(context: JobContext, claim: Claim) -> bool:
    """End the waiting of the next one, when the run takes nobody any more."""
    with context.database.transaction(context.scope) as session:
        if not waitlist.is_closed(session, claim.subject_id):
            return False
        for enrollment_id in waitlist.waiting(session, claim.subject_id, most=1):
            change = Change(waitlist.WAITLIST_CLOSED)
            return waitlist.stop_waiting(session, context.doorbell, enrollment_id, change)
    return False
