"""What every organization needs once a day (`jobs.daily` asks for it)."""

from __future__ import annotations

from dataclasses import asdict

import structlog

from jobs import claims
from jobs.claims import Claim
from jobs.context import JobContext, Lease
from lms.checkout.imports.old_rows import forget_old_rows
from lms.checkout.old_keys import forget_old_keys
from lms.core import clock
from lms.courses.collecting import collect

log = structlog.get_logger()

AT_ONCE = 5000


def forget_keys(context: JobContext, claim: Claim) -> None:
    """Handle FORGET_KEYS: forget what is kept for a time only, some at a time.

    Idempotency-Keys are kept for 30 days, the rows of imports, which hold addresses, for 90.

    Args:
        context: the job's.
        claim: on the work; finished in the transaction of the last ones.

    Raises:
        LostLeaseError: another worker has it by now.
    """
    for forget in (forget_old_keys, forget_old_rows):
        forgotten = AT_ONCE
        while forgotten == AT_ONCE:
            with context.holding(claim) as session:
                forgotten = forget(session, most=AT_ONCE)
    with context.holding(claim) as session:
        claims.finish(session, claim)


def collect_media(context: JobContext, claim: Claim) -> None:
    """Handle COLLECT_MEDIA: delete what lies in storage and nothing refers to.

    Killed anywhere, it starts anew and finds what is left.

    Args:
        context: the job's.
        claim: on the work.

    Raises:
        LostLeaseError: another worker has it by now.
        HandBackError: this worker must stop.
        StorageError: the store cannot be listed; worth another attempt.
    """
    made = collect(
        lambda: context.holding(claim),
        context.storage,
        context.scope.id,
        now=clock.now(),
        on_folder=Lease(context, claim).tick,
    )
    log.info("media_collected", **asdict(made))
