"""Tries at a provider: written before the call, asked outside any transaction, answered after.

The key of a try never changes: an unknown outcome is asked again with the same key, so money moves
once however often we ask. Payments, top-ups and refunds share this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

import structlog
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from lms.core.ids import new_id
from lms.payments.models import ProviderAttempt
from lms.payments.providers.base import (
    PaymentProvider,
    ProviderPayment,
    ProviderRejected,
    ProviderUnavailable,
)
from tenants.session import organization_of

log = structlog.get_logger()

Operation = Literal["payment", "top_up", "refund"]
Status = Literal["unknown", "pending", "succeeded", "failed", "canceled"]

FIRST_ATTEMPT = 1

SAYS_NOTHING = frozenset({"idempotency_key_reused"})
"""Rejections that do not tell what the first request with the key did."""

RECORD_ANSWER = text("""
    UPDATE provider_attempts
       SET outcome = CAST(:outcome AS text), provider_id = COALESCE(:provider_id, provider_id),
           answered_at = now()
     WHERE subject_id = :subject_id
       AND (outcome IN ('unknown', 'pending') OR CAST(:outcome AS text) = 'succeeded')
""")
OUTCOMES: dict[Status, str] = {
    "unknown": "unknown",
    "pending": "pending",
    "succeeded": "succeeded",
    "failed": "failed",
    "canceled": "failed",
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a provider is asked.

    Attributes:
        subject_id: the payment, top-up or refund.
        operation: which of these it is.
        key: the idempotency key.
        amount: minor units of `currency`.
        currency: ISO 4217.
        token: the means of payment; None for refunds.
        provider_payment_id: the payment at the provider, once known; always there for refunds.
    """

    subject_id: UUID
    operation: Operation
    key: str
    amount: int
    currency: str
    token: str | None
    provider_payment_id: str | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a provider said.

    Attributes:
        status: `unknown` when it could not be asked; `failed` is a definite no.
        provider_id: its identifier of the payment or refund.
        code: its reason for a no.
    """

    status: Status
    provider_id: str | None = None
    code: str | None = None

    @property
    def is_final(self) -> bool:
        """Whether asking again would tell nothing new."""
        return self.status in ("succeeded", "failed", "canceled")


UNKNOWN = Answer("unknown")


def begin_attempt(
    session: Session,
    subject_id: UUID,
    operation: Operation,
    *,
    provider: str,
    token: str | None = None,
) -> str:
    """Write that the provider will be asked, in the transaction of what it will be asked for.

    Args:
        session: the organization's session.
        subject_id: the payment, top-up or refund.
        operation: which of these.
        provider: the provider's name.
        token: the means of payment, kept so that the same request can be made again.

    Returns:
        The idempotency key.
    """
    organization_id = organization_of(session).id
    key = f"{organization_id}:{subject_id}:{operation}:{FIRST_ATTEMPT}"
    session.add(
        ProviderAttempt(
            id=new_id(),
            subject_id=subject_id,
            operation=operation,
            attempt=FIRST_ATTEMPT,
            key=key,
            token=token,
            provider=provider,
        )
    )
    session.flush()
    return key


def open_attempt(session: Session, subject_id: UUID) -> ProviderAttempt | None:
    """Return the try whose outcome is not final yet, or None."""
    return session.scalars(
        select(ProviderAttempt).where(
            ProviderAttempt.subject_id == subject_id,
            ProviderAttempt.outcome.in_(("unknown", "pending")),
        )
    ).one_or_none()


def record_answer(session: Session, subject_id: UUID, answer: Answer) -> None:
    """Remember the provider's answer beside the try; late money outweighs a no."""
    session.execute(
        RECORD_ANSWER,
        {
            "subject_id": subject_id,
            "outcome": OUTCOMES[answer.status],
            "provider_id": answer.provider_id,
        },
    )


def ask(provider: PaymentProvider, attempt: Attempt) -> Answer:
    """Ask the provider, outside any transaction. Never raises for what a network may do.

    A repeated request gets the first answer, however old, so a payment that was pending then is
    fetched to learn how it stands now.
    """
    try:
        if attempt.operation == "refund":
            return _ask_refund(provider, attempt)
        return _ask_payment(provider, attempt)
    except ProviderUnavailable as error:
        log.warning("provider_unavailable", subject_id=str(attempt.subject_id), error=str(error))
        return UNKNOWN


def look(provider: PaymentProvider, provider_payment_id: str) -> Answer:
    """Fetch how a payment stands now, outside any transaction.

    Raises:
        ProviderUnavailable: the provider could not be asked.
        ProviderRejected: it has no such payment.
    """
    return _answer_of(provider.fetch_payment(provider_payment_id))


def _ask_payment(provider: PaymentProvider, attempt: Attempt) -> Answer:
    try:
        payment = provider.create_payment(
            idempotency_key=attempt.key,
            amount=attempt.amount,
            currency=attempt.currency,
            token=attempt.token or "",
            metadata={attempt.operation: str(attempt.subject_id)},
        )
    except ProviderRejected as error:
        return _rejected(attempt, error)
    if payment.status == "pending":
        try:
            return look(provider, payment.id)
        except (ProviderUnavailable, ProviderRejected) as error:
            log.warning("provider_fetch_failed", payment_id=payment.id, error=str(error))
    return _answer_of(payment)


def _ask_refund(provider: PaymentProvider, attempt: Attempt) -> Answer:
    if attempt.provider_payment_id is None:
        raise ValueError("a refund needs the payment's id at the provider")
    try:
        refund = provider.refund(
            idempotency_key=attempt.key,
            payment_id=attempt.provider_payment_id,
            amount=attempt.amount,
        )
    except ProviderRejected as error:
        return _rejected(attempt, error)
    return Answer(refund.status, refund.id)


def _rejected(attempt: Attempt, error: ProviderRejected) -> Answer:
    log.warning("provider_rejected", subject_id=str(attempt.subject_id), code=error.code)
    return UNKNOWN if error.code in SAYS_NOTHING else Answer("failed", None, error.code)


def _answer_of(payment: ProviderPayment) -> Answer:
    return Answer(payment.status, payment.id, payment.decline_code)
