"""Wallets and payments as clients see them."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from marshmallow import validate

from lms.core.money import MAX_AMOUNT, Money
from lms.http.schemas import (
    Integer,
    MoneySchema,
    PageQuery,
    Schema,
    Text,
    UtcDateTime,
)
from lms.payments.models import PAYMENT_STATES, TRANSACTION_KINDS

MAX_TOKEN = 255
MAX_REASON = 500
FOR_THE_LEARNER = (
    "In the 202 that started it: with this the provider's own script lets the learner finish the"
    " payment (3-D Secure). Null when the learner has nothing to do."
)
REFUND_STATES = ("created", "pending", "succeeded", "failed")


class SignedMoney(Schema):
    """An amount that came (positive) or went (negative), in minor units."""

    amount = ma.fields.Integer(
        required=True, metadata={"description": "Minor units, signed.", "example": -4900}
    )
    currency = ma.fields.String(required=True, metadata={"example": "EUR"})


class PositiveMoney(MoneySchema):
    """An amount of more than nothing, in minor units."""

    amount = Integer(
        minimum=1,
        maximum=MAX_AMOUNT,
        required=True,
        metadata={"description": "Minor units: 5000 is 50.00 EUR.", "example": 5000},
    )


class Correction(MoneySchema):
    """An amount to put in (positive) or to take out (negative), in minor units."""

    amount = Integer(
        minimum=-MAX_AMOUNT,
        maximum=MAX_AMOUNT,
        required=True,
        metadata={"description": "Minor units, signed, not zero.", "example": -2500},
    )

    @ma.validates("amount")
    def _check_amount(self, amount: int, **_kwargs: Any) -> None:
        if amount == 0:
            raise ma.ValidationError("Must not be zero.")


class MoneyOf(ma.fields.Nested):
    """A column of minor units, shown with its row's currency.

    Args:
        schema: `MoneySchema`, or `SignedMoney` for movements.
    """

    def __init__(self, schema: type[Schema] = MoneySchema, **kwargs: Any) -> None:
        super().__init__(schema, **kwargs)

    def get_value(self, obj: Any, attr: str, *_args: Any, **_kwargs: Any) -> Money:
        """Return the amount with the currency beside it."""
        return Money(getattr(obj, self.attribute or attr), obj.currency)


class RefundState(ma.fields.String):
    """How much of a payment is given back, told by its amounts."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(validate=validate.OneOf(("none", "partial", "full")), **kwargs)

    def get_value(self, obj: Any, *_args: Any, **_kwargs: Any) -> str:
        """Return the word for it."""
        if obj.refunded_amount == 0:
            return "none"
        return "full" if obj.refunded_amount == obj.amount else "partial"


class DisputeState(ma.fields.String):
    """Whether the payer contests a payment, told by its marks."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(validate=validate.OneOf(("none", "open", "lost")), **kwargs)

    def get_value(self, obj: Any, *_args: Any, **_kwargs: Any) -> str:
        """Return the word for it."""
        if obj.disputed_at is not None:
            return "open"
        return "lost" if obj.lost_amount > 0 else "none"


class WalletOut(Schema):
    """A learner's money in this academy."""

    id = ma.fields.UUID(required=True)
    balance = MoneyOf(required=True)
    owed = MoneyOf(
        required=True,
        metadata={"description": "Of reversed top-ups; money that comes in pays it first."},
    )
    frozen_at = UtcDateTime(
        required=True,
        allow_none=True,
        metadata={"description": "Since when nothing is bought from it: until nothing is owed."},
    )
    created_at = UtcDateTime(required=True)


class WalletTransactionOut(Schema):
    """One movement of a wallet. `balance_after` makes the journal verifiable line by line."""

    seq = ma.fields.Integer(
        required=True, metadata={"description": "Counts up by one in each wallet.", "example": 2}
    )
    kind = ma.fields.String(required=True, validate=validate.OneOf(TRANSACTION_KINDS))
    amount = MoneyOf(SignedMoney, required=True)
    balance_after = MoneyOf(required=True)
    counter_account = ma.fields.String(
        required=True,
        metadata={
            "description": "Where the money came from or went to.",
            "example": "run:0193a1c2-7f00-7000-8000-000000000001",
        },
    )
    payment_id = ma.fields.UUID(required=True, allow_none=True)
    refund_id = ma.fields.UUID(required=True, allow_none=True)
    top_up_id = ma.fields.UUID(required=True, allow_none=True)
    grant_id = ma.fields.UUID(required=True, allow_none=True)
    reason = ma.fields.String(
        required=True,
        metadata={"description": "Of adjustments and grants, in words; else empty.", "example": ""},
    )
    created_at = UtcDateTime(required=True)


class AdjustmentIn(Schema):
    """A correction by hand."""

    amount = ma.fields.Nested(Correction, required=True)
    reason = Text(
        max_length=MAX_REASON,
        required=True,
        metadata={
            "description": "The learner sees it.",
            "example": "Paid 25.00 EUR too much in cash",
        },
    )


