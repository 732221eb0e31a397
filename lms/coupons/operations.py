"""Making coupons, and what of them may still change. Redeeming one belongs to the checkout."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from lms.core import audit
from lms.core.actor import Actor
from lms.core.errors import InvalidInputError
from lms.core.ids import new_id
from lms.core.money import Money
from lms.core.versions import check_version
from lms.coupons import policy, queries
from lms.coupons.errors import CouponCodeTakenError, CouponInUseError, MaxUsesBelowUsesError
from lms.coupons.models import Coupon
from lms.courses.models import CourseRun
from lms.courses.operations.changes import apply_changes
from lms.payments.models import Payment
from tenants.session import organization_of

AUDITED = (
    *("code", "percent_off", "amount_off", "currency", "run_id", "valid_from", "valid_until"),
    *("max_uses", "max_uses_per_learner", "is_active"),
)


def create_coupon(session: Session, actor: Actor, values: Mapping[str, Any]) -> Coupon:
    """Make a coupon.

    Args:
        session: the organization's session.
        actor: an admin.
        values: the coupon's members; `amount_off` is a `Money` or None, dates are UTC, and
            `valid_from` None is now.

    Raises:
        InvalidInputError: another currency, dates out of order, or there is no such run.
        CouponCodeTakenError: another coupon has this code.
    """
    amount_off: Money | None = values["amount_off"]
    policy.check_currency(amount_off, organization_of(session).currency)
    valid_from = values["valid_from"] or _now(session)
    policy.check_validity(valid_from, values["valid_until"])
    _refuse_unknown_run(session, values["run_id"])
    columns = {
        **values,
        "valid_from": valid_from,
        "amount_off": None if amount_off is None else amount_off.amount,
        "currency": None if amount_off is None else amount_off.currency,
    }
    coupon = session.scalars(
        insert(Coupon)
        .values(id=new_id(), created_by=actor.user_id, **columns)
        .on_conflict_do_nothing(index_elements=[Coupon.code])
        .returning(Coupon)
    ).first()
    if coupon is None:
        raise CouponCodeTakenError(
            f"There is a coupon with the code {values['code']} already.", coupon_code=values["code"]
        )
    _record(session, actor, "coupon.create", coupon.id, after=_audited(coupon))
    return coupon


def update_coupon(
    session: Session,
    actor: Actor,
    coupon_id: UUID,
    changes: Mapping[str, Any],
    *,
    expected: int | None,
) -> Coupon:
    """Change when a coupon is valid, how often, or whether it is on.

    Args:
        session: the organization's session.
        actor: an admin.
        coupon_id: which.
        changes: the members to change: `valid_from`, `valid_until`, `max_uses`, `is_active`.
        expected: version the client read, or None.

    Raises:
        NotFoundError: there is no such coupon.
        StaleVersionError: it changed since.
        InvalidInputError: dates out of order.
        MaxUsesBelowUsesError: more uses are taken.
    """
    coupon = queries.coupon(session, coupon_id, hold=True)
    check_version(coupon, expected)
    policy.check_validity(
        changes.get("valid_from", coupon.valid_from),
        changes.get("valid_until", coupon.valid_until),
    )
    max_uses = changes.get("max_uses", coupon.max_uses)
    if max_uses is not None and max_uses < coupon.uses:
        raise MaxUsesBelowUsesError(
            f"{coupon.uses} uses are taken; there cannot be fewer.", uses=coupon.uses
        )
    before, after = apply_changes(coupon, changes)
    if after:
        session.flush()
        _record(session, actor, "coupon.update", coupon_id, before=before, after=after)
    return coupon


def delete_coupon(session: Session, actor: Actor, coupon_id: UUID, *, expected: int | None) -> None:
    """Delete a coupon that no payment names.

    A purchase that is just being made either has counted its use, and is waited for, or finds the
    coupon gone.

    Args:
        session: the organization's session.
        actor: an admin.
        coupon_id: which.
        expected: version the client read, or None.

    Raises:
        NotFoundError: there is no such coupon.
        StaleVersionError: it changed since.
        CouponInUseError: a payment names it, also one that failed.
    """
    coupon = queries.coupon(session, coupon_id, hold=True)
    check_version(coupon, expected)
    payments = session.execute(
        select(func.count()).select_from(Payment).where(Payment.coupon_code == coupon.code)
    ).scalar_one()
    if payments:
        raise CouponInUseError(
            f"{payments} payments name this coupon; switch it off instead.", payments=payments
        )
    before = _audited(coupon)
    session.delete(coupon)
    session.flush()
    _record(session, actor, "coupon.delete", coupon_id, before=before)


def _now(session: Session) -> datetime:
    """Return the present by the database's clock, by which coupons are valid."""
    return session.execute(select(func.now())).scalar_one()


def _refuse_unknown_run(session: Session, run_id: UUID | None) -> None:
    if run_id is not None and session.get(CourseRun, run_id) is None:
        message = "There is no such run."
        raise InvalidInputError(message, errors=[{"pointer": "/run_id", "message": message}])


def _audited(coupon: Coupon) -> dict[str, Any]:
    values = {name: getattr(coupon, name) for name in AUDITED}
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value


def _record(
    session: Session,
    actor: Actor,
    action: str,
    coupon_id: UUID,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    subject = ("coupon", coupon_id)
    audit.record(session, action, subject, actor_id=actor.user_id, before=before, after=after)
