"""Two organizations with the same ids everywhere, and a text or a number of their own in every row.

Whatever crosses from one to the other shows: an id finds the wrong row, or a canary appears.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from lms.checkout.imports.models import LearnerImport, LearnerImportRow
from lms.core.clock import now
from lms.core.ids import new_id
from lms.coupons.models import Coupon, CouponLearner
from lms.enrollments.models import Enrollment, EnrollmentChange
from lms.payments.dispute_models import Dispute
from lms.payments.models import (
    CreditGrant,
    Payment,
    Receipt,
    Refund,
    Wallet,
    WalletTopUp,
    WalletTransaction,
)
from lms.users.models import User, UserSession
from tests.factories import twin_courses


@dataclass(frozen=True)
class TwinIds:
    """The ids that both organizations share."""

    user_id: UUID = field(default_factory=new_id)
    instructor_id: UUID = field(default_factory=new_id)
    admin_id: UUID = field(default_factory=new_id)
    course_id: UUID = field(default_factory=new_id)
    version_id: UUID = field(default_factory=new_id)
    draft_id: UUID = field(default_factory=new_id)
    module_id: UUID = field(default_factory=new_id)
    lesson_id: UUID = field(default_factory=new_id)
    lineage_id: UUID = field(default_factory=new_id)
    asset_id: UUID = field(default_factory=new_id)
    media_file_id: UUID = field(default_factory=new_id)
    video_id: UUID = field(default_factory=new_id)
    job_id: UUID = field(default_factory=new_id)
    rendition_id: UUID = field(default_factory=new_id)
    caption_id: UUID = field(default_factory=new_id)
    run_id: UUID = field(default_factory=new_id)
    enrollment_id: UUID = field(default_factory=new_id)
    payment_id: UUID = field(default_factory=new_id)
    wallet_id: UUID = field(default_factory=new_id)
    top_up_id: UUID = field(default_factory=new_id)
    grant_id: UUID = field(default_factory=new_id)
    dispute_id: UUID = field(default_factory=new_id)
    coupon_id: UUID = field(default_factory=new_id)
    import_id: UUID = field(default_factory=new_id)

    def as_dict(self) -> dict[str, UUID]:
        return {one.name: getattr(self, one.name) for one in fields(self)}


def furnish(
    session: Session, ids: TwinIds, canary: str, organization_id: UUID, *, mark: int = 1
) -> None:
    """Write one row of everything, with the organization's own canary in its texts.

    Rows without a text carry `mark`, a number that no other organization has.
    """
    for batch in (
        _people(ids, canary),
        twin_courses.course(ids, canary),
        twin_courses.content(ids, canary),
        twin_courses.media(ids, canary, organization_id, mark),
        [twin_courses.published(ids, canary)],
        twin_courses.run(ids, canary, mark),
        _money(ids, canary, mark),
    ):
        for row in batch:  # one by one: without relations, only we know the order
            session.add(row)
            session.flush()


def _people(ids: TwinIds, canary: str) -> list[Any]:
    return [
        User(
            id=user_id,
            email=f"{kind}-{canary.lower()}@example.com",
            name=f"{kind} {canary}",
            account_type=kind,
        )
        for user_id, kind in (
            (ids.user_id, "student"),
            (ids.instructor_id, "instructor"),
            (ids.admin_id, "admin"),
        )
    ]


def sign_in(session: Session, user_id: UUID) -> tuple[UUID, UUID]:
    """Insert a live sign-in; returns its id and its refresh id."""
    session_id, refresh_id = new_id(), new_id()
    session.add(
        UserSession(
            id=session_id,
            user_id=user_id,
            refresh_id=refresh_id,
            expires_at=now() + timedelta(days=1),
        )
    )
    session.flush()
    return session_id, refresh_id


def _money(ids: TwinIds, canary: str, mark: int) -> list[Any]:
    return [
        Wallet(id=ids.wallet_id, user_id=ids.user_id, currency="EUR", balance=mark, seq=3),
        CreditGrant(
            id=ids.grant_id,
            amount=mark,
            currency="EUR",
            reason=canary,
            created_by=ids.admin_id,
        ),
        WalletTopUp(
            id=ids.top_up_id,
            wallet_id=ids.wallet_id,
            user_id=ids.user_id,
            amount=mark,
            currency="EUR",
            state="succeeded",
            provider="sandbox",
            failure_code=canary,
            succeeded_at=now(),
        ),
        Coupon(
            id=ids.coupon_id,
            code=canary.upper(),
            amount_off=mark,
            currency="EUR",
            uses=1,
            created_by=ids.admin_id,
        ),
        CouponLearner(coupon_id=ids.coupon_id, user_id=ids.user_id, max_uses=1, uses=1),
        Payment(
            id=ids.payment_id,
            user_id=ids.user_id,
            run_id=ids.run_id,
            amount=mark,
            currency="EUR",
            method="wallet",
            state="succeeded",
            failure_code=canary,
            discount_amount=mark,
            coupon_code=canary.upper(),
            coupon_used=True,
            succeeded_at=now(),
        ),
    ]


def settle(session: Session, ids: TwinIds, canary: str, *, mark: int = 1) -> None:
    """Write the rows that refer to the money: journal, refund, dispute and enrollment."""
    session.add_all(
        [
            WalletTransaction(
                wallet_id=ids.wallet_id,
                seq=1,
                kind="deposit",
                amount=mark,
                currency="EUR",
                balance_after=mark,
                counter_account=f"promotion:{canary}",
                grant_id=ids.grant_id,
                reference=f"grant:{ids.grant_id}:{ids.user_id}",
            ),
            WalletTransaction(
                wallet_id=ids.wallet_id,
                seq=2,
                kind="deposit",
                amount=mark,
                currency="EUR",
                balance_after=2 * mark,
                counter_account=f"provider:{canary}",
                top_up_id=ids.top_up_id,
                reference=f"top_up:{ids.top_up_id}",
            ),
            WalletTransaction(
                wallet_id=ids.wallet_id,
                seq=3,
                kind="deduction",
                amount=-mark,
                currency="EUR",
                balance_after=mark,
                counter_account=f"course_run:{canary}",
                payment_id=ids.payment_id,
                reference=f"payment:{ids.payment_id}",
            ),
            Enrollment(
                id=ids.enrollment_id,
                user_id=ids.user_id,
                run_id=ids.run_id,
                version_id=ids.version_id,
                payment_id=ids.payment_id,
                attempt=mark,
                state="active",
                activated_at=now(),
            ),
            EnrollmentChange(
                id=new_id(), enrollment_id=ids.enrollment_id, to_state="active", reason=canary
            ),
            Receipt(
                year=2026,
                number=ids.payment_id.int % 10**9 + 1,
                payment_id=ids.payment_id,
                user_id=ids.user_id,
                amount=mark,
                currency="EUR",
            ),
            Refund(
                id=new_id(),
                payment_id=ids.payment_id,
                amount=1,
                currency="EUR",
                destination="wallet",
                reason=canary,
            ),
            LearnerImport(
                id=ids.import_id,
                run_id=ids.run_id,
                mode="partial",
                dry_run=False,
                reason=canary,
                by_admin=True,
                ignored_columns=[],
                rows_total=1,
                created_by=ids.admin_id,
            ),
            Dispute(
                id=ids.dispute_id,
                top_up_id=ids.top_up_id,
                provider="sandbox",
                provider_dispute_id=f"{canary}-{ids.dispute_id}",
                amount=mark,
                currency="EUR",
                kind="inquiry",
                status="needs_response",
                reason=canary,
                opened_at=now(),
            ),
        ]
    )
    session.flush()
    session.add(
        LearnerImportRow(id=new_id(), import_id=ids.import_id, line=2, email=canary, name="")
    )
    session.flush()


@dataclass(frozen=True)
class Side:
    """One of the twins: its host, its text and tokens of its people."""

    host: str
    canary: str
    mark: int
    tokens: dict[str, str]


@dataclass(frozen=True)
class World:
    """Twins with shared ids, and ids that only acme has."""

    acme: Side
    globex: Side
    shared: TwinIds
    acme_only: TwinIds
