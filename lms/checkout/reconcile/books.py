"""An organization's own books: all checks, asked one after the other."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.orm import Session

from lms.checkout.reconcile import bookings, coupons, disputes, journal, leftovers, receipts
from lms.checkout.reconcile.checks import Check
from lms.checkout.reconcile.report import CheckResult

CHECKS: tuple[Check, ...] = (
    *journal.CHECKS,
    *bookings.CHECKS,
    *coupons.CHECKS,
    *disputes.CHECKS,
    *receipts.CHECKS,
    *leftovers.CHECKS,
)
"""In the order in which they run and are shown."""

TAKE_TIME = text("SET LOCAL statement_timeout = '15min'")


def check_books(session: Session, *, patient: bool = False) -> list[CheckResult]:
    """Ask every check; nothing is written.

    Args:
        session: the organization's.
        patient: let each statement take minutes; without it, the time that a request has.
    """
    if patient:
        session.execute(TAKE_TIME)
    return [check.run(session) for check in CHECKS]
