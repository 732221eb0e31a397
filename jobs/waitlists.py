"""Offer seats that came free to those who wait, and end the waiting when a run is closed."""

from __future__ import annotations

from uuid import UUID

import structlog
from sqlalchemy.exc import IntegrityError

from jobs import claims
from jobs.claims import Claim
from jobs.context import JobContext, Lease
from lms.checkout import offers, waitlist
from lms.core import queue
from lms.core.errors import DomainError
from lms.enrollments.errors import RunFullError
from lms.enrollments.transitions import Change

log = structlog.get_logger()

SEATS_AT_ONCE = 200
"""So that a list of thousands never holds up others' work, nor outlasts RQ's limit."""


def offer_seats(context: JobContext, claim: Claim) -> None:
    """Handle OFFER_SEATS: give free seats to those who wait, one transaction each.

    Whoever frees a seat holds the run's counter and then asks for this work. So nothing here holds
    the work's row while it waits for the counter; the last transaction takes both in that order,
    and so no seat that comes free meanwhile is missed.

    Args:
        context: the job's.
        claim: on the work; its subject is the run. A repeat finds nothing to do. When there are
            more seats than it gives at once, the rest is asked for anew.

    Raises:
        LostLeaseError: another worker has it by now.
        HandBackError: this worker must stop.
    """
    lease, run_id, given = Lease(context, claim), claim.subject_id, 0
    while True:
        while given < SEATS_AT_ONCE and _give_seat(context, run_id):
            lease.tick()
            given += 1
        _close(context, lease, run_id)
        with context.database.transaction(context.scope) as session:
            offers.hold_seats(session, run_id)
            is_left = offers.has_next(session, run_id)
            if not is_left or given >= SEATS_AT_ONCE:
                claims.finish(session, claim)
                if is_left:
                    queue.enqueue(session, context.doorbell, queue.OFFER_SEATS, run_id)
                return


def close_waitlist(context: JobContext, claim: Claim) -> None:
    """Handle CLOSE_WAITLIST: end the waiting for a run that takes nobody any more.

    Ends as `offer_seats` does, so that nobody is missed who joins at the last moment.

    Args:
        context: the job's.
        claim: on the work; its subject is the run. When its dates were moved, the work is asked
            for anew.

    Raises:
        LostLeaseError: another worker has it by now.
        HandBackError: this worker must stop.
    """
    lease, run_id = Lease(context, claim), claim.subject_id
    while True:
        _close(context, lease, run_id)
        with context.database.transaction(context.scope) as session:
            offers.hold_seats(session, run_id)
            if waitlist.is_closed(session, run_id) and waitlist.waiting(session, run_id, most=1):
                continue
            claims.finish(session, claim)
            due_at = waitlist.closes_at(session, run_id)
            if due_at is not None:
                queue.enqueue(session, None, queue.CLOSE_WAITLIST, run_id, due_at=due_at)
            return


def take_offer(context: JobContext, claim: Claim) -> None:
    """Handle TAKE_OFFER: take an offered seat as was agreed, should nobody have got to it.

    Args:
        context: the job's.
        claim: on the work; its subject is the enrollment. What the wallet does not pay stays an
            offer; a repeat finds nothing to do.

    Raises:
        LostLeaseError: another worker has it by now.
    """
    _take(context, claim.subject_id)


def _give_seat(context: JobContext, run_id: UUID) -> bool:
    """Give one seat, and take it where that was agreed; tell whether there was one."""
    try:
        with context.database.transaction(context.scope) as session:
            seconds = context.settings.waitlist_offer_seconds
            given = offers.offer_next(session, context.doorbell, run_id, hold_seconds=seconds)
    except RunFullError:
        return False
    if given is not None and given.is_offer:
        _take(context, given.enrollment_id)
    return given is not None


def _take(context: JobContext, enrollment_id: UUID) -> None:
    try:
        with context.database.transaction(context.scope) as session:
            offers.take_offer(session, enrollment_id)
    except DomainError as error:
        log.info("offer_not_taken", enrollment_id=str(enrollment_id), reason=error.code)


def _close(context: JobContext, lease: Lease, run_id: UUID) -> None:
    """End the waiting of everybody, one transaction each, when the run takes nobody any more.

    Nobody else waits for the one whose books are wrong; the work fails for it at the end.
    """
    with context.database.transaction(context.scope) as session:
        if not waitlist.is_closed(session, run_id):
            return
        left = waitlist.waiting(session, run_id, most=SEATS_AT_ONCE)
    failure: Exception | None = None
    for enrollment_id in left:
        lease.tick()
        try:
            with context.database.transaction(context.scope) as session:
                change = Change(waitlist.WAITLIST_CLOSED)
                waitlist.stop_waiting(session, context.doorbell, enrollment_id, change)
        except (DomainError, RuntimeError, IntegrityError) as error:
            log.exception("waiting_not_ended", enrollment_id=str(enrollment_id))
            failure = error
    if failure is not None:
        raise failure
