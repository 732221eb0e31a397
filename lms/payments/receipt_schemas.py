"""Receipts as clients see them."""

from __future__ import annotations

import marshmallow as ma
from marshmallow import validate

from lms.http.schemas import MoneySchema, PageQuery, QueryInteger, Schema, UtcDateTime


class ReceiptOut(Schema):
    """A receipt: of a payment or a top-up that came in, or of a refund that went back."""

    number = ma.fields.String(
        required=True,
        metadata={
            "description": "Year and running number of the academy, without gaps.",
            "example": "2027-000042",
        },
    )
    kind = ma.fields.String(required=True, validate=validate.OneOf(("payment", "top_up", "refund")))
    academy = ma.fields.String(required=True, metadata={"description": "Who issued it."})
    user_id = ma.fields.UUID(required=True, attribute="receipt.user_id")
    name = ma.fields.String(
        required=True,
        metadata={
            "description": "Of who paid or got money back, as it is now.",
            "example": "Dana Reyes",
        },
    )
    email = ma.fields.String(
        required=True,
        metadata={"description": "Theirs, as it is now.", "example": "dana@acme.example"},
    )
    course_title = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "Of what was bought, as it is now; null for a top-up.",
            "example": "Coffee roasting",
        },
    )
    run_title = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "Of what was bought, as it is now; null for a top-up.",
            "example": "January cohort",
        },
    )
    amount = ma.fields.Nested(MoneySchema, required=True)
    list_price = ma.fields.Nested(
        MoneySchema,
        required=True,
        allow_none=True,
        metadata={"description": "Of a payment: what it would have cost without `discount`."},
    )
    discount = ma.fields.Nested(
        MoneySchema,
        required=True,
        allow_none=True,
        metadata={"description": "Of a payment: what the coupon took off."},
    )
    coupon = ma.fields.String(
        required=True, allow_none=True, metadata={"description": "The coupon's code, if any."}
    )
    payment_id = ma.fields.UUID(required=True, allow_none=True, attribute="receipt.payment_id")
    top_up_id = ma.fields.UUID(required=True, allow_none=True, attribute="receipt.top_up_id")
    refund_id = ma.fields.UUID(required=True, allow_none=True, attribute="receipt.refund_id")
    issued_at = UtcDateTime(required=True, attribute="receipt.issued_at")


class ReceiptQuery(PageQuery):
    """Whose receipts, of what. Only admins may ask for other people's."""

    user_id = ma.fields.UUID(load_default=None)
    payment_id = ma.fields.UUID(
        load_default=None,
        metadata={"description": "Only of this payment, and of its refunds."},
    )
    year = QueryInteger(minimum=1970, maximum=9999, load_default=None)
