"""Two organizations with the same ids everywhere, and a text or a number of their own in every row.

Whatever crosses from one to the other shows: an id finds the wrong row, or a canary appears.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from lms.core.clock import now
from lms.core.ids import new_id
from lms.courses.models import (
    Course,
    CourseInstructor,
    CourseRun,
    CourseVersion,
    Lesson,
    MediaFile,
    Module,
    PublishedVersion,
    RunSeats,
)
from lms.enrollments.models import Enrollment
from lms.media.models import MediaAsset, TranscodingJob, Video, VideoRendition
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
    run_id: UUID = field(default_factory=new_id)
    enrollment_id: UUID = field(default_factory=new_id)
    payment_id: UUID = field(default_factory=new_id)
    wallet_id: UUID = field(default_factory=new_id)
    top_up_id: UUID = field(default_factory=new_id)
    grant_id: UUID = field(default_factory=new_id)

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
        _course(ids, canary),
        _content(ids, canary),
        _media(ids, canary, organization_id, mark),
        [_published(ids, canary)],
        _run(ids, canary),
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


def _course(ids: TwinIds, canary: str) -> list[Any]:
    return [
        Course(
            id=ids.course_id,
            instructor_id=ids.instructor_id,
            title=f"Course {canary}",
            summary=canary,
        ),
        CourseInstructor(course_id=ids.course_id, user_id=ids.instructor_id),
        CourseVersion(
            id=ids.version_id,
            course_id=ids.course_id,
            number=1,
            label=canary,
            state="published",
            published_at=now(),
        ),
        CourseVersion(id=ids.draft_id, course_id=ids.course_id, number=2, label=canary),
    ]


def _content(ids: TwinIds, canary: str) -> list[Any]:
    return [
        Module(
            id=ids.module_id,
            version_id=ids.draft_id,
            lineage_id=ids.lineage_id,
            title=f"Module {canary}",
            position=0,
        ),
        Lesson(
            id=ids.lesson_id,
            module_id=ids.module_id,
            version_id=ids.draft_id,
            lineage_id=ids.lineage_id,
            kind="video",
            title=f"Lesson {canary}",
            content=canary,
            completion={"rule": "watched", "percent": 90},
            position=0,
        ),
    ]


def _media(ids: TwinIds, canary: str, organization_id: UUID, mark: int) -> list[Any]:
    root = f"o/{organization_id}/{ids.asset_id}"
    return [
        MediaAsset(
            id=ids.asset_id,
            kind="video",
            content_type="video/mp4",
            size=1000,
            storage_key=f"{root}/original",
            state="ready",
            created_by=ids.instructor_id,
        ),
        MediaFile(
            id=ids.media_file_id,
            lesson_id=ids.lesson_id,
            asset_id=ids.asset_id,
            file_name=f"{canary}.mp4",
        ),
        Video(
            id=ids.video_id,
            asset_id=ids.asset_id,
            state="ready",
            duration_seconds=20.0,
            width=mark,
            height=720,
        ),
        TranscodingJob(
            id=ids.job_id,
            video_id=ids.video_id,
            state="succeeded",
            progress=100,
            error_message=canary,
        ),
        VideoRendition(
            id=ids.rendition_id,
            video_id=ids.video_id,
            job_id=ids.job_id,
            label="720p",
            width=1280,
            height=720,
            bytes=1000,
            bandwidth=1000,
            average_bandwidth=1000,
            codecs=f"avc1.{canary}",
            frame_rate=25.0,
            media_key=f"{root}/720p.mp4",
            playlist_key=f"{root}/720p.m3u8",
        ),
    ]


def _published(ids: TwinIds, canary: str) -> PublishedVersion:
    media = {
        "media_file_id": str(ids.media_file_id),
        "kind": "video",
        "content_type": "video/mp4",
        "file_name": f"{canary}.mp4",
        "size": 1000,
        "video_id": str(ids.video_id),
        "duration_seconds": 20.0,
    }
    completion = {"rule": "watched", "percent": 90}
    lesson = {
        "id": str(ids.lesson_id),
        "lineage_id": str(ids.lineage_id),
        "kind": "video",
        "title": f"Lesson {canary}",
        "content": canary,
        "estimated_seconds": 60,
        "required": True,
        "preview": False,
        "weight": 1,
        "completion": completion,
        "media": [media],
    }
    module = {
        "id": str(ids.module_id),
        "lineage_id": str(ids.lineage_id),
        "title": f"Module {canary}",
        "summary": "",
        "lessons": [lesson],
    }
    version = {
        "id": str(ids.version_id),
        "course_id": str(ids.course_id),
        "number": 1,
        "label": canary,
    }
    rule = {
        "required": True,
        "weight": 1,
        "completion": completion,
        "kind": "video",
        "duration_seconds": 20.0,
    }
    return PublishedVersion(
        version_id=ids.version_id,
        course_id=ids.course_id,
        content_hash=canary,
        outline={"version": version, "modules": [module]},
        rules={
            "lessons": {str(ids.lineage_id): rule},
            "lineages": {str(ids.lesson_id): str(ids.lineage_id)},
            "required_weight": 1,
        },
        published_by=ids.instructor_id,
    )


def _run(ids: TwinIds, canary: str) -> list[Any]:
    return [
        CourseRun(
            id=ids.run_id,
            course_id=ids.course_id,
            version_id=ids.version_id,
            title=f"Run {canary}",
            enrollment_opens_at=now() - timedelta(days=1),
            enrollment_closes_at=now() + timedelta(days=1),
            starts_at=now() + timedelta(days=2),
            ends_at=now() + timedelta(days=9),
            capacity=10,
            price_amount=500,
            currency="EUR",
        ),
        RunSeats(run_id=ids.run_id, capacity=10, taken=1),
    ]


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
        Payment(
            id=ids.payment_id,
            user_id=ids.user_id,
            run_id=ids.run_id,
            amount=mark,
            currency="EUR",
            method="wallet",
            state="succeeded",
            failure_code=canary,
            succeeded_at=now(),
        ),
    ]


def settle(session: Session, ids: TwinIds, canary: str, *, mark: int = 1) -> None:
    """Write the rows that refer to the money: the journal, a refund and the enrollment."""
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
        ]
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
