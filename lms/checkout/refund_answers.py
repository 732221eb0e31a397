"""What a provider says of refunds, and what follows for payment and enrollment."""

from __future__ import annotations

from uuid import UUID

import structlog
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from lms.enrollments.models import Enrollment
from lms.enrollments.transitions import Change, end
from lms.payments import receipts
from lms.payments.attempts import Answer, record_answer

log = structlog.get_logger()

# Payment before refund: every answer to a payment's refunds waits here for the one before it.
HOLD_PAYMENT = text("""
    SELECT p.id, p.live, p.disputed_at IS NOT NULL AS is_disputed,
           p.refunded_amount + p.lost_amount > p.amount AS is_lost, r.created_by
      FROM refunds r JOIN payments p ON p.id = r.payment_id
     WHERE r.id = :id FOR NO KEY UPDATE OF p
""")
SUCCEED = text("""
    UPDATE refunds
       SET state = 'succeeded', succeeded_at = now(), failure_code = NULL,
           provider_refund_id = COALESCE(:provider_id, provider_refund_id)
     WHERE id = :id AND state IN ('created', 'pending')
    RETURNING id
""")
WAIT = text("""
    UPDATE refunds SET state = 'pending', failure_code = NULL, provider_refund_id = :provider_id
     WHERE id = :id AND state = 'created'
""")
FAIL = text("""
    WITH refused AS (
        UPDATE refunds SET state = 'failed', failure_code = CAST(:code AS text)
         WHERE id = :id AND state IN ('created', 'pending')
        RETURNING payment_id, amount
    )
    UPDATE payments
       SET refunded_amount = payments.refunded_amount - refused.amount,
           version = payments.version + 1
      FROM refused
     WHERE payments.id = refused.payment_id
    RETURNING payments.id
""")
KEEP_OPEN = text("""
    UPDATE refunds
       SET state = 'created', provider_refund_id = NULL, failure_code = CAST(:code AS text)
     WHERE id = :id AND state IN ('created', 'pending')
""")
NOT_LIVE = text("UPDATE payments SET live = false, version = version + 1 WHERE id = :id AND live")
# On its own, after the payment is held: every refund of it is seen as it stands.
IS_ALL_GIVEN_BACK = text("""
    SELECT p.amount = (SELECT sum(r.amount) FROM refunds r
                        WHERE r.payment_id = p.id AND r.state IN ('pending', 'succeeded'))
      FROM payments p WHERE p.id = :id
""")


def apply_refund(
    session: Session, refund_id: UUID, answer: Answer, *, gives_way: bool = False
) -> bool:
    """Apply what the provider said of a refund; repeats change nothing.

    Once the provider has taken the last part of a payment, its enrollment ends. A refund that the
    provider definitely refuses leaves payment and seat as they were while there is a seat. Without
    one the learner's money is still owed, so the refund stays open to be asked anew: unless the
    learner got it another way, by others' refunds or by a dispute. While a bank decides, nobody
    knows that yet.

    Args:
        session: the organization's session.
        refund_id: which.
        answer: what the provider said.
        gives_way: others gave back at the provider what is not booked yet.

    Returns:
        Whether the refund was given up by this.
    """
    is_given_up = False
    payment = session.execute(HOLD_PAYMENT, {"id": refund_id}).one()
    values = {"id": refund_id, "provider_id": answer.provider_id}
    if answer.status == "succeeded":
        if session.execute(SUCCEED, values).one_or_none() is not None:
            receipts.issue(session, "refund", refund_id)
    elif answer.status == "pending":
        session.execute(WAIT, values)
    elif answer.status != "unknown":
        is_elsewhere = (payment.is_lost or gives_way) and not payment.is_disputed
        is_over = payment.live or is_elsewhere
        refusal = {"id": refund_id, "code": answer.code}
        if is_over:
            is_given_up = session.execute(FAIL, refusal).one_or_none() is not None
        else:
            session.execute(KEEP_OPEN, refusal)
        log.error("refund_refused", refund_id=str(refund_id), code=answer.code)
    if answer.status in ("succeeded", "pending"):
        end_if_all_is_given_back(session, payment.id, payment.created_by)
    record_answer(session, refund_id, answer)
    session.expire_all()
    return is_given_up


def end_if_all_is_given_back(session: Session, payment_id: UUID, actor_id: UUID | None) -> None:
    """End the enrollment of a payment of which the wallet or the provider has taken every part.

    Args:
        session: the organization's session, in which the payment is held.
        payment_id: which.
        actor_id: who gave the last part back; None for the platform itself.
    """
    if not session.execute(IS_ALL_GIVEN_BACK, {"id": payment_id}).scalar():
        return
    enrollment_id = session.scalar(select(Enrollment.id).where(Enrollment.payment_id == payment_id))
    if enrollment_id is None:
        return
    if end(session, enrollment_id, Change("refunded", actor_id)):
        session.execute(NOT_LIVE, {"id": payment_id})
