"""Routes that tell what a run costs."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from lms.checkout.pricing import Price, price_of
from lms.checkout.schemas import PriceOut, PriceQuery
from lms.http.blueprint import TenantBlueprint
from lms.http.call import Call

PRICE: dict[str, Any] = {
    "run_id": "0193a1c2-7f00-7000-8000-000000000001",
    "list_price": {"amount": 4900, "currency": "EUR"},
    "discount": {"amount": 980, "currency": "EUR"},
    "price": {"amount": 3920, "currency": "EUR"},
    "methods": ["wallet", "provider"],
    "coupon": "WELCOME-2027",
    "coupon_refused_because": None,
    "quoted_at": "2027-01-08T16:10:00Z",
}

blp = TenantBlueprint(
    "Prices", __name__, description="What a run costs you, with a coupon or without one."
)


@blp.operation(
    "GET",
    "/runs/<uuid:run_id>/price",
    id="getRunPrice",
    query=PriceQuery,
    returns=PriceOut,
    example=PRICE,
)
def get_run_price(call: Call, run_id: UUID, query: dict[str, Any]) -> Price:
    """Read what a run costs you now, with a `coupon` or without.

    A coupon that you cannot use changes nothing, and `coupon_refused_because` says why: with the
    code that enrolling would be refused with. The price holds for this moment; nothing is reserved.
    """
    return price_of(call.session, call.actor, run_id, coupon_code=query["coupon"])
