"""Coupons as clients see them."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from marshmallow import validate

from lms.http.schemas import Boolean, Integer, MoneySchema, Schema, Text, UtcDateTime
from lms.payments.models import PAYMENT_STATES
from lms.payments.schemas import MoneyOf, PositiveMoney

MAX_USES = 1_000_000_000


class CouponCode(Text):
    """A coupon's code; capital and small letters are the same."""

    def __init__(self, **kwargs: Any) -> None:
        form = validate.Regexp(r"^[A-Za-z0-9_-]+$", error="Letters A to Z, digits, - and _ only.")
        super().__init__(min_length=3, max_length=40, validate=form, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        code = super()._deserialize(value, attr, data, **kwargs)
        # Other letters stay as they are, to be refused: some become ASCII as capitals.
        return code.upper() if isinstance(code, str) and code.isascii() else code


class CouponIn(Schema):
    """A new coupon. Code, discount, run and the limit per learner stay as they are given here."""

    code = CouponCode(
        required=True,
        metadata={
            "description": "Unique; capital and small letters are the same.",
            "example": "WELCOME-2027",
        },
    )
    percent_off = Integer(
        minimum=1,
        maximum=100,
        load_default=None,
        allow_none=True,
        metadata={"description": "Part of the price that it takes off; or `amount_off`."},
    )
    amount_off = ma.fields.Nested(
        PositiveMoney,
        load_default=None,
        allow_none=True,
        metadata={"description": "At most the price is taken off. In the academy's currency."},
    )
    run_id = ma.fields.UUID(
        load_default=None,
        allow_none=True,
        metadata={"description": "The only run that it is for; null for all."},
    )
    valid_from = UtcDateTime(
        load_default=None, allow_none=True, metadata={"description": "Null is now."}
    )
    valid_until = UtcDateTime(
        load_default=None,
        allow_none=True,
        metadata={"description": "From then on it is not taken; null is never."},
    )
    max_uses = Integer(
        minimum=1,
        maximum=MAX_USES,
        load_default=None,
        allow_none=True,
        metadata={"description": "Of all learners together; null is unlimited."},
    )
    max_uses_per_learner = Integer(minimum=1, maximum=MAX_USES, load_default=1)

    @ma.validates_schema
    def _takes_off_one_thing(self, data: dict[str, Any], **_kwargs: Any) -> None:
        if (data["percent_off"] is None) == (data["amount_off"] is None):
            raise ma.ValidationError("Give one of `percent_off` and `amount_off`.", "percent_off")


class CouponPatch(Schema):
    """The members to change."""

    valid_from = UtcDateTime()
    valid_until = UtcDateTime(allow_none=True)
    max_uses = Integer(
        minimum=1,
        maximum=MAX_USES,
        allow_none=True,
        metadata={"description": "Not below `uses`; null is unlimited."},
    )
    is_active = Boolean(metadata={"description": "False: it is not taken any more."})


class CouponOut(Schema):
    """A part or an amount off the price, for who knows the code."""

    id = ma.fields.UUID(required=True)
    code = ma.fields.String(required=True)
    percent_off = ma.fields.Integer(required=True, allow_none=True)
    amount_off = ma.fields.Nested(
        MoneySchema, required=True, allow_none=True, attribute="money_off"
    )
    run_id = ma.fields.UUID(required=True, allow_none=True)
    valid_from = UtcDateTime(required=True)
    valid_until = UtcDateTime(required=True, allow_none=True)
    max_uses = ma.fields.Integer(required=True, allow_none=True)
    max_uses_per_learner = ma.fields.Integer(required=True)
    uses = ma.fields.Integer(
        required=True,
        metadata={"description": "At this moment, with those of payments that are still open."},
    )
    is_active = ma.fields.Boolean(required=True)
    created_by = ma.fields.UUID(required=True)
    created_at = UtcDateTime(required=True)


class CouponRedemptionOut(Schema):
    """A payment that names a coupon."""

    payment_id = ma.fields.UUID(required=True, attribute="id")
    user_id = ma.fields.UUID(required=True)
    run_id = ma.fields.UUID(required=True)
    list_price = MoneyOf(required=True, attribute="list_amount")
    discount = MoneyOf(required=True, attribute="discount_amount")
    amount = MoneyOf(required=True, metadata={"description": "`list_price` less `discount`."})
    payment_state = ma.fields.String(
        required=True, attribute="state", validate=validate.OneOf(PAYMENT_STATES)
    )
    used = ma.fields.Boolean(
        required=True,
        attribute="coupon_used",
        metadata={"description": "False once the use was given back: it was not paid in time."},
    )
    created_at = UtcDateTime(required=True)


COUPON: dict[str, Any] = {
    "id": "0193a1c2-7f00-7000-8000-00000000000b",
    "code": "WELCOME-2027",
    "percent_off": 20,
    "amount_off": None,
    "run_id": None,
    "valid_from": "2027-01-01T00:00:00Z",
    "valid_until": "2027-02-01T00:00:00Z",
    "max_uses": 100,
    "max_uses_per_learner": 1,
    "uses": 3,
    "is_active": True,
    "created_by": "0193a1c2-7f00-7000-8000-000000000003",
    "created_at": "2026-12-20T09:00:00Z",
}
REDEMPTION: dict[str, Any] = {
    "payment_id": "0193a1c2-7f00-7000-8000-000000000004",
    "user_id": "0193a1c2-7f00-7000-8000-000000000002",
    "run_id": "0193a1c2-7f00-7000-8000-000000000001",
    "list_price": {"amount": 4900, "currency": "EUR"},
    "discount": {"amount": 980, "currency": "EUR"},
    "amount": {"amount": 3920, "currency": "EUR"},
    "payment_state": "succeeded",
    "used": True,
    "created_at": "2027-01-08T16:20:00Z",
}
