"""One job, from claim to end: the same for every kind of work."""

from __future__ import annotations

from contextlib import suppress
from uuid import UUID

import structlog

from jobs import claims
from jobs.claims import MAX_CLAIMS, Claim, LostLeaseError
from jobs.context import AWAY, HandBackError, JobContext
from jobs.costs import accounted
from jobs.handlers import HANDLERS, Handler
from tenants.errors import (
    DatabaseOverloadedError,
    OrganizationMigratingError,
    OrganizationNotFoundError,
)

log = structlog.get_logger()
PAUSE_SECONDS = 2.0
"""After a database that was away: claims are counted, and must outlast a short disturbance."""


def run_work(context: JobContext, work_id: UUID) -> None:
    """Claim a row of work and do it; return quietly when there is nothing to claim.

    Never raises for what a job does wrong: that is written to the row. What the database refuses
    altogether leaves the row as it is, and the dispatcher hands it out again.

    Args:
        context: the organization's.
        work_id: the row.
    """
    try:
        with context.database.transaction(context.scope) as session:
            claim = claims.claim(
                session, context.scope.id, work_id, lease_seconds=context.settings.lease_seconds
            )
    except (OrganizationNotFoundError, OrganizationMigratingError) as error:
        log.info("work_left", work_id=str(work_id), reason=type(error).__name__)
        return
    if claim is None:
        log.info("work_not_claimed", work_id=str(work_id))
        return
    structlog.contextvars.bind_contextvars(
        work_id=str(work_id),
        kind=claim.kind,
        fence=claim.fence,
        organization_id=str(context.scope.id),
    )
    try:
        with accounted(context):
            _do(context, claim)
    except LostLeaseError as error:
        log.warning("lease_lost", error=str(error))
    finally:
        context.doorbell.ring(claim.queue)


def _do(context: JobContext, claim: Claim) -> None:
    try:
        _attempt(context, claim)
    except HandBackError as error:
        log.info("work_handed_back", reason=str(error))
        _give_back(context, claim, 0)
    except AWAY as error:
        log.info("work_handed_back", reason=str(error))
        _give_back(context, claim, PAUSE_SECONDS)


def _attempt(context: JobContext, claim: Claim) -> None:
    handler = HANDLERS[claim.kind]
    if claim.claims > MAX_CLAIMS:
        _fail(context, claim, handler, f"given up: claimed {claim.claims} times without an end")
        return
    try:
        handler.run(context, claim)
    except (LostLeaseError, HandBackError):
        raise
    except Exception as error:
        # What is too much for the database will most likely be so again, so it counts.
        if isinstance(error, AWAY) and not isinstance(error, DatabaseOverloadedError):
            raise
        # Whatever a job trips over is written to its row.
        log.warning("work_failed", exc_info=error)
        _fail(context, claim, handler, f"{type(error).__name__}: {error}")
    else:
        context.patiently(lambda: _finish(context, claim))


def _give_back(context: JobContext, claim: Claim, pause_seconds: float) -> None:
    """Try once: whoever is to stop must not wait for a database, and the lease lapses anyway."""
    try:
        with context.database.transaction(context.scope) as session:
            claims.give_back(session, claim, pause_seconds=pause_seconds)
    except AWAY as error:
        log.warning("work_not_given_back", reason=type(error).__name__)


def _finish(context: JobContext, claim: Claim) -> None:
    """Finish what the handler did not finish in a transaction of its own."""
    with suppress(LostLeaseError), context.database.transaction(context.scope) as session:
        claims.finish(session, claim)


def _fail(context: JobContext, claim: Claim, handler: Handler, error: str) -> None:
    def step() -> None:
        with context.database.transaction(context.scope) as session:
            outcome = claims.fail(session, claim, error)
            if outcome == "failed" and handler.gave_up is not None:
                handler.gave_up(session, claim, error)

    context.patiently(step)
