"""Routes by which admins make and look after coupons."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from lms.core.pagination import Page
from lms.coupons import operations, queries
from lms.coupons.models import Coupon
from lms.coupons.schemas import (
    COUPON,
    REDEMPTION,
    CouponIn,
    CouponOut,
    CouponPatch,
    CouponRedemptionOut,
)
from lms.http.blueprint import ADMINS, TenantBlueprint
from lms.http.call import Call
from lms.payments.models import Payment

blp = TenantBlueprint(
    "Coupons",
    __name__,
    description="For admins: codes that take a part or an amount off the price of a run.",
)


@blp.operation(
    "POST",
    "/coupons",
    id="createCoupon",
    body=CouponIn,
    returns=CouponOut,
    status=201,
    roles=ADMINS,
    etag=True,
    refusals=(409,),
    example=COUPON,
)
def create_coupon(call: Call, body: dict[str, Any]) -> Coupon:
    """Make a coupon.

    For admins. It takes off `percent_off` of the price, rounded down to the minor unit, or
    `amount_off`, at most the price. 409 `coupon_code_taken` when another coupon has the code; 422
    when the amount is not in the academy's currency, the dates are out of order or there is no such
    run.
    """
    return operations.create_coupon(call.session, call.actor, body)


@blp.operation(
    "GET",
    "/coupons",
    id="listCoupons",
    returns=CouponOut,
    paged=True,
    roles=ADMINS,
    example={"items": [COUPON], "next_cursor": None},
)
def list_coupons(call: Call, query: dict[str, Any]) -> Page[Coupon]:
    """List coupons, newest first, with how often they are used.

    For admins.
    """
    return queries.coupons(call.session, **query)


@blp.operation(
    "GET",
    "/coupons/<uuid:coupon_id>",
    id="getCoupon",
    returns=CouponOut,
    roles=ADMINS,
    etag=True,
    not_modified=False,
    example=COUPON,
)
def get_coupon(call: Call, coupon_id: UUID) -> Coupon:
    """Read a coupon.

    For admins. `uses` is as of now and does not change the ETag.
    """
    return queries.coupon(call.session, coupon_id)


@blp.operation(
    "PATCH",
    "/coupons/<uuid:coupon_id>",
    id="updateCoupon",
    body=CouponPatch,
    returns=CouponOut,
    roles=ADMINS,
    etag=True,
    if_match="optional",
    refusals=(409,),
    example=COUPON,
)
def update_coupon(call: Call, body: dict[str, Any], coupon_id: UUID) -> Coupon:
    """Change when a coupon is valid and how often, or switch it off.

    For admins. Its code, discount, run and limit per learner stay: make another coupon instead.
    What was bought with it stays bought. 409 `max_uses_below_uses` with the `uses` that are taken.
    """
    return operations.update_coupon(
        call.session, call.actor, coupon_id, body, expected=call.expected_version()
    )


@blp.operation(
    "DELETE",
    "/coupons/<uuid:coupon_id>",
    id="deleteCoupon",
    status=204,
    roles=ADMINS,
    if_match="optional",
    refusals=(409,),
)
def delete_coupon(call: Call, coupon_id: UUID) -> None:
    """Delete a coupon that was never used.

    For admins. 409 `coupon_in_use` with how many `payments` name it: switch it off instead.
    """
    operations.delete_coupon(call.session, call.actor, coupon_id, expected=call.expected_version())


@blp.operation(
    "GET",
    "/coupons/<uuid:coupon_id>/redemptions",
    id="listCouponRedemptions",
    returns=CouponRedemptionOut,
    paged=True,
    roles=ADMINS,
    example={"items": [REDEMPTION], "next_cursor": None},
)
def list_coupon_redemptions(call: Call, coupon_id: UUID, query: dict[str, Any]) -> Page[Payment]:
    """List the payments that name a coupon, newest first.

    For admins. Also those that failed or were not paid in time, whose use was given back.
    """
    return queries.redemptions(call.session, coupon_id, **query)
