"""Enrolling: payment, seat, enrollment, journal and history in one statement, or nothing.

One statement decides and does everything under conditions that hold at that moment; only when a
step found no row is anything read, to explain the refusal. The transaction is rolled back then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from lms.checkout.enroll_statement import (
    ACCEPT,
    ACCEPT_WITH_COUPON,
    ENROLL,
    ENROLL_WITH_COUPON,
)
from lms.checkout.orders import Order
from lms.checkout.purchase_refusals import refuse
from lms.core.actor import Actor
from lms.core.ids import new_id
from lms.enrollments.models import Enrollment
from lms.payments import receipts
from lms.payments.models import Payment

NO_SIGN_IN = UUID(int=0)
"""Of a learner for whom the platform acts, as they agreed to."""


@dataclass(frozen=True, slots=True)
class Purchase:
    """An enrollment, and the payment for it: None while nothing has been paid yet."""

    payment: Payment | None
    enrollment: Enrollment


def enroll(session: Session, actor: Actor, order: Order) -> tuple[Purchase, bool]:
    """Enroll the actor: active when free or paid from the wallet, pending for a provider.

    Anew, or in the seat that they were offered.

    Args:
        session: the organization's session; must roll back when this raises.
        actor: who enrolls.
        order: where and how.

    Returns:
        The purchase, and whether this call made it; False for a repeated request.

    Raises:
        NotFoundError: there is no such run.
        EnrollmentClosedError: the run takes nobody now, by the database's clock.
        ApprovalRequiredError: somebody has to approve it first.
        OfferNotOpenError: the offer that is to be accepted is none, or has lapsed.
        PaymentMethodError: the price is not paid this way.
        CurrencyMismatchError: the wallet is in another currency.
        CouponRefusedError: the coupon is not taken; each reason has its class.
        WalletFrozenError: the wallet owes money.
        InsufficientFundsError: the wallet does not hold the price.
        AlreadyEnrolledError: one live enrollment per learner and run.
        RunFullError: every seat is taken, or waited for.
    """
    enrollment_id = order.offer_id or new_id()
    values: dict[str, Any] = {
        "run_id": order.run_id,
        "user_id": actor.user_id,
        "payment_id": order.payment_id,
        "enrollment_id": enrollment_id,
        "change_id": new_id(),
    }
    if order.method == "provider":
        values |= {"provider": order.provider, "hold_seconds": order.hold_seconds}
    if order.offer_id is not None:
        values["actor_id"] = None if actor.session_id == NO_SIGN_IN else actor.user_id
    if order.method == "provider" and order.offer_id is None:
        values["accepts_waitlist"] = order.accepts_waitlist
    is_new_seat = order.offer_id is None
    if order.coupon_code is None:
        done = session.execute((ENROLL if is_new_seat else ACCEPT)[order.method], values).one()
        is_whole = done.seated
    else:
        values["coupon_code"] = order.coupon_code
        statements = ENROLL_WITH_COUPON if is_new_seat else ACCEPT_WITH_COUPON
        done = session.execute(statements[order.method], values).one()
        is_whole = done.counted
    if not is_whole:
        begun = None if done.run else find_purchase(session, order.payment_id)
        if begun is not None:
            return begun, False
        refuse(session, actor, order, done)
    payment, purchase = _made(actor, order, enrollment_id, done)
    if order.offer_id is not None:
        offered = session.get_one(Enrollment, order.offer_id, populate_existing=True)
        purchase = Purchase(payment, offered)
    if order.method == "wallet":
        receipts.issue_made(session, payment)
    return purchase, True


def find_purchase(session: Session, payment_id: UUID) -> Purchase | None:
    """Return a payment with its enrollment as they are now, or None."""
    row = session.execute(
        select(Payment, Enrollment)
        .join(Enrollment, Enrollment.payment_id == Payment.id)
        .where(Payment.id == payment_id)
        .execution_options(populate_existing=True)
    ).one_or_none()
    return None if row is None else Purchase(row[0], row[1])


def _made(
    actor: Actor, order: Order, enrollment_id: UUID, done: Row[Any]
) -> tuple[Payment, Purchase]:
    """Return what the statement just wrote, without reading it again; not in the session."""
    payment = Payment(
        id=order.payment_id,
        user_id=actor.user_id,
        run_id=order.run_id,
        amount=done.amount,
        currency=done.currency,
        method=order.method,
        state=done.payment_state,
        provider=order.provider,
        refunded_amount=0,
        lost_amount=0,
        discount_amount=0 if order.coupon_code is None else done.discount_amount,
        coupon_code=order.coupon_code,
        succeeded_at=done.succeeded_at,
        created_at=done.payment_created_at,
    )
    enrollment = Enrollment(
        id=enrollment_id,
        user_id=actor.user_id,
        run_id=order.run_id,
        version_id=done.version_id,
        payment_id=order.payment_id,
        attempt=done.attempt,
        state=done.enrollment_state,
        percent=0,
        awaiting=done.awaiting,
        hold_until=done.hold_until,
        activated_at=done.activated_at,
        created_at=done.enrollment_created_at,
    )
    return payment, Purchase(payment, enrollment)
