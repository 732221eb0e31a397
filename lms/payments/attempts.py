"""Tries at a provider: written before the call (`asking` makes it), answered after it.

The key of a try never changes: an unknown outcome is asked again with the same key, so money moves
once however often we ask. Payments, top-ups and refunds share this.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from lms.core.ids import new_id
from lms.payments.models import ProviderAttempt
from lms.payments.providers.base import ProviderRefund
from tenants.session import organization_of

Operation = Literal["payment", "top_up", "refund"]
Status = Literal["unknown", "pending", "succeeded", "failed", "canceled"]

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
        provider: the name of the provider that is asked.
        first_asked: when it may have been asked first.
        token: the means of payment; None for refunds.
        provider_id: its identifier at the provider, once known.
        provider_payment_id: for refunds: the payment at the provider.
    """

    key: str
    is_first: bool = False
    provider: str
    first_asked: datetime
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
        client_secret: what the learner's front end needs to finish the payment, while it is
            pending.
        refunds: of a payment or top-up: what was given back of it at the provider, by whomever. So
            too of the payment of a refund that the provider refused.
    """

    status: Status
    provider_id: str | None = None
    code: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    refunds: tuple[ProviderRefund, ...] = ()

    @property
    def is_final(self) -> bool:
        """Whether asking again would tell nothing new."""
        return self.status in ("succeeded", "failed", "canceled")

    @property
    def given_back(self) -> int:
        """What went back for good, in minor units."""
        return sum(refund.amount for refund in self.refunds if refund.status == "succeeded")


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
