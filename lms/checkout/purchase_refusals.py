"""Why a purchase did not happen: told from what is read afterwards, before it is rolled back."""

from __future__ import annotations

from typing import Any, NoReturn
from uuid import UUID

from sqlalchemy import Row, func, select, text
from sqlalchemy.orm import Session

from lms.checkout.errors import (
    AlreadyEnrolledError,
    ApprovalRequiredError,
    EnrollmentClosedError,
    OfferNotOpenError,
    PaymentMethodError,
    RunChangedError,
)
from lms.checkout.holds import HAS_ROOM
from lms.checkout.orders import Order
from lms.checkout.pricing import find_price, methods_for, refusal_of_coupon
from lms.core.actor import Actor
from lms.core.clock import rfc3339
from lms.core.errors import NotFoundError
from lms.core.money import Money
from lms.coupons.errors import CouponUsedUpError
from lms.enrollments.errors import RunFullError
from lms.enrollments.models import LIVE_STATES, Enrollment
from lms.payments.errors import (
    CurrencyMismatchError,
    InsufficientFundsError,
    WalletFrozenError,
)
from lms.payments.models import Wallet

FIND_SEATS = text("""
    SELECT s.capacity, s.waitlisted,
           (SELECT min(e.hold_until) FROM enrollments e
             WHERE e.run_id = s.run_id AND e.state = 'pending' AND e.hold_until > now()
               AND e.payment_id IS DISTINCT FROM CAST(:payment_id AS uuid)) AS hold_until
      FROM run_seats s WHERE s.run_id = :run_id
""")


def refuse(session: Session, actor: Actor, order: Order, done: Row[Any]) -> NoReturn:
    """Explain which step found no row; those before it did, and are rolled back with this.

    Args:
        session: the organization's session.
        actor: who enrolls.
        order: where and how.
        done: what the statement found and made.

    Raises:
        lms.core.errors.DomainError: always; see `lms.checkout.purchase.enroll`.
    """
    # What the statement wrote is still there to be seen, so one's own is not looked for. Before the
    # coupon: who has just lost the enrollment has the coupon's use back.
    is_other = not done.attempt and order.offer_id is None
    enrollment_id = _live_enrollment(session, actor, order.run_id) if is_other else None
    found = find_price(session, actor, order.run_id, order.coupon_code)
    if found is None or found.state == "draft":
        raise NotFoundError("There is no such run.")
    _require_way_in(session, actor, order, found, is_in=done.attempt is not None)
    if order.coupon_code is not None:
        _refuse_coupon(found, enrollment_id)
    price = Money(found.price_amount - (found.discount_amount or 0), found.currency)
    if not done.run:
        raise _refusal_of_method(order, price)
    if order.method == "wallet" and done.amount is None and enrollment_id is None:
        _require_seat(session, order)
        raise _refusal_of_wallet(session, actor, price)
    if done.attempt is None:
        raise _already_enrolled(enrollment_id)
    if not done.seated:
        raise refusal_of_seats(session, order.run_id, payment_id=order.payment_id)
    # Whoever had the last use has given it back, or the coupon was switched on, since.
    raise CouponUsedUpError("All uses of this coupon are taken.")


def _require_way_in(
    session: Session, actor: Actor, order: Order, found: Row[Any], *, is_in: bool
) -> None:
    """Refuse who may not enroll at once here, or has no offer to accept."""
    if order.offer_id is None:
        _require_open(found)
        if found.approval_required:
            raise ApprovalRequiredError("Whoever teaches this run decides who may learn in it.")
    elif found.state != "scheduled":
        raise _closed(found)
    elif not is_in:
        _require_offer(session, actor, order.offer_id)


def refuse_application(session: Session, actor: Actor, run_id: UUID) -> NoReturn:
    """Explain why somebody may neither wait for a seat nor ask for one.

    Args:
        session: the organization's session.
        actor: who asked.
        run_id: for what.

    Raises:
        lms.core.errors.DomainError: always; see `lms.checkout.applications`.
    """
    found = find_price(session, actor, run_id, None)
    if found is None or found.state == "draft":
        raise NotFoundError("There is no such run.")
    _require_open(found)
    enrollment_id = _live_enrollment(session, actor, run_id)
    if enrollment_id is None:
        raise RunChangedError("The run changed at this moment; read it and try again.")
    raise _already_enrolled(enrollment_id)


def _require_open(found: Row[Any]) -> None:
    if found.state != "scheduled" or not found.is_open:
        raise _closed(found)


