"""What the provider still has to be asked about payments, top-ups and refunds."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from lms.payments.attempts import Attempt, Operation, begin_attempt, open_attempt
from lms.payments.models import Payment, ProviderAttempt, Refund, WalletTopUp

HOLD_OPEN_REFUND = text("""
    SELECT p.provider FROM refunds r JOIN payments p ON p.id = r.payment_id
     WHERE r.id = :id AND r.destination = 'provider' AND r.state IN ('created', 'pending')
       FOR NO KEY UPDATE OF r
""")
OPEN_REFUND_STATES = ("created", "pending")


def open_work(session: Session, subject_id: UUID) -> tuple[Attempt, datetime] | None:
    """Return what to ask the provider about a payment, top-up or refund, and since when it is open.

    An open refund without a try that may still succeed gets its next one here.

    Returns:
        None when the outcome is known.
    """
    found = open_attempt(session, subject_id) or _next_refund_attempt(session, subject_id)
    return None if found is None else _work_of(session, *found)


def is_open(session: Session, subject_id: UUID) -> bool:
    """Tell whether the provider still has to be asked about a payment, top-up or refund."""
    refund = session.get(Refund, subject_id, populate_existing=True)
    if refund is not None:
        return refund.state in OPEN_REFUND_STATES
    return open_attempt(session, subject_id) is not None


def _next_refund_attempt(session: Session, refund_id: UUID) -> tuple[ProviderAttempt, bool] | None:
    """Begin the next try at an open refund: the first, or one after a definite refusal."""
    provider = session.execute(HOLD_OPEN_REFUND, {"id": refund_id}).scalar()
    if provider is None:
        return None
    # somebody else may have begun it while this waited for the refund's row
    if open_attempt(session, refund_id) is None:
        begin_attempt(session, refund_id, "refund", provider=provider)
    return open_attempt(session, refund_id)


def _work_of(session: Session, row: ProviderAttempt, is_first: bool) -> tuple[Attempt, datetime]:
    operation: Operation = row.operation  # pyright: ignore[reportAssignmentType] - ours alone
    if operation == "refund":
        found = session.execute(
            select(Refund.amount, Refund.currency, Refund.created_at, Payment.provider_payment_id)
            .join(Payment, Payment.id == Refund.payment_id)
            .where(Refund.id == row.subject_id)
        ).one()
    else:
        table = Payment if operation == "payment" else WalletTopUp
        found = session.execute(
            select(table.amount, table.currency, table.created_at, table.provider_payment_id).where(
                table.id == row.subject_id
            )
        ).one()
    attempt = Attempt(
        subject_id=row.subject_id,
        operation=operation,
        amount=found.amount,
        currency=found.currency,
        key=row.key,
        is_first=is_first,
        provider=row.provider,
        first_asked=row.created_at,
        token=row.token,
        provider_id=row.provider_id,
        provider_payment_id=found.provider_payment_id,
    )
    return attempt, found.created_at
