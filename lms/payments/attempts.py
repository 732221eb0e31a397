"""Tries at a provider: written before the call, asked outside any transaction, answered after.

The key of a try never changes: an unknown outcome is asked again with the same key, so money moves
once however often we ask. Payments, top-ups and refunds share this.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

import structlog
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from lms.core.ids import new_id
from lms.payments.models import ProviderAttempt
from lms.payments.providers.base import (
    PaymentProvider,
    ProviderPayment,
    ProviderRefund,
    ProviderRejected,
    ProviderUnavailable,
)
from tenants.session import organization_of

log = structlog.get_logger()

Operation = Literal["payment", "top_up", "refund"]
Status = Literal["unknown", "pending", "succeeded", "failed", "canceled"]

REFUSED_MEANS = frozenset({"unknown_token", "declined"})
"""Rejections that are about the means of payment: no money moved and none will."""

REFUSED_REFUNDS = frozenset({"refund_exceeds_payment", "payment_not_refundable"})
"""Rejections that are about the payment to be given back, and not about how we asked."""

RECORD_ANSWER = text("""
    UPDATE provider_attempts
       SET outcome = CAST(:outcome AS text), provider_id = COALESCE(:provider_id, provider_id),
           answered_at = now()
     WHERE subject_id = :subject_id
       AND attempt = (SELECT max(attempt) FROM provider_attempts WHERE subject_id = :subject_id)
       AND (outcome IN ('unknown', 'pending') OR CAST(:outcome AS text) = 'succeeded')
""")
OUTCOMES: dict[Status, str] = {
    "unknown": "unknown",
    "pending": "pending",
    "succeeded": "succeeded",
    "failed": "failed",
    "canceled": "failed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What money moves for.

    Attributes:
        subject_id: the payment, top-up or refund.
        operation: which of these it is.
        amount: minor units of `currency`.
        currency: ISO 4217.
    """

    subject_id: UUID
    operation: Operation
    amount: int
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt(Subject):
    """What a provider is asked.

    Attributes:
        key: the idempotency key.
        is_first: nobody can have asked with this key before, so a rejection tells all.
        token: the means of payment; None for refunds.
        provider_id: its identifier at the provider, once known.
        provider_payment_id: for refunds: the payment at the provider.
    """

    key: str
    is_first: bool = False
    token: str | None = None
    provider_id: str | None = None
    provider_payment_id: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a provider said.

    Attributes:
        status: `unknown` when it could not be asked, or did not make sense; `failed` is a definite
            no.
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
) -> None:
    """Write that the provider will be asked, in the transaction of what it will be asked for.

    Args:
        session: the organization's session.
        subject_id: the payment, top-up or refund.
        operation: which of these.
        provider: the provider's name.
        token: the means of payment, kept so that the same request can be made again.
    """
    organization_id = organization_of(session).id
    earlier = select(func.max(ProviderAttempt.attempt)).where(
        ProviderAttempt.subject_id == subject_id
    )
    number = (session.scalar(earlier) or 0) + 1
    session.add(
        ProviderAttempt(
            id=new_id(),
            subject_id=subject_id,
            operation=operation,
            attempt=number,
            key=f"{organization_id}:{subject_id}:{operation}:{number}",
            token=token,
            provider=provider,
        )
    )
    session.flush()


