"""Applying what a provider said of payments: one way for requests, webhooks and the sweeper.

Every statement moves forward only (`WHERE state IN ...`), so repeats, old news and news out of
order change nothing. Late money gets its seat back when one is free; otherwise it is refunded, or
waits for the next seat when its learner chose so.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from lms.checkout import external_refunds, redemptions
from lms.checkout.offers import PAID_LATE, offer_again
from lms.checkout.refund_answers import apply_refund
from lms.checkout.refunds import LATE_MONEY, refund_late_money, refund_owed
from lms.core import queue
from lms.core.ids import new_id
from lms.core.queue import Doorbell
from lms.coupons.errors import CouponUsedUpError
from lms.enrollments.errors import RunFullError, TransitionNotAllowedError
from lms.enrollments.models import Enrollment
from lms.enrollments.transitions import Change, State, move, try_move
from lms.payments import receipts
from lms.payments.attempts import Answer, Operation, record_answer
from lms.payments.models import Payment, Refund
from lms.payments.operations import apply_top_up
from tenants.session import organization_of

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
# Events of disputes have effects of their own, so they wait for their own next delivery.
KEPT_EVENTS_APPLIED = text("""
    UPDATE webhook_events SET applied_at = now()
      FROM (SELECT e.provider, e.account, e.event_id
              FROM webhook_events e
              JOIN (SELECT provider, provider_payment_id FROM payments WHERE id = :id
                    UNION ALL
                    SELECT provider, provider_payment_id FROM wallet_top_ups WHERE id = :id) s
                   ON s.provider = e.provider AND s.provider_payment_id = e.provider_payment_id
             WHERE e.account = :account AND e.applied_at IS NULL
               AND e.provider_dispute_id IS NULL
             ORDER BY e.provider, e.account, e.event_id FOR NO KEY UPDATE OF e) AS kept
     WHERE (webhook_events.provider, webhook_events.account, webhook_events.event_id)
           = (kept.provider, kept.account, kept.event_id)
""")
ACCEPTS_WAITLIST = text("""
    SELECT r.id AS run_id, r.enrollment_closes_at
      FROM enrollments e JOIN course_runs r ON r.id = e.run_id
     WHERE e.id = :id AND e.accepts_waitlist
       AND r.state = 'scheduled' AND now() < r.enrollment_closes_at
       FOR SHARE OF r
""")
HOLD_RUN = text("""
    SELECT r.id FROM enrollments e JOIN course_runs r ON r.id = e.run_id
     WHERE e.id = :id AND r.state = 'scheduled' AND r.version_id = e.version_id
       FOR SHARE OF r
