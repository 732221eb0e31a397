"""Look after money that a request did not see through, and seats that nobody paid for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from jobs import claims
from jobs.claims import Claim
from jobs.context import JobContext, Lease
from lms.checkout import settlement
from lms.core import clock, queue
from lms.payments.attempts import ask
from lms.payments.providers.base import PaymentProvider
from lms.payments.providers.registry import Providers
from tenants.session import organization_of

SHORTEST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(hours=6)


def settle_payment(context: JobContext, claim: Claim) -> None:
    """Handle SETTLE_PAYMENT: ask the provider about a payment, top-up or refund, and apply it.

    The subject is any of the three; the provider is asked with the key of the first request, so
    money moves once. While the outcome is open, the work is asked for anew, ever less often.

    Args:
        context: the job's.
        claim: on the work; finished in the transaction of the effect.

    Raises:
        LostLeaseError: another worker has it by now.
        ProviderNotConfiguredError: the installation has no provider any more; tried again.
    """
    with context.holding(claim) as session:
        work = settlement.open_work(session, claim.subject_id)
        if work is None:
            claims.finish(session, claim)
            return
        provider = _provider(context, organization_of(session).slug)
    attempt, open_since = work
    with Lease(context, claim).kept():
        answer = ask(provider, attempt)
    with context.holding(claim) as session:
        settlement.apply(session, context.doorbell, attempt.operation, attempt.subject_id, answer)
        claims.finish(session, claim)
        if not answer.is_final:
            due_at = next_look(open_since, clock.now())
            queue.enqueue(session, context.doorbell, claim.kind, claim.subject_id, due_at=due_at)


def expire_enrollment(context: JobContext, claim: Claim) -> None:
    """Handle EXPIRE_ENROLLMENT: give a seat back whose hold ran out without money.

    Args:
        context: the job's.
        claim: on the work; its subject is the enrollment. Finished in the transaction of the
            effect. A repeat finds nothing to do.

    Raises:
        LostLeaseError: another worker has it by now.
    """
    with context.holding(claim) as session:
        settlement.expire(session, claim.subject_id)
        claims.finish(session, claim)


def next_look(open_since: datetime, now: datetime) -> datetime:
    """Return when to ask again: after half the time that it has been open, within bounds.

    Args:
        open_since: when the provider was first to be asked, UTC.
        now: UTC.
    """
    pause = (now - open_since) / 2
    return (now + min(max(pause, SHORTEST_PAUSE), LONGEST_PAUSE)).astimezone(UTC)


def _provider(context: JobContext, slug: str) -> PaymentProvider:
    settings = context.settings
    host = f"{settings.public_scheme}://{slug}.{settings.base_domain}"
    return Providers.from_settings(settings).for_organization(
        context.scope.id, webhook_url=f"{host}/api/v1/webhooks/sandbox"
    )
