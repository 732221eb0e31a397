"""What a provider's payment is to us."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from lms.payments.attempts import Subject
from lms.payments.models import Refund

FIND_SUBJECT = text("""
    SELECT 'payment' AS operation, id, amount, currency FROM payments
     WHERE provider = :provider AND provider_payment_id = :provider_payment_id
    UNION ALL
    SELECT 'top_up', id, amount, currency FROM wallet_top_ups
     WHERE provider = :provider AND provider_payment_id = :provider_payment_id
""")
FIND_UNNAMED = text("""
    SELECT 'payment' AS operation, id, amount, currency FROM payments
     WHERE provider = :provider AND id = CAST(:payment_id AS uuid) AND provider_payment_id IS NULL
    UNION ALL
    SELECT 'top_up', id, amount, currency FROM wallet_top_ups
     WHERE provider = :provider AND id = CAST(:top_up_id AS uuid) AND provider_payment_id IS NULL
""")


def find_subject(
    session: Session, provider: str, provider_payment_id: str, metadata: Mapping[str, str]
) -> Subject | None:
    """Return what a provider's payment is to us: a payment for a run or a top-up, or None.

    Args:
        session: the organization's session.
        provider: the provider's name.
        provider_payment_id: its identifier of the payment.
        metadata: what we sent along: it says which payment it is while the provider's identifier
            has not reached us.
    """
    values = {"provider": provider, "provider_payment_id": provider_payment_id}
    row = session.execute(FIND_SUBJECT, values).one_or_none()
    if row is None:
        row = session.execute(
            FIND_UNNAMED,
            {
                "provider": provider,
                "payment_id": _uuid(metadata.get("payment")),
                "top_up_id": _uuid(metadata.get("top_up")),
            },
        ).one_or_none()
    if row is None:
        return None
    return Subject(
        subject_id=row.id, operation=row.operation, amount=row.amount, currency=row.currency
    )


def open_refunds(session: Session, payment_id: UUID) -> list[tuple[Subject, str]]:
    """Return a payment's refunds that wait at the provider, each with its identifier there."""
    rows = session.scalars(
        select(Refund).where(
            Refund.payment_id == payment_id,
            Refund.state == "pending",
            Refund.provider_refund_id.is_not(None),
        )
    )
    return [
        (
            Subject(
                subject_id=row.id, operation="refund", amount=row.amount, currency=row.currency
            ),
            row.provider_refund_id or "",
        )
        for row in rows
    ]


def _uuid(value: str | None) -> UUID | None:
    try:
        return None if value is None else UUID(value)
    except ValueError:
        return None
