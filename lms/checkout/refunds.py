"""Giving money back: to the wallet at once, to a provider in two steps."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import structlog
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from lms.core import audit, clock, queue
from lms.core.actor import Actor
from lms.core.errors import NotFoundError
from lms.core.queue import Doorbell
from lms.enrollments.models import Enrollment
from lms.enrollments.transitions import Change, try_move
from lms.payments.attempts import Answer, record_answer
from lms.payments.errors import NotRefundableError
from lms.payments.models import Payment, Refund
from lms.payments.operations import ASK_AGAIN_AFTER

log = structlog.get_logger()

# Wallet before payment: the lock order of every posting. The last step says whether it happened.
REFUND_TO_WALLET = text("""
    WITH credited AS (
        UPDATE wallets
           SET balance = wallets.balance + CAST(:amount AS bigint), seq = wallets.seq + 1
          FROM payments p
         WHERE p.id = :payment_id AND p.method = 'wallet' AND wallets.user_id = p.user_id
           AND wallets.currency = p.currency
        RETURNING wallets.id, wallets.seq, wallets.balance
    ), payment AS (
        UPDATE payments
           SET refunded_amount = payments.refunded_amount + CAST(:amount AS bigint),
               live = payments.live AND NOT CAST(:ends AS boolean),
               version = payments.version + 1
          FROM credited
         WHERE payments.id = :payment_id AND payments.state = 'succeeded'
           AND payments.refunded_amount = 0 AND payments.amount >= CAST(:amount AS bigint)
        RETURNING payments.id, payments.currency, payments.run_id
    ), refund AS (
        INSERT INTO refunds
               (id, payment_id, amount, currency, destination, state, reason, created_by,
                succeeded_at)
        SELECT CAST(:refund_id AS uuid), payment.id, CAST(:amount AS bigint), payment.currency,
               'wallet', 'succeeded', CAST(:reason AS text), CAST(:actor_id AS uuid), now()
          FROM payment
        RETURNING id
    ), posted AS (
        INSERT INTO wallet_transactions
               (wallet_id, seq, kind, amount, currency, balance_after, counter_account,
                payment_id, refund_id, reference, created_by)
        SELECT credited.id, credited.seq, 'refund', CAST(:amount AS bigint), payment.currency,
               credited.balance, 'run:' || payment.run_id, payment.id, refund.id,
               'refund:' || refund.id, CAST(:actor_id AS uuid)
          FROM credited CROSS JOIN payment CROSS JOIN refund
    )
    SELECT id FROM refund
""")
REFUND_TO_PROVIDER = text("""
    WITH payment AS (
        UPDATE payments
           SET refunded_amount = refunded_amount + CAST(:amount AS bigint),
               live = live AND NOT CAST(:ends AS boolean), version = version + 1
         WHERE id = :payment_id AND method = 'provider' AND state = 'succeeded'
           AND refunded_amount = 0 AND amount >= CAST(:amount AS bigint)
        RETURNING id, currency
    )
    INSERT INTO refunds (id, payment_id, amount, currency, destination, reason, created_by)
    SELECT CAST(:refund_id AS uuid), payment.id, CAST(:amount AS bigint), payment.currency,
           'provider', CAST(:reason AS text), CAST(:actor_id AS uuid)
      FROM payment
    RETURNING id
""")
# Payment before refund: every answer to a payment's refunds waits here for the one before it.
HOLD_PAYMENT = text("""
    SELECT p.id, p.live, r.created_by, r.amount = p.amount AS is_whole
      FROM refunds r JOIN payments p ON p.id = r.payment_id
     WHERE r.id = :id FOR NO KEY UPDATE OF p
""")
SUCCEED = text("""
    UPDATE refunds
       SET state = 'succeeded', succeeded_at = now(), failure_code = NULL,
           provider_refund_id = COALESCE(:provider_id, provider_refund_id)
     WHERE id = :id AND state IN ('created', 'pending')
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
""")
KEEP_OPEN = text("""
    UPDATE refunds
       SET state = 'created', provider_refund_id = NULL, failure_code = CAST(:code AS text)
     WHERE id = :id AND state IN ('created', 'pending')
