"""Applying what a provider said of payments: one way for requests, webhooks and the sweeper.

Every statement moves forward only (`WHERE state IN ...`), so repeats, old news and news out of
order change nothing. Late money gets its seat back when one is free, and is refunded otherwise.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Row, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from lms.checkout.refunds import apply_refund, refund_late_money
from lms.core.ids import new_id
from lms.core.queue import Doorbell
from lms.enrollments.errors import RunFullError, TransitionNotAllowedError
from lms.enrollments.models import Enrollment
from lms.enrollments.transitions import Change, move, try_move
from lms.payments.attempts import Answer, Attempt, Operation, open_attempt, record_answer
from lms.payments.models import Payment, ProviderAttempt, Refund, WalletTopUp
from lms.payments.operations import apply_top_up

SUCCEED = text("""
    UPDATE payments
       SET state = 'succeeded', succeeded_at = now(), failure_code = NULL, version = version + 1,
           provider_payment_id = COALESCE(CAST(:provider_id AS text), provider_payment_id)
     WHERE id = :id AND method = 'provider' AND state <> 'succeeded'
    RETURNING live
""")
FAIL = text("""
    UPDATE payments
       SET state = CAST(:state AS text), live = false, failure_code = CAST(:code AS text),
           version = version + 1,
           provider_payment_id = COALESCE(CAST(:provider_id AS text), provider_payment_id)
     WHERE id = :id AND method = 'provider' AND state IN ('created', 'pending')
    RETURNING id
""")
WAIT = text("""
    UPDATE payments
       SET state = 'pending', version = version + 1,
           provider_payment_id = COALESCE(CAST(:provider_id AS text), provider_payment_id)
     WHERE id = :id AND method = 'provider' AND state = 'created'
""")
REVIVE = text("UPDATE payments SET live = true WHERE id = :id")
KEPT_EVENTS_APPLIED = text("""
    UPDATE webhook_events SET applied_at = now()
     WHERE provider_payment_id = :provider_id AND applied_at IS NULL
""")
LET_GO = text("""
    UPDATE payments
       SET live = false, version = payments.version + 1
      FROM enrollments e
     WHERE e.id = :id AND e.state = 'pending' AND e.hold_until <= now()
       AND payments.id = e.payment_id AND payments.live
       AND payments.state IN ('created', 'pending')
    RETURNING payments.id
""")
FIND_SUBJECT = text("""
    SELECT 'payment' AS operation, id FROM payments
     WHERE provider = :provider AND provider_payment_id = :provider_payment_id
    UNION ALL
    SELECT 'top_up', id FROM wallet_top_ups
     WHERE provider = :provider AND provider_payment_id = :provider_payment_id