def open_attempt(session: Session, subject_id: UUID) -> tuple[ProviderAttempt, bool] | None:
    """Return the try whose outcome is not final yet, or None.

    Returns:
        The try, and whether it was written in this very transaction: nobody can have asked then.
    """
    row = session.execute(
        select(ProviderAttempt, ProviderAttempt.created_at == func.now()).where(
            ProviderAttempt.subject_id == subject_id,
            ProviderAttempt.outcome.in_(("unknown", "pending")),
        )
    ).one_or_none()
    return None if row is None else (row[0], row[1])


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

    What the provider has named already is fetched. A repeated request gets the first answer,
    however old, so what was pending then is fetched too, to learn how it stands now.
    """
    try:
        if attempt.operation == "refund":
            return _ask_refund(provider, attempt)
        return _ask_payment(provider, attempt)
    except ProviderUnavailable as error:
        log.warning("provider_unavailable", subject_id=str(attempt.subject_id), error=str(error))
        return UNKNOWN
    except ProviderRejected as error:
        return _rejected(attempt, error)


def look(provider: PaymentProvider, subject: Subject, provider_id: str) -> Answer:
    """Fetch how a payment, top-up or refund stands now, outside any transaction.

    Args:
        provider: the organization's.
        subject: what it is to us.
        provider_id: its identifier at the provider.

    Raises:
        ProviderUnavailable: the provider could not be asked.
        ProviderRejected: it has no such payment or refund.
    """
    if subject.operation == "refund":
        return _answer_of_refund(subject, provider.fetch_refund(provider_id))
    return _answer_of_payment(subject, provider.fetch_payment(provider_id))


def recognize(provider: PaymentProvider, attempt: Attempt, provider_ids: Iterable[str]) -> Answer:
    """Find an attempt's payment among ones that the provider told of, by what we sent along.

    Args:
        provider: the organization's.
        attempt: a payment or top-up that the provider has not named to us.
        provider_ids: payments at the provider that we do not know yet.

    Returns:
        How it stands now; unknown when none of them is ours.
    """
    for provider_id in provider_ids:
        try:
            payment = provider.fetch_payment(provider_id)
        except ProviderUnavailable:
            return UNKNOWN
        except ProviderRejected:
            continue
        if payment.metadata.get(attempt.operation) == str(attempt.subject_id):
            return _answer_of_payment(attempt, payment)
    return UNKNOWN


def _ask_payment(provider: PaymentProvider, attempt: Attempt) -> Answer:
    if attempt.provider_id is not None:
        return look(provider, attempt, attempt.provider_id)
    payment = provider.create_payment(
        idempotency_key=attempt.key,
        amount=attempt.amount,
        currency=attempt.currency,
        token=attempt.token or "",
        metadata={attempt.operation: str(attempt.subject_id)},
    )
    answer = _answer_of_payment(attempt, payment)
    return answer if answer.status != "pending" else _look_again(provider, attempt, answer)


def _ask_refund(provider: PaymentProvider, attempt: Attempt) -> Answer:
    if attempt.provider_id is not None:
        return look(provider, attempt, attempt.provider_id)
    if attempt.provider_payment_id is None:
        raise ValueError("a refund needs the payment's id at the provider")
    refund = provider.refund(
        idempotency_key=attempt.key,
        payment_id=attempt.provider_payment_id,
        amount=attempt.amount,
    )
    answer = _answer_of_refund(attempt, refund)
    return answer if answer.status != "pending" else _look_again(provider, attempt, answer)


def _look_again(provider: PaymentProvider, attempt: Attempt, pending: Answer) -> Answer:
    """Learn how a pending thing stands now; a fetch that fails leaves it pending."""
    try:
        return look(provider, attempt, pending.provider_id or "")
    except (ProviderUnavailable, ProviderRejected) as error:
        log.warning("provider_fetch_failed", provider_id=pending.provider_id, error=str(error))
        return pending


def _rejected(attempt: Attempt, error: ProviderRejected) -> Answer:
    """Believe a rejection only when it is about the money and the first request itself got it.

    After an unknown outcome, a rejection says nothing about what the first request did.
    """
    definite = REFUSED_REFUNDS if attempt.operation == "refund" else REFUSED_MEANS
    if attempt.is_first and error.code in definite:
        log.warning("provider_rejected", subject_id=str(attempt.subject_id), code=error.code)
        return Answer("failed", None, error.code)
    log.error(
        "provider_rejected_unclear",
        subject_id=str(attempt.subject_id),
        operation=attempt.operation,
        code=error.code,
        error=error.message,
    )
    return UNKNOWN


def _answer_of_payment(subject: Subject, payment: ProviderPayment) -> Answer:
    if (payment.amount, payment.currency) != (subject.amount, subject.currency):
        return _differs(subject, payment.id, payment.amount, payment.currency)
    return Answer(payment.status, payment.id, payment.decline_code)


def _answer_of_refund(subject: Subject, refund: ProviderRefund) -> Answer:
    if refund.amount != subject.amount:
        return _differs(subject, refund.id, refund.amount, subject.currency)
    code = "refund_failed" if refund.status == "failed" else None
    return Answer(refund.status, refund.id, code)


def _differs(subject: Subject, provider_id: str, amount: int, currency: str) -> Answer:
    """Never book another sum than what was asked for: people have to look."""
    log.error(
        "provider_amount_differs",
        subject_id=str(subject.subject_id),
        operation=subject.operation,
        provider_id=provider_id,
        ours=f"{subject.amount} {subject.currency}",
        theirs=f"{amount} {currency}",
    )
    return UNKNOWN
