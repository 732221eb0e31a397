"""Look after money that a request did not see through, and seats that nobody paid for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy.orm import Session

from jobs import claims
from jobs.claims import Claim
from jobs.context import JobContext, Lease
from lms.checkout import holds, settlement, webhooks
from lms.checkout.disputed_refunds import give_to_wallet
from lms.checkout.open_work import is_open, open_work
from lms.core import clock, queue
from lms.core.encryption import UnreadableSecretError
from lms.payments.accounts import StoredAccount, stored_account
from lms.payments.asking import ask, cancel, recognize
from lms.payments.attempts import Answer, Attempt
from lms.payments.errors import ProviderNotConfiguredError
from lms.payments.providers.interface import PaymentProvider
from lms.payments.providers.registry import Providers

log = structlog.get_logger()

SHORTEST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(hours=6)


def settle_payment(context: JobContext, claim: Claim) -> None:
    """Handle SETTLE_PAYMENT: ask the provider about a payment, top-up or refund, and apply it.

    The subject is any of the three; the provider is asked with the key of the first request, so
    money moves once. A payment that waits for a learner who is gone is cancelled there. A refund
    that it refuses for a lost dispute goes to the wallet. While the outcome is open, the work is
    asked for anew, ever less often.

    Args:
        context: the job's.
        claim: on the work; finished in the transaction of the effect.

    Raises:
        LostLeaseError: another worker has it by now.
    """
    with context.holding(claim) as session:
        is_given = give_to_wallet(session, context.doorbell, claim.subject_id)
        work = None if is_given else _begin(context, session, claim.subject_id)
        if work is None:
            claims.finish(session, claim)
            return
        attempt, open_since, provider = work
        if provider is None:
            _ask_later(context, session, claim, open_since)
            return
        is_abandoned = holds.is_abandoned(session, claim.subject_id)
    with Lease(context, claim).kept():
        answer = _ask(context, claim, attempt, provider)
        if is_abandoned and answer.client_secret is not None:
            answer = cancel(provider, attempt, answer.provider_id or "")
    with context.holding(claim) as session:
        settlement.apply(session, context.doorbell, attempt.operation, attempt.subject_id, answer)
        if is_open(session, attempt.subject_id):
            _ask_later(context, session, claim, open_since)
        else:
            claims.finish(session, claim)


def expire_enrollment(context: JobContext, claim: Claim) -> None:
    """Handle EXPIRE_ENROLLMENT: give a seat back whose hold ran out without money.

    Its payment is cancelled at the provider, so that the learner does not finish it later (3-D
    Secure). Whatever the provider does not cancel now is left to SETTLE_PAYMENT. While the hold is
    prolonged, it is looked after anew when it runs out.

    Args:
        context: the job's.
        claim: on the work; its subject is the enrollment. Finished in the transaction of the
            effect. A repeat finds nothing to do.

    Raises:
        LostLeaseError: another worker has it by now.
    """
    with context.holding(claim) as session:
        if not holds.expire(session, claim.subject_id):
            kept_until = holds.held_until(session, claim.subject_id)
            if kept_until is not None:
                _look_again(context, session, claim, kept_until)
                return
        payment_id = holds.abandoned_payment(session, claim.subject_id)
        work = None if payment_id is None else open_work(session, payment_id)
        provider = None if work is None else _provider(context, stored_account(session), work[0])
        if work is None or provider is None or work[0].provider_id is None:
            claims.finish(session, claim)
            return
    attempt, _ = work
    with Lease(context, claim).kept():
        answer = cancel(provider, attempt, attempt.provider_id or "")
    with context.holding(claim) as session:
        settlement.apply(session, context.doorbell, attempt.operation, attempt.subject_id, answer)
        claims.finish(session, claim)


def _look_again(context: JobContext, session: Session, claim: Claim, due_at: datetime) -> None:
    """End this work, and ask for the same at the moment to which the hold was prolonged."""
    claims.finish(session, claim)
    queue.enqueue(session, context.doorbell, claim.kind, claim.subject_id, due_at=due_at)


def next_look(open_since: datetime, now: datetime) -> datetime:
    """Return when to ask again: after half the time that it has been open, within bounds.

    Args:
        open_since: when the provider was first to be asked, UTC.
        now: UTC.
    """
    pause = (now - open_since) / 2
    return (now + min(max(pause, SHORTEST_PAUSE), LONGEST_PAUSE)).astimezone(UTC)


def _begin(
    context: JobContext, session: Session, subject_id: UUID
) -> tuple[Attempt, datetime, PaymentProvider | None] | None:
    """Return what to ask, since when it is open, and the provider; None when the outcome is known.

    While the provider cannot be asked no try is begun: what the first one is refused is believed,
    because nobody can have asked before.
    """
    account = stored_account(session)
    with session.begin_nested() as tried:
        work = open_work(session, subject_id)
        if work is None:
            return None
        provider = _provider(context, account, work[0])
        if provider is None:
            tried.rollback()
        return *work, provider


def _provider(
    context: JobContext, account: StoredAccount | None, attempt: Attempt
) -> PaymentProvider | None:
    """Return the provider at which an attempt is made; None while there is no way to it."""
    try:
        # Where it could report to is not known here (the port above all): what is pending is asked.
        return Providers.from_settings(context.settings).for_organization(
            context.scope.id, account, webhook_url=None, name=attempt.provider
        )
    except (ProviderNotConfiguredError, UnreadableSecretError) as error:
        log.error(  # noqa: TRY400 - expected: no trace is needed
            error.code, subject_id=str(attempt.subject_id), error=error.detail
        )
        return None


def _ask_later(context: JobContext, session: Session, claim: Claim, open_since: datetime) -> None:
    """End this work, and ask for the same anew, ever less often."""
    claims.finish(session, claim)
    due_at = next_look(open_since, clock.now())
    queue.enqueue(session, context.doorbell, claim.kind, claim.subject_id, due_at=due_at)


def _ask(context: JobContext, claim: Claim, attempt: Attempt, provider: PaymentProvider) -> Answer:
    """Ask the provider; when it will not tell, look among the payments that it told us of."""
    answer = ask(provider, attempt)
    if answer.status != "unknown" or attempt.provider_id or attempt.operation == "refund":
        return answer
    with context.holding(claim) as session:
        kept = webhooks.kept_payments(session, provider.name)
    return recognize(provider, attempt, kept)
