"""One academy with the content that requests are measured on, made by the product's operations.

Its default shape is that of the comparison's tenants: 200 courses, 12 of them with an outline of 48
lessons of two files each, 612 runs, and 30 students who are enrolled in the 12 and have money.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from lms.core.actor import AccountType, Actor
from lms.core.ids import new_id
from lms.core.money import Money
from lms.courses.models import MediaFile
from lms.courses.operations import content, courses, runs, versions
from lms.enrollments.models import Enrollment, EnrollmentChange
from lms.media.models import MediaAsset, TranscodingJob, Video, VideoRendition
from lms.payments.operations import ensure_wallet
from lms.users.models import User, UserSession
from tenants.session import Database, OrganizationScope, organization_of

PRICE = 100
BALANCE = 100_000_000_000
"""Minor units: enough for every purchase that a round can make."""

MODULES, LESSONS_PER_MODULE = 8, 6
VIDEO_SECONDS = 300.0
HEIGHTS = (360, 720, 1080)
OPENED = datetime(2025, 6, 1, tzinfo=UTC)

FUND = text("""
    WITH credited AS (
        UPDATE wallets SET balance = balance + :amount, seq = seq + 1
         WHERE id = :wallet_id RETURNING *
    )
    INSERT INTO wallet_transactions
           (wallet_id, seq, kind, amount, currency, balance_after, counter_account, reference)
    SELECT id, seq, 'adjustment', CAST(:amount AS bigint), currency, balance, 'manual',
           'start:' || id
      FROM credited
""")
SEAT = text("UPDATE run_seats SET taken = taken + :count WHERE run_id = :run_id")


@dataclass(frozen=True, slots=True)
class Shape:
    """How much of everything an academy has.

    Attributes:
        instructors: who own the courses, in turn.
        students: each enrolled in every course that has an outline.
        courses: published, each with at least one lesson and one run.
        outlines: how many of the courses have 8 modules of 6 lessons.
        runs: open for purchase, beside the one of each outline that the students are in.
    """

    instructors: int = 10
    students: int = 30
    courses: int = 200
    outlines: int = 12
    runs: int = 600


@dataclass(frozen=True, slots=True)
class Student:
    """A learner's id and sign-in, as hexadecimal UUIDs with hyphens."""

    id: str
    session_id: str


@dataclass(frozen=True, slots=True)
class Academy:
    """The ids that requests name, as text.

    Attributes:
        students: in the order of their enrollments.
        courses: in the order of the list.
        versions: those with an outline.
        lessons: of each of these versions, in order.
        enrollments: of each of these versions, one per student.
        runs: open for purchase, nobody enrolled.
    """

    students: list[Student]
    courses: list[str]
    versions: list[str]
    lessons: list[list[str]]
    enrollments: list[list[str]]
    runs: list[str]


def make_academy(database: Database, organization_id: UUID, shape: Shape) -> Academy:
    """Fill an empty organization.

    Args:
        database: the pool of the login role.
        organization_id: an organization without rows.
        shape: how much to make.
    """
    scope = OrganizationScope(organization_id)
    with database.transaction(scope) as session:
        teachers = [_sign_up(session, "instructor", n) for n in range(shape.instructors)]
        students = [_sign_up(session, "student", n) for n in range(shape.students)]
        for student in students:
            _fund(session, student.user_id)
    made: list[tuple[UUID, UUID, list[UUID]]] = []
    for number in range(shape.courses):
        teacher = teachers[number % len(teachers)]
        with database.transaction(scope) as session:
            made.append(_make_course(session, teacher, number, whole=number < shape.outlines))
        # As over HTTP, publishing is a request of its own.
        with database.transaction(scope) as session:
            versions.publish_version(session, teacher, made[-1][1], expected=None)
    enrollments: list[list[str]] = []
    open_runs: list[str] = []
    with database.transaction(scope) as session:
        for number in range(shape.outlines + shape.runs):
            course_id, version_id, _ = made[number % shape.courses]
            teacher = teachers[number % shape.courses % len(teachers)]
            run_id = _make_run(session, teacher, number, course_id, version_id)
            if number < shape.outlines:
                enrollments.append(_enroll(session, students, run_id, version_id))
            else:
                open_runs.append(str(run_id))
    return Academy(
        students=[Student(str(one.user_id), str(one.session_id)) for one in students],
        courses=[str(course_id) for course_id, _, _ in made],
        versions=[str(version_id) for _, version_id, _ in made[: shape.outlines]],
        lessons=[[str(one) for one in lessons] for _, _, lessons in made[: shape.outlines]],
        enrollments=enrollments,
        runs=open_runs,
    )


def _sign_up(session: Session, account_type: AccountType, number: int) -> Actor:
    actor = Actor(new_id(), account_type, new_id())
    session.add(
        User(
            id=actor.user_id,
            email=f"{account_type}{number}@example.test",
            name=f"Person Number {number}",
            account_type=account_type,
        )
    )
    session.flush()
    session.add(
        UserSession(
            id=actor.session_id,
            user_id=actor.user_id,
            refresh_id=new_id(),
            expires_at=OPENED + timedelta(days=3650),
        )
    )
    session.flush()
    return actor


