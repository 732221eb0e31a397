"""What every organization needs once a day (`jobs.daily` asks for it)."""

from __future__ import annotations

from jobs import claims
from jobs.claims import Claim
from jobs.context import JobContext
from lms.checkout.old_keys import forget_old_keys

KEYS_AT_ONCE = 5000


def forget_keys(context: JobContext, claim: Claim) -> None:
    """Handle FORGET_KEYS: forget Idempotency-Keys older than 30 days, some at a time.

    Args:
        context: the job's.
        claim: on the work; finished in the transaction of the last ones.

    Raises:
        LostLeaseError: another worker has it by now.
    """
    while True:
        with context.holding(claim) as session:
            if forget_old_keys(session, most=KEYS_AT_ONCE) < KEYS_AT_ONCE:
                claims.finish(session, claim)
                return