""")
NOT_LIVE = text("UPDATE payments SET live = false, version = version + 1 WHERE id = :id AND live")
LATE_MONEY = "late_money"


def refund_payment(
    session: Session,
    doorbell: Doorbell,
    actor: Actor,
    payment_id: UUID,
    *,
    refund_id: UUID,
    reason: str,
) -> Refund:
    """Give the whole of a payment back to where it came from, and end its enrollment.

    An active or suspended enrollment is withdrawn, a completed one stays completed: at once for
    the wallet; for a provider as soon as it has taken the refund, so that nobody loses the seat
    for money that is refused.

    Args:
        session: the organization's session.
        doorbell: of the queue that looks after what a request leaves unfinished.
        actor: the admin.
        payment_id: which.
        refund_id: the same for every request with one Idempotency-Key.
        reason: for the journal; no personal data.

    Returns:
        The refund: succeeded for a wallet payment, created for a provider payment.

    Raises:
        NotFoundError: there is no such payment.
        NotRefundableError: it was not paid, cost nothing, or was given back already.
    """
    begun = session.get(Refund, refund_id)
    if begun is not None:
        return begun
    payment = session.get(Payment, payment_id)
    if payment is None:
        raise NotFoundError("There is no such payment.")
    refund = begin_refund(
        session,
        doorbell,
        payment,
        amount=payment.amount,
        refund_id=refund_id,
        reason=reason,
        actor_id=actor.user_id,
        ends=False,
        due_at=clock.now() + ASK_AGAIN_AFTER,
    )
    if refund.state == "succeeded":
        _end_enrollment(session, payment_id, actor.user_id)
    audit.record(
        session,
        "payment.refund",
        ("payment", payment_id),
        actor_id=actor.user_id,
        after={"refund_id": str(refund_id), "amount": payment.amount, "reason": reason},
    )
    return refund


def begin_refund(
    session: Session,
    doorbell: Doorbell,
    payment: Payment,
    *,
    amount: int,
    refund_id: UUID,
    reason: str,
    actor_id: UUID | None,
    ends: bool,
    due_at: datetime | None,
) -> Refund:
    """Post a refund to the wallet, or write the intention to refund through the provider.

    Who asks the provider opens the attempt (`settlement.open_work`).

    Args:
        session: the organization's session.
        doorbell: of the queue.
        payment: where the money came from.
        amount: minor units of the payment's currency.
        refund_id: identifier of the refund.
        reason: for the journal.
        actor_id: who; None for the platform itself.
        ends: the payment's enrollment ends with it, so that the learner may enroll anew.
        due_at: when the sweeper asks the provider, unless it has answered by then; None for now.

    Raises:
        NotRefundableError: there is not that much paid money, or some was given back already.
    """
    statement = REFUND_TO_WALLET if payment.method == "wallet" else REFUND_TO_PROVIDER
    values = {
        "payment_id": payment.id,
        "refund_id": refund_id,
        "amount": amount,
        "reason": reason,
        "actor_id": actor_id,
        "ends": ends,
    }
    if payment.method == "free" or session.execute(statement, values).one_or_none() is None:
        raise NotRefundableError(
            "There is no paid money left in this payment to give back.",
            state=payment.state,
            method=payment.method,
            refunded={"amount": payment.refunded_amount, "currency": payment.currency},
        )
    if payment.method == "provider":
        queue.enqueue(session, doorbell, queue.SETTLE_PAYMENT, refund_id, due_at=due_at)
    session.expire_all()
    return session.get_one(Refund, refund_id)


def refund_late_money(
    session: Session, doorbell: Doorbell, payment_id: UUID, *, refund_id: UUID
) -> None:
    """Give money back that arrived when the seat was gone: never kept, never lost."""
    payment = session.get_one(Payment, payment_id, populate_existing=True)
    begin_refund(
        session,
        doorbell,
        payment,
        amount=payment.amount,
        refund_id=refund_id,
        reason=LATE_MONEY,
        actor_id=None,
        ends=True,
        due_at=None,
    )


def apply_refund(session: Session, refund_id: UUID, answer: Answer) -> None:
    """Apply what the provider said of a refund; repeats change nothing.

    Once the provider has taken the refund of a whole payment, its enrollment ends. A refund that
    the provider definitely refuses leaves payment and seat as they were while there is a seat;
    without one the learner's money is still owed, so the refund stays open to be asked anew.
    """
    payment = session.execute(HOLD_PAYMENT, {"id": refund_id}).one()
    values = {"id": refund_id, "provider_id": answer.provider_id}
    if answer.status == "succeeded":
        session.execute(SUCCEED, values)
    elif answer.status == "pending":
        session.execute(WAIT, values)
    elif answer.status != "unknown":
        refusal = {"id": refund_id, "code": answer.code}
        session.execute(FAIL if payment.live else KEEP_OPEN, refusal)
        log.error("refund_refused", refund_id=str(refund_id), code=answer.code)
    if payment.is_whole and answer.status in ("succeeded", "pending"):
        _end_enrollment(session, payment.id, payment.created_by)
    record_answer(session, refund_id, answer)
    session.expire_all()


def _end_enrollment(session: Session, payment_id: UUID, actor_id: UUID | None) -> None:
    enrollment_id = session.scalar(select(Enrollment.id).where(Enrollment.payment_id == payment_id))
    if enrollment_id is None:
        return
    if try_move(session, enrollment_id, "withdrawn", Change("refunded", actor_id)):
        session.execute(NOT_LIVE, {"id": payment_id})
