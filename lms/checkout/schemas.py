"""Enrolling, withdrawing and refunding as clients see them."""

from __future__ import annotations

from typing import Any, ClassVar, get_args

import marshmallow as ma
from marshmallow import validate

from lms.checkout.policy import NothingBecause
from lms.checkout.refunds import Destination
from lms.coupons.errors import BUYERS_REFUSALS
from lms.coupons.schemas import CouponCode
from lms.enrollments.schemas import EnrollmentOut
from lms.http.schemas import Boolean, Schema, Text, UtcDateTime
from lms.payments.schemas import (
    FOR_THE_LEARNER,
    MAX_TOKEN,
    MoneyOf,
    PaymentOut,
    PositiveMoney,
    RefundOut,
)

METHODS = ("free", "wallet", "provider")


class PaymentMethodIn(Schema):
    """How an enrollment is paid."""

    method = ma.fields.String(
        required=True,
        validate=validate.OneOf(METHODS),
        metadata={"description": "`free` when the price is 0.", "example": "wallet"},
    )
    token = Text(
        max_length=MAX_TOKEN,
        metadata={
            "description": "For `provider`: the means of payment, as its own script named it.",
            "example": "tok_success",
        },
    )

    @ma.validates_schema
    def _token_for_providers(self, data: dict[str, Any], **_kwargs: Any) -> None:
        if data["method"] == "provider" and "token" not in data:
            raise ma.ValidationError("Needed to pay by the provider.", "token")
        if data["method"] != "provider" and "token" in data:
            raise ma.ValidationError("Only for payments by the provider.", "token")


class EnrollmentIn(Schema):
    """How to enroll in a run."""

    payment = ma.fields.Nested(PaymentMethodIn, required=True)
    coupon = CouponCode(
        allow_none=True,
        metadata={"description": "Code of a coupon; with it, the price is less.", "example": None},
    )

    wait = Boolean(
        metadata={
            "description": "Join the waiting list when the run is full. Money that arrives when the"
            " held seat is gone waits for the next one then, and is not given back at once. Waiting"
            " ends by itself (`cancelled`, for `waitlist_closed`) when the run takes no more"
            " enrollments or is archived."
        },
    )
    pay_automatically = Boolean(
        metadata={
            "description": "While you wait for a seat or for approval nothing is paid. As soon as"
            " the seat is yours, charge your wallet, with the coupon and up to the price of today,"
            " whatever the method; without this it is offered to you, and the coupon is not kept."
        },
    )


class OfferIn(Schema):
    """How to pay for a seat that was offered."""

    payment = ma.fields.Nested(PaymentMethodIn, required=True)
    coupon = CouponCode(
        allow_none=True,
        metadata={"description": "Code of a coupon; with it, the price is less.", "example": None},
    )


class PriceQuery(Schema):
    """With which coupon."""

    coupon = CouponCode(load_default=None, metadata={"description": "Code of a coupon."})


class PriceOut(Schema):
    """What a run costs you now."""

    run_id = ma.fields.UUID(required=True)
    list_price = MoneyOf(required=True, attribute="list_amount")
    discount = MoneyOf(
        required=True,
        attribute="discount_amount",
        metadata={"description": "What the coupon takes off; 0 while it is refused."},
    )
    price = MoneyOf(
        required=True,
        attribute="amount",
        metadata={"description": "What you pay: `list_price` less `discount`."},
    )
    methods = ma.fields.List(
        ma.fields.String(validate=validate.OneOf(METHODS)),
        required=True,
        metadata={"description": "How it can be paid."},
    )
    coupon = ma.fields.String(
        required=True, allow_none=True, metadata={"description": "The code, in capital letters."}
    )
    coupon_refused_because = ma.fields.String(
        required=True,
        allow_none=True,
        validate=validate.OneOf([refusal.code for refusal in BUYERS_REFUSALS]),
        metadata={"description": "The `code` with which buying would be refused; null when taken."},
    )
    quoted_at = UtcDateTime(required=True, metadata={"description": "The moment that it is for."})


class PurchaseOut(Schema):
    """A place in a run and the payment for it."""

    enrollment = ma.fields.Nested(EnrollmentOut, required=True)
    payment = ma.fields.Nested(
        PaymentOut,
        required=True,
        allow_none=True,
        metadata={"description": "null while you wait for a seat or for approval."},
    )
    client_secret = ma.fields.String(
        required=True,
        allow_none=True,
        dump_default=None,
        metadata={"description": FOR_THE_LEARNER},
    )


class RefundIn(Schema):
    """What is given back of a payment, where to, and why."""

    # A body that was lost on its way must not give back everything.
    body_required: ClassVar[bool] = True

    amount = ma.fields.Nested(
        PositiveMoney,
        metadata={"description": "In the payment's currency; all that is left when absent."},
    )
    destination = ma.fields.String(
        load_default="source",
        validate=validate.OneOf(get_args(Destination)),
        metadata={
            "description": "`source`: where it came from. `wallet`: into the learner's wallet, at"
            " once, also what the provider took.",
        },
    )
    reason = Text(
        max_length=500,
        load_default="",
        min_length=0,
        metadata={"description": "For the records; no personal data.", "example": "Course moved"},
    )


class RefundQuoteOut(Schema):
    """What one would get back of a payment who withdraws now, and why."""

    payment_id = ma.fields.UUID(required=True)
    amount = MoneyOf(
        required=True, metadata={"description": "What would be given back now, if anything."}
    )
    refunded_amount = MoneyOf(
        required=True,
        metadata={"description": "Given back or on its way already; counts towards `percent`."},
    )
    percent = ma.fields.Integer(
        required=True,
        metadata={"description": "Of what was paid, by the step that applies now.", "example": 50},
    )
    until = UtcDateTime(
        required=True,
        allow_none=True,
        metadata={"description": "When that step ends; null when none applies."},
    )
    next_percent = ma.fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "What applies from `until` on.", "example": 0},
    )
    nothing_because = ma.fields.String(
        required=True,
        allow_none=True,
        validate=validate.OneOf(get_args(NothingBecause)),
        metadata={"description": "Why `amount` is 0; null when it is more."},
    )
    destination = ma.fields.String(
        required=True,
        allow_none=True,
        validate=validate.OneOf(("wallet", "provider")),
        metadata={"description": "Where the money came from and goes; null for what was free."},
    )
    quoted_at = UtcDateTime(required=True, metadata={"description": "The moment that it is for."})


class WithdrawalOut(Schema):
    """An enrollment that ended, and what is given back: null when nothing is."""

    enrollment = ma.fields.Nested(EnrollmentOut, required=True)
    refund = ma.fields.Nested(RefundOut, required=True, allow_none=True)