class PeriodQuery(Schema):
    """From when to when: `from` itself is inside, `to` outside."""

    since = UtcDateTime(
        data_key="from",
        load_default=None,
        metadata={"description": "Beginning of the period; without it, everything up to its end."},
    )
    until = UtcDateTime(
        data_key="to",
        load_default=None,
        metadata={"description": "End of the period; without it, up to now."},
    )

    @ma.validates_schema
    def _in_order(self, data: dict[str, Any], **_kwargs: Any) -> None:
        since, until = data["since"], data["until"]
        if since is not None and until is not None and until <= since:
            raise ma.ValidationError("Must be later than `from`.", "to")


class StatementQuery(PeriodQuery, PageQuery):
    """A period, and where in it to read."""


class StatementOut(Schema):
    """What went through a wallet; the balances are those of the whole period."""

    since = UtcDateTime(required=True, allow_none=True, data_key="from")
    until = UtcDateTime(required=True, allow_none=True, data_key="to")
    opening_balance = MoneyOf(required=True)
    closing_balance = MoneyOf(required=True)
    items = ma.fields.List(ma.fields.Nested(WalletTransactionOut), required=True)
    next_cursor = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Pass as `cursor` for the next page; null on the last."},
    )


class PaymentOut(Schema):
    """A payment for a run."""

    id = ma.fields.UUID(required=True)
    user_id = ma.fields.UUID(required=True)
    run_id = ma.fields.UUID(required=True)
    amount = MoneyOf(
        required=True, metadata={"description": "What is paid: `list_price` less `discount`."}
    )
    list_price = MoneyOf(required=True, attribute="list_amount")
    discount = MoneyOf(required=True, attribute="discount_amount")
    coupon = ma.fields.String(
        required=True,
        allow_none=True,
        attribute="coupon_code",
        metadata={"description": "Code of the coupon that gave the discount.", "example": None},
    )
    refunded_amount = MoneyOf(
        required=True,
        metadata={
            "description": "Given back or on its way: `GET /payments/{id}/refunds` tells which."
        },
    )
    refund_state = RefundState(
        required=True,
        metadata={"description": "How much `refunded_amount` is of `amount`.", "example": "none"},
    )
    dispute_state = DisputeState(
        required=True,
        metadata={
            "description": "`open` while the payer contests it at their bank, which has the money"
            " until it decides; `lost` when the bank kept it. Staff: `GET /disputes`.",
            "example": "none",
        },
    )
    disputed_at = UtcDateTime(
        required=True,
        allow_none=True,
        metadata={"description": "Since when the payer contests it; null when nobody does now."},
    )
    lost_amount = MoneyOf(
        required=True, metadata={"description": "What the payer's bank took back for good."}
    )
    method = ma.fields.String(
        required=True, validate=validate.OneOf(("wallet", "provider", "free"))
    )
    state = ma.fields.String(required=True, validate=validate.OneOf(PAYMENT_STATES))
    provider = ma.fields.String(required=True, allow_none=True)
    failure_code = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "The provider's reason for a failed payment."},
    )
    succeeded_at = UtcDateTime(required=True, allow_none=True)
    created_at = UtcDateTime(required=True)


class RefundOut(Schema):
    """Money on its way back to the wallet or the provider that it came from."""

    id = ma.fields.UUID(required=True)
    payment_id = ma.fields.UUID(required=True)
    amount = MoneyOf(required=True)
    destination = ma.fields.String(required=True, validate=validate.OneOf(("wallet", "provider")))
    state = ma.fields.String(required=True, validate=validate.OneOf(REFUND_STATES))
    failure_code = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "Why the provider refused; while `created`, it is asked again by itself."
        },
    )
    reason = ma.fields.String(required=True)
    succeeded_at = UtcDateTime(required=True, allow_none=True)
    created_at = UtcDateTime(required=True)


class PaymentQuery(PageQuery):
    """Whose payments, for which run. Only admins may ask for other people's."""

    user_id = ma.fields.UUID(load_default=None)
    run_id = ma.fields.UUID(load_default=None)


class TopUpIn(Schema):
    """How much to deposit, and by which means of payment."""

    amount = ma.fields.Nested(PositiveMoney, required=True)
    token = Text(
        max_length=MAX_TOKEN,
        required=True,
        metadata={
            "description": "The means of payment, as the provider's own script named it.",
            "example": "tok_success",
        },
    )


class TopUpOut(Schema):
    """A deposit through the provider; poll it while it is `created` or `pending`."""

    id = ma.fields.UUID(required=True)
    amount = MoneyOf(required=True)
    reversed_amount = MoneyOf(
        required=True,
        metadata={
            "description": "What the provider took back of it: given back at the provider, or"
            " contested by the payer at their bank."
        },
    )
    state = ma.fields.String(required=True, validate=validate.OneOf(PAYMENT_STATES))
    provider = ma.fields.String(required=True)
    failure_code = ma.fields.String(required=True, allow_none=True)
    client_secret = ma.fields.String(
        required=True,
        allow_none=True,
        dump_default=None,
        metadata={"description": FOR_THE_LEARNER},
    )
    succeeded_at = UtcDateTime(required=True, allow_none=True)
    created_at = UtcDateTime(required=True)