""")


def apply(
    session: Session,
    doorbell: Doorbell,
    operation: Operation,
    subject_id: UUID,
    answer: Answer,
) -> None:
    """Apply a provider's answer to what was asked for; repeats change nothing.

    Args:
        session: the organization's session.
        doorbell: rung when a refund has to follow.
        operation: what was asked for.
        subject_id: the payment, top-up or refund.
        answer: what the provider said; `unknown` changes nothing.
    """
    if operation == "refund":
        apply_refund(session, subject_id, answer)
        return
    if operation == "top_up":
        apply_top_up(session, subject_id, answer)
    else:
        apply_payment(session, doorbell, subject_id, answer)
    if answer.is_final and answer.provider_id is not None:
        session.execute(KEPT_EVENTS_APPLIED, {"provider_id": answer.provider_id})


def apply_payment(session: Session, doorbell: Doorbell, payment_id: UUID, answer: Answer) -> None:
    """Apply what the provider said of a payment for a run: seat and state follow the money."""
    values = {"id": payment_id, "provider_id": answer.provider_id}
    if answer.status == "succeeded":
        paid = session.execute(SUCCEED, values).one_or_none()
        if paid is not None:
            _seat(session, doorbell, payment_id, was_live=paid.live)
    elif answer.status in ("failed", "canceled"):
        values = {**values, "state": answer.status, "code": answer.code}
        if session.execute(FAIL, values).one_or_none() is not None:
            _let_seat_go(session, payment_id)
    elif answer.status == "pending":
        session.execute(WAIT, values)
    record_answer(session, payment_id, answer)
    session.expire_all()


def expire(session: Session, enrollment_id: UUID) -> bool:
    """Give an unpaid seat back whose hold has run out, by the database's clock.

    The payment stays open at the provider: what arrives late is handled when it arrives.

    Returns:
        Whether it expired now.
    """
    if session.execute(LET_GO, {"id": enrollment_id}).one_or_none() is None:
        return False
    moved = try_move(session, enrollment_id, "expired", Change("hold_ran_out"), only_from="pending")
    if not moved:
        raise RuntimeError(f"enrollment {enrollment_id} changed without its payment")
    return True


def open_work(session: Session, subject_id: UUID) -> tuple[Attempt, datetime] | None:
    """Return what to ask the provider about a payment, top-up or refund, and since when it is open.

    Returns:
        None when the outcome is known.
    """
    row = open_attempt(session, subject_id)
    return None if row is None else (_attempt_of(session, row), row.created_at)


def find_subject(
    session: Session, provider: str, provider_payment_id: str
) -> tuple[Operation, UUID] | None:
    """Return what a provider's payment is to us: a payment for a run or a top-up, or None."""
    row: Row[tuple[Operation, UUID]] | None = session.execute(
        FIND_SUBJECT, {"provider": provider, "provider_payment_id": provider_payment_id}
    ).one_or_none()
    return None if row is None else (row.operation, row.id)


def _attempt_of(session: Session, row: ProviderAttempt) -> Attempt:
    operation: Operation = row.operation  # pyright: ignore[reportAssignmentType] - ours alone
    if operation == "refund":
        found = session.execute(
            select(Refund.amount, Refund.currency, Payment.provider_payment_id)
            .join(Payment, Payment.id == Refund.payment_id)
            .where(Refund.id == row.subject_id)
        ).one()
    else:
        table = Payment if operation == "payment" else WalletTopUp
        found = session.execute(
            select(table.amount, table.currency, table.provider_payment_id).where(
                table.id == row.subject_id
            )
        ).one()
    return Attempt(
        subject_id=row.subject_id,
        operation=operation,
        key=row.key,
        amount=found.amount,
        currency=found.currency,
        token=row.token,
        provider_payment_id=found.provider_payment_id,
    )


def _seat(session: Session, doorbell: Doorbell, payment_id: UUID, *, was_live: bool) -> None:
    """Give the learner what was just paid for, or the money back."""
    enrollment_id = _enrollment_of(session, payment_id)
    if was_live:
        if try_move(session, enrollment_id, "active", Change("paid"), only_from="pending"):
            return
    elif _seat_again(session, payment_id, enrollment_id):
        return
    refund_late_money(session, doorbell, payment_id, refund_id=new_id())


def _seat_again(session: Session, payment_id: UUID, enrollment_id: UUID) -> bool:
    """Reopen an expired enrollment when a seat is free and no newer enrollment took its place."""
    try:
        # the connection's savepoint: one of the session would bind it to the organization anew
        with session.connection().begin_nested():
            session.execute(REVIVE, {"id": payment_id})
            move(session, enrollment_id, "active", Change("paid_late"))
    except (RunFullError, TransitionNotAllowedError):
        return False
    except IntegrityError as error:
        if "uq_payments_live" in str(error.orig) or "uq_enrollments_live" in str(error.orig):
            return False
        raise
    return True


def _let_seat_go(session: Session, payment_id: UUID) -> None:
    enrollment_id = _enrollment_of(session, payment_id)
    try_move(session, enrollment_id, "cancelled", Change("payment_failed"), only_from="pending")


def _enrollment_of(session: Session, payment_id: UUID) -> UUID:
    return session.scalars(select(Enrollment.id).where(Enrollment.payment_id == payment_id)).one()
