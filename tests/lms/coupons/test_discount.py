"""The one rule of what a coupon takes off, asked of the database that applies it."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from lms.coupons.policy import DISCOUNT
from tests.factories.money import Academy

TAKEN_OFF = text(
    f"SELECT {DISCOUNT.format(price='p.amount')}"
    " FROM (VALUES (CAST(:price AS bigint))) AS p (amount), (VALUES"
    " (CAST(:percent_off AS bigint), CAST(:amount_off AS bigint))) AS c (percent_off, amount_off)"
)
MOST = 10**12


@pytest.mark.parametrize(
    ("price", "percent_off", "amount_off", "discount"),
    [
        (4900, 50, None, 2450),
        (4900, 100, None, 4900),
        (4900, 1, None, 49),
        (999, 33, None, 329),  # 329.67: a fraction of a cent is not given
        (99, 1, None, 0),
        (0, 50, None, 0),
        (MOST, 100, None, MOST),
        (4900, None, 1000, 1000),
        (4900, None, 4900, 4900),
        (4900, None, 5000, 4900),  # never more than the price
        (0, None, 1000, 0),
        (4900, None, None, None),  # no coupon takes nothing off
    ],
)
def test_a_discount_is_whole_minor_units_and_at_most_the_price(
    academy: Academy,
    price: int,
    percent_off: int | None,
    amount_off: int | None,
    discount: int | None,
) -> None:
    values = {"price": price, "percent_off": percent_off, "amount_off": amount_off}
    with academy.database.transaction(academy.scope) as session:
        assert session.execute(TAKEN_OFF, values).scalar_one() == discount