""")


def apply(
    session: Session,
    doorbell: Doorbell,
    operation: Operation,
    subject_id: UUID,
    answer: Answer,
) -> bool:
    """Apply a provider's answer to what was asked for; repeats change nothing.

    Args:
        session: the organization's session.
        doorbell: rung when a refund has to follow.
        operation: what was asked for.
        subject_id: the payment, top-up or refund.
        answer: what the provider said; `unknown` changes nothing.

    Returns:
        Whether all that the provider says is in our books: not while a refund that was made there
        does not fit beside ours.
    """
    if operation == "refund":
        return _apply_refund(session, doorbell, subject_id, answer)
    if operation == "top_up":
        apply_top_up(session, subject_id, answer)
        is_complete = True
    else:
        is_complete = _apply_payment(session, doorbell, subject_id, answer)
    if answer.is_final and is_complete:
        _apply_kept_events(session, subject_id)
    return is_complete


def _apply_payment(session: Session, doorbell: Doorbell, payment_id: UUID, answer: Answer) -> bool:
    """Apply what the provider said of a payment for a run: seat and state follow the money.

    The try is locked before the payment, as that of a top-up: news of a dispute lock it too, and
    the payment behind it.
    """
    record_answer(session, payment_id, answer)
    is_complete, values = True, {"id": payment_id, "provider_id": answer.provider_id}
    if answer.status == "succeeded":
        paid = session.execute(SUCCEED, values).one_or_none()
        if paid is not None:
            _seat(session, doorbell, payment_id, was_live=paid.live)
            receipts.issue(session, "payment", payment_id)
        others = external_refunds.unbooked(session, payment_id, answer.refunds)
        is_complete = external_refunds.book(session, payment_id, others)
    elif answer.status in ("failed", "canceled"):
        values = {**values, "state": answer.status, "code": answer.code}
        failed = session.execute(FAIL, values).one_or_none()
        if failed is not None:
            _let_seat_go(session, payment_id)
            if failed.coupon_used:
                redemptions.give_back(session, [payment_id])
    elif answer.status == "pending":
        session.execute(WAIT, values)
    session.expire_all()
    return is_complete


def _apply_refund(session: Session, doorbell: Doorbell, refund_id: UUID, answer: Answer) -> bool:
    """Apply what the provider said of a refund.

    One that is refused gives way to what others gave back at the provider, or the bank took; what
    the learner is still owed then is refunded anew.
    """
    payment_id = session.get_one(Refund, refund_id).payment_id
    others = external_refunds.unbooked(session, payment_id, answer.refunds)
    is_given_up = apply_refund(session, refund_id, answer, gives_way=bool(others))
    is_complete = external_refunds.book(session, payment_id, others)
    if is_given_up:
        given = sum(one.amount for one in others)
        _refund_the_rest(session, doorbell, refund_id, given=given)
    if others and is_complete:
        _apply_kept_events(session, payment_id)
    return is_complete


def _refund_the_rest(session: Session, doorbell: Doorbell, refund_id: UUID, *, given: int) -> None:
    """Ask anew for what a refund that gave way was for, if its learner has no seat any more.

    Args:
        session: the organization's session, in which the payment is held.
        doorbell: of the queue.
        refund_id: which was given up.
        given: what others gave back in its place, in minor units.
    """
    refund = session.get_one(Refund, refund_id, populate_existing=True)
    payment = session.get_one(Payment, refund.payment_id, populate_existing=True)
    if not payment.live:
        refund_owed(session, doorbell, refund, payment, given=given)


def _apply_kept_events(session: Session, subject_id: UUID) -> None:
    account = str(organization_of(session).id)
    session.execute(KEPT_EVENTS_APPLIED, {"id": subject_id, "account": account})


def late_refund(session: Session, payment_id: UUID) -> Refund | None:
    """Return the refund of money that came when its seat was gone, or None."""
    return session.scalars(
        select(Refund)
        .where(
            Refund.payment_id == payment_id,
            Refund.reason == LATE_MONEY,
            Refund.created_by.is_(None),  # people may give the same reason, and more than once
        )
        .order_by(Refund.id.desc())
        .limit(1)
    ).one_or_none()


def _seat(session: Session, doorbell: Doorbell, payment_id: UUID, *, was_live: bool) -> None:
    """Give the learner what was just paid for: the seat, the next one, or the money back."""
    enrollment_id = _enrollment_of(session, payment_id)
    if was_live:
        if try_move(session, enrollment_id, "active", Change("paid"), only_from="pending"):
            return
    elif _seat_again(session, payment_id, enrollment_id) or _wait_again(
        session, payment_id, enrollment_id
    ):
        return
    refund_late_money(session, doorbell, payment_id, refund_id=new_id())


def _seat_again(session: Session, payment_id: UUID, enrollment_id: UUID) -> bool:
    """Reopen an expired enrollment when a seat is free and no newer enrollment took its place.

    Only while the run is still offered, with the version that the learner paid for; and when the
    payment names a coupon, while a use of it is left.
    """
    try:
        with session.connection().begin_nested():
            if session.execute(HOLD_RUN, {"id": enrollment_id}).one_or_none() is None:
                return False
            _revive(session, payment_id, enrollment_id, "active")
    except (RunFullError, TransitionNotAllowedError, CouponUsedUpError):
        return False
    except IntegrityError as error:
        if "uq_payments_live" in str(error.orig) or "uq_enrollments_live" in str(error.orig):
            return False
        raise
    return True


def _wait_again(session: Session, payment_id: UUID, enrollment_id: UUID) -> bool:
    """Let paid money wait for the next seat, if its learner chose so when enrolling."""
    waits = session.execute(ACCEPTS_WAITLIST, {"id": enrollment_id}).one_or_none()
    if waits is None:
        return False
    try:
        with session.connection().begin_nested():
            _revive(session, payment_id, enrollment_id, "waitlisted")
    except (TransitionNotAllowedError, CouponUsedUpError):
        return False
    except IntegrityError as error:
        if "uq_payments_live" in str(error.orig) or "uq_enrollments_live" in str(error.orig):
            return False
        raise
    closes_at = waits.enrollment_closes_at
    queue.enqueue(session, None, queue.CLOSE_WAITLIST, waits.run_id, due_at=closes_at)
    # A seat may have come free meanwhile, or be there in the version that the run has by now.
    queue.enqueue(session, None, queue.OFFER_SEATS, waits.run_id)
    return True


def _revive(session: Session, payment_id: UUID, enrollment_id: UUID, to_state: State) -> None:
    revived = session.execute(REVIVE, {"id": payment_id}).one()
    move(session, enrollment_id, to_state, Change(PAID_LATE))
    if revived.coupon_used:
        redemptions.take_again(session, payment_id)


def _let_seat_go(session: Session, payment_id: UUID) -> None:
    """End an enrollment whose payment failed; an offer that it was stands for another try."""
    enrollment_id = _enrollment_of(session, payment_id)
    change = Change("payment_failed")
    if try_move(session, enrollment_id, "cancelled", change, only_from="pending"):
        offer_again(session, enrollment_id)


def _enrollment_of(session: Session, payment_id: UUID) -> UUID:
    return session.scalars(select(Enrollment.id).where(Enrollment.payment_id == payment_id)).one()
