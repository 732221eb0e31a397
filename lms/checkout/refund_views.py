"""Routes of what is given back of payments."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response

from lms.checkout import queries, settlement
from lms.checkout.errors import RefundRefusedError
from lms.checkout.open_work import open_work
from lms.checkout.queries import QuotedRefund
from lms.checkout.refunds import refund_payment
from lms.checkout.schemas import RefundIn, RefundQuoteOut
from lms.core.queue import Doorbell
from lms.http.blueprint import ADMINS, TenantBlueprint
from lms.http.call import Call
from lms.payments.asking import ask
from lms.payments.examples import REFUND
from lms.payments.models import Refund
from lms.payments.presenting import accepted, claimed_subject, provider_of
from lms.payments.schemas import RefundOut

QUOTE: dict[str, Any] = {
    "payment_id": "0193a1c2-7f00-7000-8000-000000000004",
    "amount": {"amount": 2450, "currency": "EUR"},
    "refunded_amount": {"amount": 0, "currency": "EUR"},
    "percent": 50,
    "until": "2027-01-18T08:00:00Z",
    "next_percent": 0,
    "nothing_because": None,
    "destination": "wallet",
    "quoted_at": "2027-01-12T10:30:00Z",
}

blp = TenantBlueprint(
    "Refunds",
    __name__,
    description="Giving payments back, all or a part, and what one would get back now.",
)


@blp.operation(
    "POST",
    "/payments/<uuid:payment_id>/refunds",
    id="refundPayment",
    body=RefundIn,
    returns=RefundOut,
    status=201,
    accepted=True,
    roles=ADMINS,
    transaction="steps",
    idempotent=True,
    refusals=(409,),
    example=REFUND,
)
def give_payment_back(call: Call, payment_id: UUID, body: dict[str, Any]) -> Refund | Response:
    """Give a payment back, all that is left of it or a part.

    For admins. It goes to the wallet or the provider that it came from, or with `destination`
    `wallet` into the learner's wallet at once. As often as you like, until nothing is left. A part
    ends no enrollment; once the wallet or the provider has taken the last one, an active or
    suspended enrollment is withdrawn; a completed one stays. 201 when the money is back, 202 when
    the provider has not confirmed it yet: see `GET /payments/{id}/refunds`. 409 `not_refundable`
    when nothing was paid or less is `left`, `payment_disputed` while the payer contests it at the
    bank, `currency_mismatch` when the amount, or the learner's wallet, is in another currency than
    the payment, `refund_refused` when the provider says no: nothing of it is given back then. If
    others gave money back at the provider in its place, theirs is booked.
    """
    doorbell = call.use(Doorbell)
    with call.transaction() as session:
        refund = refund_payment(
            session,
            doorbell,
            call.actor,
            payment_id,
            refund_id=claimed_subject(call, session),
            amount=body.get("amount"),
            destination=body["destination"],
            reason=body["reason"],
        )
        work = open_work(session, refund.id)
        provider = None if work is None else provider_of(call, session, work[0].provider)
    if work is not None and provider is not None:
        answer = ask(provider, work[0])
        with call.transaction() as session:
            settlement.apply(session, doorbell, "refund", refund.id, answer)
            refund = session.get_one(Refund, refund.id)
    if refund.state == "failed":
        raise RefundRefusedError(
            "The provider refused to give this payment back.",
            record=lambda _session: None,
            failure_code=refund.failure_code,
        )
    return refund if refund.state == "succeeded" else accepted(RefundOut, refund)


@blp.operation(
    "GET",
    "/payments/<uuid:payment_id>/refund-quote",
    id="getRefundQuote",
    returns=RefundQuoteOut,
    example=QUOTE,
)
def get_refund_quote(call: Call, payment_id: UUID) -> QuotedRefund:
    """Read what you would get back if you withdrew now, and why.

    Of a payment of yours, or any for admins; any other one is 404. By the refund policy that held
    when it was paid: `percent` of what was paid until `until`, then `next_percent`, less what was
    given back before. Without a policy it is all until the run starts; when the run is cancelled it
    is all. When `amount` is 0, `nothing_because` says why: `not_paid` (money that arrives after you
    left is given back in full), `free`, `disputed` (the bank decides about the money),
    `already_given_back`, `enrollment_completed`, `enrollment_ended`, `after_last_step` or
    `step_gives_nothing`.
    """
    return queries.refund_quote(call.session, call.actor, payment_id)
