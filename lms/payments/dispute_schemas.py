"""Disputes as staff see them."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from marshmallow import validate

from lms.core.money import Money
from lms.http.schemas import MoneySchema, PageQuery, Schema, UtcDateTime
from lms.payments.dispute_models import DISPUTE_KINDS, DISPUTE_STATUSES


class DisputedMoney(ma.fields.Nested):
    """The disputed amount of a `DisputeView`, with its currency."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(MoneySchema, **kwargs)

    def get_value(self, obj: Any, *_args: Any, **_kwargs: Any) -> Money:
        """Return the amount with the currency beside it."""
        return Money(obj.dispute.amount, obj.dispute.currency)


class DisputeOut(Schema):
    """A payment or top-up that its payer contests at their bank."""

    id = ma.fields.UUID(required=True, attribute="dispute.id")
    payment_id = ma.fields.UUID(
        required=True,
        allow_none=True,
        attribute="dispute.payment_id",
        metadata={"description": "The payment that is contested; null when it is a top-up."},
    )
    top_up_id = ma.fields.UUID(
        required=True,
        allow_none=True,
        attribute="dispute.top_up_id",
        metadata={"description": "The top-up that is contested; null when it is a payment."},
    )
    user_id = ma.fields.UUID(required=True, metadata={"description": "The learner who paid."})
    provider = ma.fields.String(required=True, attribute="dispute.provider")
    provider_dispute_id = ma.fields.String(
        required=True,
        attribute="dispute.provider_dispute_id",
        metadata={"description": "By this name it is found in the provider's dashboard."},
    )
    amount = DisputedMoney(required=True, metadata={"description": "What is contested."})
    kind = ma.fields.String(
        required=True,
        validate=validate.OneOf(DISPUTE_KINDS),
        attribute="dispute.kind",
        metadata={
            "description": "A `chargeback` has taken the money back until it is won. An `inquiry`"
            " only asks; it may become a chargeback."
        },
    )
    status = ma.fields.String(
        required=True,
        validate=validate.OneOf(DISPUTE_STATUSES),
        attribute="dispute.status",
        metadata={
            "description": "`needs_response`: hand evidence in, in the provider's dashboard."
            " `won` and `lost` are the bank's last word."
        },
    )
    reason = ma.fields.String(
        required=True,
        attribute="dispute.reason",
        metadata={"description": "The provider's word for what the payer says."},
    )
    evidence_due_at = UtcDateTime(
        required=True,
        allow_none=True,
        attribute="dispute.evidence_due_at",
        metadata={"description": "Until when evidence is taken; null when none is."},
    )
    opened_at = UtcDateTime(required=True, attribute="dispute.opened_at")
    closed_at = UtcDateTime(required=True, allow_none=True, attribute="dispute.closed_at")


class DisputeQuery(PageQuery):
    """Which disputes."""

    status = ma.fields.String(load_default=None, validate=validate.OneOf(DISPUTE_STATUSES))
    payment_id = ma.fields.UUID(load_default=None)
