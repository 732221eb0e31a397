"""A check: one statement that returns the rows that differ, and how it is asked."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Text, TextClause, bindparam, column, func, select
from sqlalchemy.orm import Session

from lms.checkout.reconcile.report import FINDINGS_SHOWN, CheckResult, Finding
from lms.core.queue import (
    CANCEL_RUN,
    CLOSE_WAITLIST,
    ENROLL_INVITED,
    EXPIRE_ENROLLMENT,
    IMPORT_LEARNERS,
    OFFER_SEATS,
    SETTLE_PAYMENT,
)
from lms.enrollments.models import LIVE_STATES, SEATED_STATES
from tenants.session import organization_of

MEMBERS = ("subject_type", "subject_id", "expected", "found")


@dataclass(frozen=True, slots=True)
class Check:
    """One question to an organization's books.

    Attributes:
        name: stable, for programs.
        statement: returns a row for each difference: subject_type, subject_id, expected, found,
            all text. One statement sees one moment, so what is paid meanwhile is no difference.
    """

    name: str
    statement: TextClause

    def run(self, session: Session) -> CheckResult:
        """Ask, in a session of the organization."""
        differing = self.statement.columns(*(column(name, Text) for name in MEMBERS)).subquery()
        rows = session.execute(
            select(differing, func.count().over().label("total"))
            .order_by(*(differing.c[name] for name in MEMBERS))
            .limit(bindparam("findings_shown")),
            {
                "organization_id": organization_of(session).id,
                "live_states": list(LIVE_STATES),
                "seated_states": list(SEATED_STATES),
                "settle_payment": SETTLE_PAYMENT,
                "expire_enrollment": EXPIRE_ENROLLMENT,
                "cancel_run": CANCEL_RUN,
                "offer_seats": OFFER_SEATS,
                "close_waitlist": CLOSE_WAITLIST,
                "import_learners": IMPORT_LEARNERS,
                "enroll_invited": ENROLL_INVITED,
                "findings_shown": FINDINGS_SHOWN,
            },
        ).all()
        findings = tuple(
            Finding(
                check=self.name,
                subject_type=row.subject_type,
                subject_id=row.subject_id,
                expected=row.expected,
                found=row.found,
            )
            for row in rows
        )
        return CheckResult(self.name, rows[0].total if rows else 0, findings)