def _fund(session: Session, user_id: UUID) -> None:
    wallet = ensure_wallet(session, user_id)
    session.execute(FUND, {"wallet_id": wallet.id, "amount": BALANCE})


def _make_course(
    session: Session, teacher: Actor, number: int, *, whole: bool
) -> tuple[UUID, UUID, list[UUID]]:
    course = courses.create_course(
        session,
        teacher,
        title=f"Course title number {number}",
        summary=f"A realistic sentence about course {number}. " * 5,
        language="en",
        instructor_id=None,
    )
    version = versions.create_draft(session, teacher, course.id, label="", base_version_id=None)
    lessons: list[UUID] = []
    for place in range(MODULES if whole else 1):
        module = content.create_module(
            session, teacher, version.id, title=f"Module {place + 1} of course {number}", summary=""
        )
        positions = range(LESSONS_PER_MODULE if whole else 1)
        lessons += [_make_lesson(session, teacher, module.id, position) for position in positions]
    return course.id, version.id, lessons


def _make_lesson(session: Session, teacher: Actor, module_id: UUID, position: int) -> UUID:
    is_video = position % 2 == 1
    lesson = content.create_lesson(
        session,
        teacher,
        module_id,
        {
            "kind": "video" if is_video else "text",
            "title": f"Lesson {position + 1} of this module",
            "content": "Lesson body text. " * 20,
            "estimated_seconds": 301 + position,
            "required": True,
            "preview": position == 0,
            "weight": 1,
            "completion": None,
        },
    )
    _attach(session, teacher, lesson.id, is_video=is_video)
    _attach(session, teacher, lesson.id, is_video=False)
    return lesson.id


def _attach(session: Session, teacher: Actor, lesson_id: UUID, *, is_video: bool) -> None:
    """Attach a file without bytes; no request that is measured reads any."""
    asset_id = new_id()
    session.add(
        MediaAsset(
            id=asset_id,
            kind="video" if is_video else "document",
            content_type="video/mp4" if is_video else "application/pdf",
            size=1_000_000,
            sha256=asset_id.hex * 2,
            storage_key=f"assets/{asset_id}/original",
            state="ready",
            created_by=teacher.user_id,
        )
    )
    session.flush()
    name = f"file-{asset_id.hex[:8]}.{'mp4' if is_video else 'pdf'}"
    session.add(MediaFile(id=new_id(), lesson_id=lesson_id, asset_id=asset_id, file_name=name))
    if is_video:
        _add_renditions(session, asset_id)
    session.flush()


def _add_renditions(session: Session, asset_id: UUID) -> None:
    video = Video(
        id=new_id(),
        asset_id=asset_id,
        state="ready",
        duration_seconds=VIDEO_SECONDS,
        width=1920,
        height=1080,
    )
    session.add(video)
    session.flush()
    job = TranscodingJob(id=new_id(), video_id=video.id, state="succeeded", progress=100)
    session.add(job)
    session.flush()
    for height in HEIGHTS:
        session.add(
            VideoRendition(
                id=new_id(),
                video_id=video.id,
                job_id=job.id,
                label=f"{height}p",
                width=height * 16 // 9,
                height=height,
                bytes=height * 150_000,
                bandwidth=height * 4000,
                average_bandwidth=height * 3000,
                codecs="avc1.64001f,mp4a.40.2",
                frame_rate=25.0,
                media_key=f"assets/{asset_id}/{height}p.mp4",
                playlist_key=f"assets/{asset_id}/{height}p.m3u8",
            )
        )


def _make_run(
    session: Session, teacher: Actor, number: int, course_id: UUID, version_id: UUID
) -> UUID:
    values = {
        "version_id": version_id,
        "title": f"Run {number}",
        "state": "scheduled",
        "starts_at": OPENED + timedelta(days=200),
        "ends_at": OPENED + timedelta(days=3600),
        "enrollment_opens_at": OPENED,
        "enrollment_closes_at": OPENED + timedelta(days=3600),
        "capacity": 1000,
        "price": Money(PRICE, organization_of(session).currency),
        "time_zone": "UTC",
        "refund_policy": [],
    }
    return runs.create_run(session, teacher, course_id, values).run.id


def _enroll(session: Session, students: list[Actor], run_id: UUID, version_id: UUID) -> list[str]:
    """Enroll all students as if they had been invited: active, without a payment."""
    made = [
        Enrollment(
            id=new_id(),
            user_id=student.user_id,
            run_id=run_id,
            version_id=version_id,
            state="active",
            activated_at=OPENED,
        )
        for student in students
    ]
    session.add_all(made)
    session.flush()
    session.add_all(
        EnrollmentChange(
            id=new_id(),
            enrollment_id=enrollment.id,
            from_state=None,
            to_state="active",
            actor_id=enrollment.user_id,
            reason="invited",
        )
        for enrollment in made
    )
    session.execute(SEAT, {"count": len(made), "run_id": run_id})
    session.flush()
    return [str(enrollment.id) for enrollment in made]
