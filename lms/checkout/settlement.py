"""Applying what a provider said of payments: one way for requests, webhooks and the sweeper.

Every statement moves forward only (`WHERE state IN ...`), so repeats, old news and news out of
order change nothing. Late money gets its seat back when one is free, and is refunded otherwise.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from lms.checkout import redemptions
from lms.checkout.refund_answers import apply_refund
from lms.checkout.refunds import LATE_MONEY, refund_late_money
from lms.core.ids import new_id
from lms.core.queue import Doorbell
from lms.coupons.errors import CouponUsedUpError
from lms.enrollments.errors import RunFullError, TransitionNotAllowedError
from lms.enrollments.models import Enrollment
from lms.enrollments.transitions import Change, move, try_move
from lms.payments import receipts
from lms.payments.attempts import (
    Answer,
    Attempt,
    Operation,
    Subject,
    begin_attempt,
    open_attempt,
    record_answer,
)
from lms.payments.models import Payment, ProviderAttempt, Refund, WalletTopUp
from lms.payments.operations import apply_top_up
from lms.payments.providers.base import ProviderEvent

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
    RETURNING coupon_used
""")
WAIT = text("""
    UPDATE payments
       SET state = 'pending', version = version + 1,
           provider_payment_id = COALESCE(CAST(:provider_id AS text), provider_payment_id)
     WHERE id = :id AND method = 'provider' AND state = 'created'
""")
REVIVE = text("""
    UPDATE payments SET live = true, coupon_used = coupon_code IS NOT NULL WHERE id = :id
    RETURNING coupon_used
""")
KEPT_EVENTS_APPLIED = text("""
    UPDATE webhook_events SET applied_at = now()
      FROM (SELECT provider, account, event_id FROM webhook_events
             WHERE provider_payment_id = :provider_id AND applied_at IS NULL
             ORDER BY provider, account, event_id FOR NO KEY UPDATE) AS kept
     WHERE (webhook_events.provider, webhook_events.account, webhook_events.event_id)
           = (kept.provider, kept.account, kept.event_id)
""")
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
HOLD_OPEN_REFUND = text("""
    SELECT p.provider FROM refunds r JOIN payments p ON p.id = r.payment_id
     WHERE r.id = :id AND r.destination = 'provider' AND r.state IN ('created', 'pending')
       FOR NO KEY UPDATE OF r
""")
HOLD_RUN = text("""
    SELECT r.id FROM enrollments e JOIN course_runs r ON r.id = e.run_id
     WHERE e.id = :id AND r.state = 'scheduled' AND r.version_id = e.version_id
       FOR SHARE OF r
""")
OPEN_REFUND_STATES = ("created", "pending")


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
            receipts.issue(session, "payment", payment_id)
    elif answer.status in ("failed", "canceled"):
        values = {**values, "state": answer.status, "code": answer.code}
        failed = session.execute(FAIL, values).one_or_none()
        if failed is not None:
            _let_seat_go(session, payment_id)
            if failed.coupon_used:
                redemptions.give_back(session, [payment_id])
    elif answer.status == "pending":
        session.execute(WAIT, values)
    record_answer(session, payment_id, answer)
    session.expire_all()


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


def find_subject(session: Session, provider: str, event: ProviderEvent) -> Subject | None:
    """Return what a provider's payment is to us: a payment for a run or a top-up, or None.

    While the provider's identifier has not reached us, the metadata that we sent says it.
    """
    values = {"provider": provider, "provider_payment_id": event.payment_id}
    row = session.execute(FIND_SUBJECT, values).one_or_none()
    if row is None:
        row = session.execute(
            FIND_UNNAMED,
            {
                "provider": provider,
                "payment_id": _uuid(event.metadata.get("payment")),
                "top_up_id": _uuid(event.metadata.get("top_up")),
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


def late_refund(session: Session, payment_id: UUID) -> Refund | None:
    """Return the refund of money that came when its seat was gone, or None."""
    return session.scalars(
        select(Refund).where(
            Refund.payment_id == payment_id,
            Refund.reason == LATE_MONEY,
            Refund.created_by.is_(None),  # people may give the same reason, and more than once
        )
    ).one_or_none()


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
    """Reopen an expired enrollment when a seat is free and no newer enrollment took its place.

    Only while the run is still offered, with the version that the learner paid for; and when the
    payment names a coupon, while a use of it is left.
    """
    try:
        # the connection's savepoint: one of the session would bind it to the organization anew
        with session.connection().begin_nested():
            if session.execute(HOLD_RUN, {"id": enrollment_id}).one_or_none() is None:
                return False
            revived = session.execute(REVIVE, {"id": payment_id}).one()
            move(session, enrollment_id, "active", Change("paid_late"))
            if revived.coupon_used:
                redemptions.take_again(session, payment_id)
    except (RunFullError, TransitionNotAllowedError, CouponUsedUpError):
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


def _uuid(value: str | None) -> UUID | None:
    try:
        return None if value is None else UUID(value)
    except ValueError:
        return None
