"""Reads of coupons and of what they were redeemed for."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from lms.core.errors import NotFoundError
from lms.core.pagination import Page, paginate
from lms.coupons.models import Coupon
from lms.payments.models import Payment


def coupon(session: Session, coupon_id: UUID, *, hold: bool = False) -> Coupon:
    """Return a coupon.

    Args:
        session: the organization's session.
        coupon_id: which.
        hold: nobody counts or gives back a use of it until this transaction ends.

    Raises:
        NotFoundError: there is none.
    """
    query = select(Coupon).where(Coupon.id == coupon_id)
    if hold:
        query = query.with_for_update(key_share=True).execution_options(populate_existing=True)
    found = session.scalars(query).one_or_none()
    if found is None:
        raise NotFoundError("There is no such coupon.")
    return found


def coupons(session: Session, *, limit: int, cursor: str | None) -> Page[Coupon]:
    """Read a page of the organization's coupons, newest first.

    Raises:
        InvalidCursorError: the cursor is not one of this list.
    """
    query = select(Coupon)
    return paginate(session, query, Coupon.id, limit=limit, cursor=cursor, newest_first=True)


def redemptions(
    session: Session, coupon_id: UUID, *, limit: int, cursor: str | None
) -> Page[Payment]:
    """Read a page of the payments that name a coupon, newest first: also those that gave it back.

    Raises:
        NotFoundError: there is no such coupon.
        InvalidCursorError: the cursor is not one of this list.
    """
    query = select(Payment).where(Payment.coupon_code == coupon(session, coupon_id).code)
    return paginate(session, query, Payment.id, limit=limit, cursor=cursor, newest_first=True)