def _closed(found: Row[Any]) -> EnrollmentClosedError:
    return EnrollmentClosedError(
        "This run does not take enrollments now.",
        run_state=found.state,
        opens_at=rfc3339(found.enrollment_opens_at),
        closes_at=rfc3339(found.enrollment_closes_at),
    )


def _require_offer(session: Session, actor: Actor, enrollment_id: UUID) -> None:
    """Explain what has become of an offer, unless it stands."""
    found = session.execute(
        select(Enrollment.state, Enrollment.awaiting, Enrollment.hold_until, func.now()).where(
            Enrollment.id == enrollment_id, Enrollment.user_id == actor.user_id
        )
    ).one_or_none()
    if found is None:
        raise NotFoundError("There is no such enrollment.")
    state, awaiting, hold_until, now = found
    if awaiting != "offer" or hold_until is None or hold_until <= now:
        raise OfferNotOpenError(
            "There is no offer to accept: it was accepted, has lapsed, or was not made yet.",
            state=state,
            awaiting=awaiting,
            lapsed_at=None if hold_until is None or hold_until > now else rfc3339(hold_until),
        )


def _refuse_coupon(found: Row[Any], enrollment_id: UUID | None) -> None:
    """Tell who is enrolled already so, rather than that they have used their coupon for it."""
    if enrollment_id is not None:
        raise _already_enrolled(enrollment_id)
    refusal = refusal_of_coupon(found)
    if refusal is not None:
        raise refusal


def _already_enrolled(enrollment_id: UUID | None) -> AlreadyEnrolledError:
    return AlreadyEnrolledError(
        "You are enrolled in this run already, or are just enrolling.",
        enrollment_id=enrollment_id,
    )


def _require_seat(session: Session, order: Order) -> None:
    """Tell of a full run before money that is missing: nobody has to pay for waiting."""
    if order.offer_id is None and not session.execute(HAS_ROOM, {"run_id": order.run_id}).scalar():
        raise refusal_of_seats(session, order.run_id)


def refusal_of_seats(
    session: Session, run_id: UUID, *, payment_id: UUID | None = None
) -> RunFullError:
    """Tell how full a run is, and when the next seat may come free.

    Args:
        session: the organization's session.
        run_id: which.
        payment_id: of the purchase that is refused, whose own seat is not meant.
    """
    values = {"run_id": run_id, "payment_id": payment_id}
    seats = session.execute(FIND_SEATS, values).one()
    return RunFullError(
        "Every seat of this run is taken. Send `wait: true` to wait for the next one that is free.",
        capacity=seats.capacity,
        waitlisted=seats.waitlisted,
        next_hold_until=None if seats.hold_until is None else rfc3339(seats.hold_until),
    )


def _refusal_of_method(order: Order, price: Money) -> PaymentMethodError | RunChangedError:
    expected = methods_for(price.amount)
    if order.method not in expected:
        return PaymentMethodError(
            f"This run costs {price}; it is not paid as {order.method}.",
            expected=list(expected),
            price={"amount": price.amount, "currency": price.currency},
        )
    return RunChangedError("The run or the coupon changed at this moment; read and try again.")


def _refusal_of_wallet(
    session: Session, actor: Actor, price: Money
) -> CurrencyMismatchError | InsufficientFundsError | WalletFrozenError:
    wallet = session.scalars(select(Wallet).where(Wallet.user_id == actor.user_id)).one_or_none()
    if wallet is not None and wallet.currency != price.currency:
        return CurrencyMismatchError(
            f"The price is in {price.currency}, your wallet in {wallet.currency}; pay by the"
            " provider instead.",
            expected=price.currency,
            wallet=wallet.currency,
        )
    if wallet is not None and wallet.frozen_at is not None:
        owed = Money(wallet.owed, wallet.currency)
        return WalletFrozenError(
            f"Your wallet is frozen: a deposit was taken back, and {owed} are owed. What you"
            " deposit pays that first.",
            owed={"amount": owed.amount, "currency": owed.currency},
        )
    balance = Money(0 if wallet is None else wallet.balance, price.currency)
    missing = Money(max(price.amount - balance.amount, 0), price.currency)
    return InsufficientFundsError(
        f"Your wallet holds {balance}, {missing} less than the price of {price}; top it up.",
        balance={"amount": balance.amount, "currency": balance.currency},
        missing={"amount": missing.amount, "currency": missing.currency},
    )


def _live_enrollment(session: Session, actor: Actor, run_id: UUID) -> UUID | None:
    return session.scalar(
        select(Enrollment.id).where(
            Enrollment.user_id == actor.user_id,
            Enrollment.run_id == run_id,
            Enrollment.state.in_(LIVE_STATES),
        )
    )
