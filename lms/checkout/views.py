"""Routes where money and enrollments meet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from flask import Response
from sqlalchemy.orm import Session

from lms.checkout import settlement
from lms.checkout.errors import SeatGoneError
from lms.checkout.holds import make_room
from lms.checkout.open_work import open_work
from lms.checkout.operations import start_purchase
from lms.checkout.orders import Order
from lms.checkout.purchase import Purchase, find_purchase
from lms.checkout.schemas import EnrollmentIn, PurchaseOut, WithdrawalOut
from lms.checkout.withdrawals import Withdrawal, find_withdrawal, withdraw
from lms.config import Settings
from lms.core.queue import Doorbell
from lms.enrollments.errors import RunFullError
from lms.enrollments.transitions import ENDED_STATES
from lms.http.blueprint import TenantBlueprint
from lms.http.call import Call
from lms.payments.asking import ask
from lms.payments.attempts import Answer, Attempt
from lms.payments.errors import PaymentDeclinedError
from lms.payments.examples import PAYMENT, REFUND
from lms.payments.models import Payment, Refund
from lms.payments.presenting import (
    accepted,
    answered,
    askable_provider,
    claimed_subject,
    provider_of,
)
from lms.payments.providers.interface import PaymentProvider
from lms.payments.schemas import RefundOut

PURCHASE = {
    "enrollment": {
        "id": "0193a1c2-7f00-7000-8000-000000000003",
        "user_id": "0193a1c2-7f00-7000-8000-000000000002",
        "run_id": "0193a1c2-7f00-7000-8000-000000000001",
        "version_id": "0193a1c2-7f00-7000-8000-000000000005",
        "payment_id": "0193a1c2-7f00-7000-8000-000000000004",
        "attempt": 1,
        "state": "active",
        "percent": 0,
        "hold_until": None,
        "activated_at": "2027-01-08T16:20:00Z",
        "completed_at": None,
        "ended_at": None,
        "created_at": "2027-01-08T16:20:00Z",
    },
    "payment": PAYMENT,
    "client_secret": None,
}

blp = TenantBlueprint(
    "Checkout",
    __name__,
    description="Enrolling and paying in one step, and withdrawing.",
)


@blp.operation(
    "POST",
    "/runs/<uuid:run_id>/enrollments",
    id="enrollInRun",
    body=EnrollmentIn,
    returns=PurchaseOut,
    status=201,
    accepted=True,
    transaction="steps",
    idempotent=True,
    refusals=(402, 409),
    example=PURCHASE,
)
def enroll_in_run(call: Call, run_id: UUID, body: dict[str, Any]) -> Purchase | Response:
    """Enroll yourself in a run and pay for it.

    201 when the enrollment is active (or, for a request resumed later, has ended: see `state`). 202
    when the provider has not decided yet: the seat is held until `hold_until`; let the learner
    finish with `client_secret` when there is one, and poll `GET /enrollments/{id}`. 402:
    `insufficient_funds` (with `balance` and `missing`) or `payment_declined` (with `decline_code`).
    409: `run_full` (with `capacity` and `next_hold_until`, or with the `refund` of money that came
    too late), `enrollment_closed` (with `opens_at` and `closes_at`), `already_enrolled`,
    `payment_method_not_possible` (with what is expected), `currency_mismatch`, `wallet_frozen`
    (with what is `owed`), `provider_not_configured`; and when the coupon is not taken,
    `coupon_unknown`, `coupon_not_for_run`, `coupon_currency_mismatch`, `coupon_not_yet_valid` (with
    `valid_from`), `coupon_expired` (with `valid_until`), `coupon_already_used`, `coupon_used_up`,
    `coupon_without_effect`: `GET /runs/{id}/price` tells beforehand. A coupon that leaves nothing
    to pay makes the method `free`.
    """
    method, token = body["payment"]["method"], body["payment"].get("token")
    doorbell = call.use(Doorbell)

    def begin() -> tuple[Purchase, Attempt | None, PaymentProvider | None] | Response:
        with call.transaction() as session:
            payment_id = claimed_subject(call, session)
            provider = provider_of(call, session) if method == "provider" else None
            order = Order(
                payment_id=payment_id,
                run_id=run_id,
                method=method,
                coupon_code=body.get("coupon"),
                provider=None if provider is None else provider.name,
                hold_seconds=call.use(Settings).seat_hold_seconds,
            )
            purchase, attempt = start_purchase(session, doorbell, call.actor, order, token=token)
            if attempt is None and purchase.enrollment.state == "active":
                return call.conclude(session, answered(PurchaseOut, purchase, status=201))
            if attempt is not None and provider is not None and attempt.provider != provider.name:
                provider = provider_of(call, session, attempt.provider)
            return purchase, attempt, provider

    try:
        begun = begin()
    except RunFullError:
        with call.transaction() as session:
            has_room = make_room(session, run_id)
        if not has_room:
            raise
        begun = begin()
    if isinstance(begun, Response):
        return begun
    purchase, attempt, provider = begun
    client_secret = None
    if provider is not None and attempt is not None:
        answer = ask(provider, attempt)
        if answer.status in ("failed", "canceled"):
            raise PaymentDeclinedError.because(answer.code, _applying(doorbell, attempt, answer))
        with call.transaction() as session:
            _apply(session, doorbell, attempt, answer)
            purchase = find_purchase(session, attempt.subject_id) or purchase
            client_secret = answer.client_secret
    return _told(call, purchase, client_secret)


@blp.operation(
    "POST",
    "/enrollments/<uuid:enrollment_id>/withdraw",
    id="withdrawEnrollment",
    returns=WithdrawalOut,
    transaction="steps",
    idempotent=True,
    refusals=(409, 413),
    example={
        "enrollment": {
            **PURCHASE["enrollment"],
            "state": "withdrawn",
            "ended_at": "2027-01-09T08:00:00Z",
        },
        "refund": REFUND,
    },
)
def withdraw_enrollment(call: Call, enrollment_id: UUID) -> Withdrawal:
    """Leave a run; your money goes back as the run's refund policy says.

    Yours, or any for admins. What was paid goes back to where it came from, in the part that the
    policy gives at this moment; without a policy all of it before the run starts and nothing after;
    of a cancelled run all of it. What was given back before counts towards it:
    `GET /payments/{id}/refund-quote` tells the sum. While the payer contests the payment at the
    bank, nothing is given back. A refund through the provider may still be `created` or `pending`
    in the answer; one that the provider refuses says so in `failure_code` and is asked for again by
    itself, and so is one whose account at the provider cannot be used now. 409
    `transition_not_allowed` when the enrollment has ended or is completed.
    """
    doorbell = call.use(Doorbell)
    with call.transaction() as session:
        subject_id = claimed_subject(call, session)
        withdrawal = withdraw(session, doorbell, call.actor, enrollment_id, subject_id=subject_id)
        asked = _whom_to_ask(call, session, withdrawal.refund)
    if asked is None:
        return withdrawal
    provider, attempt = asked
    answer = ask(provider, attempt)
    with call.transaction() as session:
        _apply(session, doorbell, attempt, answer)
        return find_withdrawal(session, enrollment_id, subject_id)


def _whom_to_ask(
    call: Call, session: Session, refund: Refund | None
) -> tuple[PaymentProvider, Attempt] | None:
    """Return the provider, and what to ask it about a refund.

    None when there is nothing to ask, or the account cannot be used now: no try is begun then, and
    the job's will be the first.
    """
    if refund is None or refund.destination != "provider":
        return None
    payment = session.get_one(Payment, refund.payment_id)
    provider = askable_provider(call, session, payment.provider)
    work = None if provider is None else open_work(session, refund.id)
    return None if provider is None or work is None else (provider, work[0])


def _told(call: Call, purchase: Purchase, client_secret: str | None) -> Purchase | Response:
    payment, enrollment = purchase.payment, purchase.enrollment
    if payment.state in ("failed", "canceled"):
        raise PaymentDeclinedError.because(payment.failure_code, lambda _session: None)
    if enrollment.state == "pending":
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
