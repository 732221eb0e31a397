"""Reads where money and enrollments meet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from lms.checkout.policy import NothingBecause, quote_refund
from lms.core.actor import Actor
from lms.courses.models import CourseRun
from lms.enrollments.models import Enrollment
from lms.payments import queries


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotedRefund:
    """What one gets back of a payment who withdraws now.

    Attributes:
        payment_id: which.
        currency: of the amounts, ISO 4217.
        amount: minor units that would be given back.
        refunded_amount: minor units given back, or on their way, already.
        percent: of what was paid, by the step of the policy that applies.
        until: when that step ends, UTC; None when none applies.
        next_percent: what applies from then on.
        nothing_because: why the amount is 0; None when it is more.
        destination: where it would go; None for what was free.
        quoted_at: the moment for which this holds, UTC.
    """

    payment_id: UUID
    currency: str
    amount: int
    refunded_amount: int
    percent: int
    until: datetime | None
    next_percent: int | None
    nothing_because: NothingBecause | None
    destination: str | None
    quoted_at: datetime


def refund_quote(session: Session, actor: Actor, payment_id: UUID) -> QuotedRefund:
    """Return what one gets back of a payment who withdraws now: the actor's, or any for an admin.

    Raises:
        NotFoundError: there is no payment that the actor may know of.
    """
    payment = queries.payment(session, actor, payment_id)
    query = (
        select(Enrollment.state, CourseRun.state, CourseRun.starts_at, func.now())
        .join(CourseRun, CourseRun.id == Enrollment.run_id)
        .where(Enrollment.payment_id == payment.id)
    )
    enrollment_state, run_state, starts_at, now = session.execute(query).one()
    quote = quote_refund(
        payment,
        enrollment_state=enrollment_state,
        run_state=run_state,
        now=now,
        starts_at=starts_at,
    )
    return QuotedRefund(
        payment_id=payment.id,
        currency=payment.currency,
        amount=quote.amount,
        refunded_amount=payment.refunded_amount,
        percent=quote.step.percent,
        until=quote.step.until,
        next_percent=quote.step.next_percent,
        nothing_because=quote.nothing_because,
        destination=None if payment.method == "free" else payment.method,
        quoted_at=now,
    )
