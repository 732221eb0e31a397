"""Refunds that somebody made at the provider, past us: booked as refunds of their own.

Ours carry what we sent along, so they are never taken for somebody else's, also while their answer
is still on its way to us.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

import structlog
from sqlalchemy import text
from sqlalchemy.orm import Session

from lms.checkout.refund_answers import end_if_all_is_given_back
from lms.core import audit
from lms.core.ids import new_id
from lms.payments import receipts
from lms.payments.providers.base import ProviderRefund

log = structlog.get_logger()

MADE_AT_PROVIDER = "made_at_provider"

# The payment before its refunds, as every answer to one of them.
HOLD_PAYMENT = text("SELECT id FROM payments WHERE id = :id FOR NO KEY UPDATE")
FIND_BOOKED = text("""
    SELECT provider_refund_id FROM refunds
     WHERE payment_id = :id AND provider_refund_id IS NOT NULL
""")
BOOK = text("""
    WITH payment AS (
        UPDATE payments
           SET refunded_amount = refunded_amount + CAST(:amount AS bigint), version = version + 1
         WHERE id = :payment_id AND state = 'succeeded'
           AND refunded_amount + CAST(:amount AS bigint) <= amount
        RETURNING id, currency, refunded_amount
    ), refund AS (
        INSERT INTO refunds
               (id, payment_id, amount, currency, destination, state, provider_refund_id, reason,
                succeeded_at)
        SELECT CAST(:refund_id AS uuid), payment.id, CAST(:amount AS bigint), payment.currency,
               'provider', 'succeeded', CAST(:provider_refund_id AS text), CAST(:reason AS text),
               now()
          FROM payment
        RETURNING id
    )
    SELECT payment.refunded_amount, payment.currency FROM payment CROSS JOIN refund
""")


def unbooked(
    session: Session, payment_id: UUID, refunds: Iterable[ProviderRefund]
) -> list[ProviderRefund]:
    """Return which of a payment's refunds at the provider are neither ours nor booked yet.

    Those that are still on their way there, or failed, are left out: only money that has gone is
    booked. The payment is held from here on.

    Args:
        session: the organization's session.
        payment_id: whose refunds.
        refunds: all that the provider has of it.
    """
    gone = [one for one in refunds if one.status == "succeeded" and not one.metadata]
    if not gone:
        return []
    session.execute(HOLD_PAYMENT, {"id": payment_id})
    booked = set(session.execute(FIND_BOOKED, {"id": payment_id}).scalars())
    return [one for one in gone if one.id not in booked]


def book(session: Session, payment_id: UUID, refunds: Sequence[ProviderRefund]) -> bool:
    """Book refunds that were made at the provider; with the last part the enrollment ends.

    What would exceed the payment is not booked, because refunds of ours are in its way: it is
    logged, and tried again when one of these is refused, or fails later.

    Args:
        session: the organization's session, in which `unbooked` found them.
        payment_id: whose refunds.
        refunds: which.

    Returns:
        Whether all of them are booked.
    """
    made = 0
    for refund in refunds:
        refund_id = new_id()
        values = {
            "payment_id": payment_id,
            "refund_id": refund_id,
            "amount": refund.amount,
            "provider_refund_id": refund.id,
            "reason": MADE_AT_PROVIDER,
        }
        booked = session.execute(BOOK, values).one_or_none()
        if booked is None:
            log.error(
                "refund_not_bookable",
                payment_id=str(payment_id),
                provider_refund_id=refund.id,
                amount=refund.amount,
            )
            continue
        made += 1
        receipts.issue(session, "refund", refund_id)
        audit.record(
            session,
            "payment.refund",
            ("payment", payment_id),
            actor_id=None,
            before={"refunded_amount": booked.refunded_amount - refund.amount},
            after={
                "refunded_amount": booked.refunded_amount,
                "refund_id": str(refund_id),
                "amount": refund.amount,
                "currency": booked.currency,
                "destination": "provider",
                "reason": MADE_AT_PROVIDER,
            },
        )
    if made:
        end_if_all_is_given_back(session, payment_id, None)
    return made == len(refunds)
