"""Refunds that the provider does not make any more, because the payment's dispute was lost."""

from __future__ import annotations

from uuid import UUID

import structlog
from sqlalchemy import text
from sqlalchemy.orm import Session

from lms.checkout.refund_answers import HOLD_PAYMENT, apply_refund
from lms.checkout.refunds import refund_owed
from lms.core.queue import Doorbell
from lms.payments import receipts
from lms.payments.attempts import Answer, open_attempt
from lms.payments.models import Payment, Refund
from lms.payments.operations import ensure_wallet

log = structlog.get_logger()

PAYMENT_DISPUTED = "payment_disputed"
FIND = text("""
    SELECT p.user_id FROM refunds r JOIN payments p ON p.id = r.payment_id
     WHERE r.id = :id AND r.state = 'created' AND r.failure_code = :code
       AND p.lost_amount > 0 AND p.disputed_at IS NULL AND NOT p.live
""")
# Wallet before payment, as every posting.
HOLD_WALLET = text("""
    SELECT w.id
      FROM refunds r
      JOIN payments p ON p.id = r.payment_id
      JOIN wallets w ON w.user_id = p.user_id AND w.currency = p.currency
     WHERE r.id = :id FOR NO KEY UPDATE OF w
""")
# Whoever begins a try holds the refund.
HOLD_REFUND = text("SELECT id FROM refunds WHERE id = :id FOR NO KEY UPDATE")


def give_to_wallet(session: Session, doorbell: Doorbell, refund_id: UUID) -> bool:
    """Give to the learner's wallet what the provider refuses since a part of it was lost.

    Banks decide once, and providers refund nothing of such a payment afterwards: what is left of it
    is still owed to whoever has no seat, and would be asked for in vain.

    Args:
        session: the organization's session, in which nothing is held yet.
        doorbell: of the queue.
        refund_id: which; of any other nothing is changed.

    Returns:
        Whether the refund is over: what is owed of it, if anything, was given.
    """
    values = {"id": refund_id, "code": PAYMENT_DISPUTED}
    user_id = session.execute(FIND, values).scalar_one_or_none()
    if user_id is None:
        return False
    ensure_wallet(session, user_id)
    if session.execute(HOLD_WALLET, {"id": refund_id}).one_or_none() is None:
        log.error("refund_not_payable", refund_id=str(refund_id))  # a wallet in another currency
        return False
    session.execute(HOLD_PAYMENT, {"id": refund_id})
    session.execute(HOLD_REFUND, {"id": refund_id})
    changed = session.execute(FIND, values).one_or_none() is None
    if changed or open_attempt(session, refund_id) is not None:
        return False  # a try whose outcome nobody knows may have given it back
    refused = Answer("failed", None, PAYMENT_DISPUTED)
    if not apply_refund(session, refund_id, refused, gives_way=True):
        return False
    refund = session.get_one(Refund, refund_id)
    payment = session.get_one(Payment, refund.payment_id)
    given = refund_owed(session, doorbell, refund, payment, destination="wallet")
    if given is not None:
        receipts.issue(session, "refund", given.id)
    return True
