"""Taking a seat, step by step: a purchase, an application or a place in the waiting list.

Each step is a transaction. What is committed before a provider is asked makes the payment findable
after a crash; who repeats the request goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any
from uuid import UUID

from flask import Response
from sqlalchemy.orm import Session

from lms.checkout import settlement
from lms.checkout.applications import SeatFreeError, request_approval, wait_for_seat
from lms.checkout.errors import ApprovalRequiredError, SeatGoneError
from lms.checkout.holds import make_room
from lms.checkout.offers import offered_again_as
from lms.checkout.operations import start_purchase
from lms.checkout.orders import Order
from lms.checkout.purchase import Purchase, find_purchase
from lms.checkout.schemas import PurchaseOut
from lms.config import Settings
from lms.core.queue import Doorbell
from lms.enrollments.errors import RunFullError
from lms.enrollments.models import Enrollment
from lms.enrollments.queries import own_enrollment
from lms.enrollments.transitions import ENDED_STATES
from lms.http.call import Call
from lms.payments.asking import ask
from lms.payments.attempts import Answer, Attempt
from lms.payments.errors import PaymentDeclinedError
from lms.payments.presenting import accepted, answered, claimed_subject, provider_of
from lms.payments.providers.interface import PaymentProvider
from lms.payments.schemas import RefundOut

Begun = tuple[Purchase, Attempt | None, PaymentProvider | None]
"""A purchase that is committed, what is to be asked about it, and whom."""

ROUNDS = 3
"""How often somebody tries whom others overtake at the last seat."""


def enroll(call: Call, run_id: UUID, body: dict[str, Any]) -> Purchase | Response:
    """Enroll who asks in a run, or put them where they get their seat from.

    Args:
        call: the request, which declares steps and that it is idempotent.
        run_id: where.
        body: an `EnrollmentIn`.

    Raises:
        lms.core.errors.DomainError: see `lms.checkout.purchase` and `lms.checkout.applications`.
        PaymentDeclinedError: nothing was paid, and nothing live stays behind.
        SeatGoneError: the money came too late, and is given back.
    """
    begun = _seat_or_place(call, run_id, body)
    return begun if isinstance(begun, Response) else _finish(call, *begun)


def accept(call: Call, enrollment_id: UUID, body: dict[str, Any]) -> Purchase | Response:
    """Accept a seat that was offered to who asks.

    Args:
        call: the request, which declares steps and that it is idempotent.
        enrollment_id: what was offered.
        body: an `OfferIn`.

    Raises:
        lms.core.errors.DomainError: see `lms.checkout.purchase`.
        PaymentDeclinedError: nothing was paid; the offer stands.
    """
    with call.transaction() as session:
        payment_id = claimed_subject(call, session)
        offer = own_enrollment(session, call.actor, enrollment_id)
        begun = _begin(call, session, payment_id, offer.run_id, body, offer_id=enrollment_id)
    return begun if isinstance(begun, Response) else _finish(call, *begun)


def _seat_or_place(call: Call, run_id: UUID, body: dict[str, Any]) -> Begun | Response:
    """Take a seat, or ask for approval of one; wait for one when all are taken, if that was sent.

    Seats come free and are taken meanwhile, so that is tried a few times.
    """
    refusal = RunFullError("Every seat of this run is taken.")
    for _ in range(ROUNDS):
        try:
            return _take_seat(call, run_id, body)
        except RunFullError as error:
            refusal = error
        with call.transaction() as session:
            has_room = make_room(session, run_id)
        if not has_room:
            if not body.get("wait"):
                break
            with suppress(SeatFreeError):
                return _wait(call, run_id, body)
    raise refusal


def _take_seat(call: Call, run_id: UUID, body: dict[str, Any]) -> Begun | Response:
    try:
        with call.transaction() as session:
            return _begin(call, session, claimed_subject(call, session), run_id, body)
    except ApprovalRequiredError:
        with call.transaction() as session:
            order = _order(call, claimed_subject(call, session), run_id, body)
            pays = body.get("pay_automatically", False)
            requested = request_approval(session, call.actor, order, pay_automatically=pays)
            return _placed(call, session, requested)


def _wait(call: Call, run_id: UUID, body: dict[str, Any]) -> Response:
    with call.transaction() as session:
        order = _order(call, claimed_subject(call, session), run_id, body)
        pays = body.get("pay_automatically", False)
        waiting = wait_for_seat(session, call.actor, order, pay_automatically=pays)
        return _placed(call, session, waiting)


def _placed(call: Call, session: Session, enrollment: Enrollment) -> Response:
    purchase = Purchase(None, enrollment)
    return call.conclude(session, accepted(PurchaseOut, purchase, client_secret=None))


def _order(call: Call, payment_id: UUID, run_id: UUID, body: dict[str, Any]) -> Order:
    return Order(
        payment_id=payment_id,
        run_id=run_id,
        method=body["payment"]["method"],
        coupon_code=body.get("coupon"),
        hold_seconds=call.use(Settings).seat_hold_seconds,
        accepts_waitlist=body.get("wait", False),
    )


def _begin(
    call: Call,
    session: Session,
    payment_id: UUID,
    run_id: UUID,
    body: dict[str, Any],
    *,
    offer_id: UUID | None = None,
) -> Begun | Response:
    """Do what is committed before a provider is asked; all of it when none has to be."""
    order, token = _order(call, payment_id, run_id, body), body["payment"].get("token")
    provider = provider_of(call, session) if order.method == "provider" else None
    order = replace(order, provider=None if provider is None else provider.name, offer_id=offer_id)
    doorbell = call.use(Doorbell)
    purchase, attempt = start_purchase(session, doorbell, call.actor, order, token=token)
    if attempt is None and purchase.enrollment.state == "active":
        return call.conclude(session, answered(PurchaseOut, purchase, status=201))
    if attempt is not None and provider is not None and attempt.provider != provider.name:
        provider = provider_of(call, session, attempt.provider)
    return purchase, attempt, provider


def _finish(
    call: Call, purchase: Purchase, attempt: Attempt | None, provider: PaymentProvider | None
) -> Purchase | Response:
    """Ask the provider, if one has to be asked, and tell the learner what became of it."""
    doorbell, client_secret = call.use(Doorbell), None
    if provider is not None and attempt is not None:
        answer = ask(provider, attempt)
        if answer.status in ("failed", "canceled"):
            raise PaymentDeclinedError.because(
                answer.code,
                _applying(doorbell, attempt, answer),
                offered_again_as=offered_again_as(purchase.enrollment),
            )
        with call.transaction() as session:
            _apply(session, doorbell, attempt, answer)
            purchase = find_purchase(session, attempt.subject_id) or purchase
            client_secret = answer.client_secret
    return _told(call, purchase, client_secret)


def _told(call: Call, purchase: Purchase, client_secret: str | None) -> Purchase | Response:
    payment, enrollment = purchase.payment, purchase.enrollment
    if payment is None:
        return accepted(PurchaseOut, purchase, client_secret=None)
    if payment.state in ("failed", "canceled"):
        raise PaymentDeclinedError.because(
            payment.failure_code,
            lambda _session: None,
            offered_again_as=offered_again_as(enrollment),
        )
    if enrollment.state in ("pending", "waitlisted"):
        return accepted(PurchaseOut, purchase, client_secret=client_secret)
    if enrollment.state in ENDED_STATES and payment.state == "succeeded":
        with call.transaction() as session:
            refund = settlement.late_refund(session, payment.id)
        if refund is not None:
            raise SeatGoneError(
                "Your money came when the seat was gone; it is given back.",
                record=lambda _session: None,
                enrollment_state=enrollment.state,
                refund=RefundOut().dump(refund),
            )
    return purchase


def _applying(doorbell: Doorbell, attempt: Attempt, answer: Answer) -> Callable[[Session], None]:
    return lambda session: _apply(session, doorbell, attempt, answer)


def _apply(session: Session, doorbell: Doorbell, attempt: Attempt, answer: Answer) -> None:
    settlement.apply(session, doorbell, attempt.operation, attempt.subject_id, answer)
