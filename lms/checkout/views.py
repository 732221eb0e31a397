"""Routes where money and enrollments meet."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response
from sqlalchemy.orm import Session

from lms.checkout import purchasing, settlement
from lms.checkout.open_work import open_work
from lms.checkout.purchase import Purchase
from lms.checkout.schemas import EnrollmentIn, OfferIn, PurchaseOut, WithdrawalOut
from lms.checkout.withdrawals import Withdrawal, find_withdrawal, withdraw
from lms.core.queue import Doorbell
from lms.http.blueprint import TenantBlueprint
from lms.http.call import Call
from lms.payments.asking import ask
from lms.payments.attempts import Attempt
from lms.payments.examples import PAYMENT, REFUND
from lms.payments.models import Payment, Refund
from lms.payments.presenting import askable_provider, claimed_subject
from lms.payments.providers.interface import PaymentProvider

PURCHASE = {
    "enrollment": {
        "id": "0193a1c2-7f00-7000-8000-000000000003",
        "user_id": "0193a1c2-7f00-7000-8000-000000000002",
        "run_id": "0193a1c2-7f00-7000-8000-000000000001",
        "version_id": "0193a1c2-7f00-7000-8000-000000000005",
        "payment_id": "0193a1c2-7f00-7000-8000-000000000004",
        "attempt": 1,
        "state": "active",
        "awaiting": None,
        "percent": 0,
        "hold_until": None,
        "waitlisted_at": None,
        "approved_at": None,
        "pay_automatically": False,
        "access_ends_at": None,
        "transferred_from_id": None,
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
    while it is not: look at `state` and `awaiting`, and poll `GET /enrollments/{id}`. `pending` for
    the `payment`: the provider has not decided yet, and the seat is held until `hold_until`; let
    the learner finish with `client_secret` when there is one. `pending` for `approval`, where
    `approval_required` says so: the seat is kept, nothing is paid yet. `waitlisted`: the run is
    full, and you sent `wait`; a seat that comes free is offered to you, in turn (`POST
    /enrollments/{id}/accept`), or is yours at once when it is free of charge or you sent
    `pay_automatically`. 402: `insufficient_funds` (with `balance` and `missing`) or
    `payment_declined` (with `decline_code`). 409: `run_full` (with `capacity`, `waitlisted` and
    `next_hold_until`, or with the `refund` of money that came too late), `enrollment_closed` (with
    `opens_at` and `closes_at`), `run_changed`, `already_enrolled`, `payment_method_not_possible`
    (with what is expected), `currency_mismatch`, `wallet_frozen` (with what is `owed`),
    `provider_not_configured`; and when the coupon is not taken, `coupon_unknown`,
    `coupon_not_for_run`, `coupon_currency_mismatch`, `coupon_not_yet_valid` (with `valid_from`),
    `coupon_expired` (with `valid_until`), `coupon_already_used`, `coupon_used_up`,
    `coupon_without_effect`: `GET /runs/{id}/price` tells beforehand. A coupon that leaves nothing
    to pay makes the method `free`. While you wait for a seat or for approval a coupon is kept only
    with `pay_automatically`; otherwise give it again when you accept, as the means of payment.
    """
    return purchasing.enroll(call, run_id, body)


@blp.operation(
    "POST",
    "/enrollments/<uuid:enrollment_id>/accept",
    id="acceptOfferedSeat",
    body=OfferIn,
    returns=PurchaseOut,
    status=201,
    accepted=True,
    transaction="steps",
    idempotent=True,
    refusals=(402, 409),
    example=PURCHASE,
)
def accept_offered_seat(
    call: Call, enrollment_id: UUID, body: dict[str, Any]
) -> Purchase | Response:
    """Accept a seat that you were offered, and pay for it.

    For an enrollment of yours that is `pending` and awaits that you accept the `offer`, until
    `hold_until`: it came free while you waited, or was approved. Answers and refusals are those of
    `POST /runs/{id}/enrollments`, and 409 `offer_not_open` with `state`, `awaiting` and `lapsed_at`
    when there is no such offer (any more). When the provider declines the payment the offer stands:
    as a new enrollment of yours with the next `attempt`, which the 402 names in `offered_again_as`.
    """
    return purchasing.accept(call, enrollment_id, body)


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

    Yours, or any for admins. It is also how one leaves the waiting list, gives an offered seat back
    or takes back a request for approval. What was paid goes back to where it came from, in the part
    that the policy gives at this moment; without a policy all of it before the run starts and
    nothing after; of a cancelled run all of it. What was given back before counts towards it: `GET
    /payments/{id}/refund-quote` tells the sum. While the payer contests the payment at the bank,
    nothing is given back. A refund through the provider may still be `created` or `pending` in the
    answer; one that the provider refuses says so in `failure_code` and is asked for again by
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
        settlement.apply(session, doorbell, attempt.operation, attempt.subject_id, answer)
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
