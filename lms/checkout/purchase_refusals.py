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

OFFER_REMEDIES = {
    "waitlisted": "Wait: a seat that comes free is offered to you in your turn.",
    "approval": "Wait until those who teach the run have decided.",
    "payment": "Finish the payment that you began, or wait until it is decided.",
    "invitation": "Join by your invitation.",
    "active": "Nothing: the seat is yours.",
    "completed": "Nothing: the seat was yours.",
    "suspended": "Ask the course's staff to reinstate it.",
    "expired": "Enroll again with `wait`, to be offered the next seat.",
}
"""By what an enrollment awaits, or else its state: what there is to do where no offer is."""


def refuse(
    session: Session, actor: Actor, order: Order, done: Row[Any], *, by_staff: bool = False
) -> NoReturn:
    """Explain which step found no row; those before it did, and are rolled back with this.

    Args:
        session: the organization's session.
        actor: who enrolls.
        order: where and how.
        done: what the statement found and made.
        by_staff: somebody else enrolls them, who decides what is to be approved.

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
    if not by_staff or not _is_open(found):
        _require_way_in(session, actor, order, found, is_in=done.attempt is not None)
    if order.coupon_code is not None:
        _refuse_coupon(session, found, enrollment_id)
    price = Money(found.price_amount - (found.discount_amount or 0), found.currency)
    if not done.run:
        raise _refusal_of_method(order, price)
    if order.method == "wallet" and done.amount is None and enrollment_id is None:
        _require_seat(session, order)
        raise _refusal_of_wallet(session, actor, price)
    if done.attempt is None:
        raise _already_enrolled(session, enrollment_id)
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
    raise _already_enrolled(session, enrollment_id)


def price_to_agree_on(session: Session, actor: Actor, order: Order) -> int:
    """Return what a seat would cost at this moment, in minor units of the run's currency.

    Args:
        session: the organization's session.
        actor: who will pay it.
        order: for what, how, and with which coupon.

    Raises:
        NotFoundError: there is no such run.
        EnrollmentClosedError: it takes nobody now.
        CouponRefusedError: the coupon is not taken; each reason has its class.
        PaymentMethodError: the price is not paid this way.
    """
    found = find_price(session, actor, order.run_id, order.coupon_code)
    if found is None or found.state == "draft":
        raise NotFoundError("There is no such run.")
    _require_open(found)
    refusal = None if order.coupon_code is None else refusal_of_coupon(found)
    if refusal is not None:
        raise refusal
    price = Money(found.price_amount - (found.discount_amount or 0), found.currency)
    if order.method not in methods_for(price.amount):
        raise _refusal_of_method(order, price)
    return price.amount


def _is_open(found: Row[Any]) -> bool:
    return found.state == "scheduled" and found.is_open


def _require_open(found: Row[Any]) -> None:
    if not _is_open(found):
        raise _closed(found)


def _closed(found: Row[Any]) -> EnrollmentClosedError:
    is_ahead = found.state == "scheduled" and found.quoted_at < found.enrollment_opens_at
    return EnrollmentClosedError(
        "This run does not take enrollments now.",
        remedy="Wait until `opens_at`." if is_ahead else "Choose another run.",
        run_state=found.state,
        opens_at=rfc3339(found.enrollment_opens_at),
        closes_at=rfc3339(found.enrollment_closes_at),
    )


def _require_offer(session: Session, actor: Actor, enrollment_id: UUID) -> None:
    """Explain what has become of an offer, unless it stands."""
    offer = session.get(Enrollment, enrollment_id, populate_existing=True)
    if offer is None or offer.user_id != actor.user_id:
        raise NotFoundError("There is no such enrollment.")
    now = session.scalars(select(func.now())).one()
    if offer.awaiting == "offer" and offer.hold_until is not None and offer.hold_until > now:
        return
    ended_at = offer.hold_until or offer.offered_until
    newest_id = _live_enrollment(session, actor, offer.run_id)
    raise OfferNotOpenError(
        "There is no offer to accept: it was accepted, has lapsed, or was not made yet.",
        state=offer.state,
        awaiting=offer.awaiting,
        lapsed_at=None if ended_at is None or ended_at > now else rfc3339(ended_at),
        enrollment_id=newest_id and str(newest_id),
        remedy=_remedy_for(offer, is_other=newest_id not in (None, offer.id)),
    )


def _remedy_for(offer: Enrollment, *, is_other: bool) -> str:
    if is_other:
        return "Go on with your newest enrollment in this run, `enrollment_id`."
    if offer.awaiting == "offer":  # it has lapsed, and is swept any moment
        return OFFER_REMEDIES["expired"]
    return OFFER_REMEDIES.get(offer.awaiting or offer.state, OFFER_REMEDIES["expired"])


def _refuse_coupon(session: Session, found: Row[Any], enrollment_id: UUID | None) -> None:
    """Tell who is enrolled already so, rather than that they have used their coupon for it."""
    if enrollment_id is not None:
        raise _already_enrolled(session, enrollment_id)
    refusal = refusal_of_coupon(found)
    if refusal is not None:
        raise refusal


def _already_enrolled(session: Session, enrollment_id: UUID | None) -> AlreadyEnrolledError:
    found = None if enrollment_id is None else session.get(Enrollment, enrollment_id)
    return AlreadyEnrolledError(
        "You are enrolled in this run already, wait for a seat of it, or are just enrolling.",
        enrollment_id=enrollment_id,
        state=found and found.state,
        awaiting=found and found.awaiting,
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
