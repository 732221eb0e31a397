"""What a coupon takes off, and the rules of its dates and currency."""

from __future__ import annotations

from datetime import datetime

from lms.core.errors import InvalidInputError
from lms.core.money import Money

DISCOUNT = (
    "CASE WHEN c.amount_off > {price} THEN {price}"
    " ELSE COALESCE(c.amount_off, {price} * c.percent_off / 100) END"
)
"""What the coupon `c` takes off a price, in SQL: minor units of the price's currency, never more
than the price, NULL without a coupon.

`{price}` stands for the price in minor units. Of a part, fractions of a minor unit are not given:
the division of integers drops them, as the policy of refunds does (`lms.checkout.policy`). This is
the only place of the rule: purchases, quotes and reconciliation all ask it.
"""


def check_validity(valid_from: datetime, valid_until: datetime | None) -> None:
    """Refuse a coupon that would never be valid.

    Args:
        valid_from: UTC, itself inside.
        valid_until: UTC, itself outside; None for without an end.

    Raises:
        InvalidInputError: it would end before it begins.
    """
    if valid_until is not None and valid_until <= valid_from:
        message = "Must be later than `valid_from`."
        raise InvalidInputError(message, errors=[{"pointer": "/valid_until", "message": message}])


def check_currency(amount_off: Money | None, currency: str) -> None:
    """Refuse an amount that is not in the organization's currency.

    Args:
        amount_off: what the coupon takes off; None when it takes off a part.
        currency: ISO 4217 code of the organization.

    Raises:
        InvalidInputError: another currency.
    """
    if amount_off is not None and amount_off.currency != currency:
        message = f"Prices of this organization are in {currency}."
        pointer = "/amount_off/currency"
        raise InvalidInputError(
            message, errors=[{"pointer": pointer, "message": message}], currency=currency
        )
