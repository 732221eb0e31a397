"""Courses ready for use, made by the domain's own operations without the detour over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from lms.core.clock import now
from lms.core.ids import new_id
from lms.core.money import Money
from lms.courses.models import Lesson, MediaFile
from lms.courses.operations import content, courses, runs, versions
from lms.media.models import MediaAsset, Video
from tenants.session import Database, OrganizationScope, organization_of
from tests.factories.people import Person

LESSON = {
    "kind": "text",
    "title": "Where flavour comes from",
    "content": "Origin, roast, and **freshness**.",
    "estimated_seconds": 300,
    "required": True,
    "preview": False,
    "weight": 1,
    "completion": None,
}
OUTLINE: tuple[tuple[str, ...], ...] = (("text", "text"), ("text",))
"""Kinds of the lessons, per module."""


@dataclass(frozen=True)
class Content:
    """A version with what is in it, in order; `lineage_ids` belong to `lesson_ids`."""

    course_id: UUID
    version_id: UUID
    module_ids: Sequence[UUID]
    lesson_ids: Sequence[UUID]
    lineage_ids: Sequence[UUID]


def make_draft(
    database: Database,
    organization_id: UUID,
    instructor: Person,
    *,
    outline: Sequence[Sequence[str]] = OUTLINE,
    lesson: dict[str, Any] | None = None,
) -> Content:
    """Make a course with a draft; video lessons get a ready video of 60 s, others no media."""
    with database.transaction(OrganizationScope(organization_id)) as session:
        return _draft(session, instructor, outline, lesson or {})


def make_published(
    database: Database,
    organization_id: UUID,
    instructor: Person,
    *,
    outline: Sequence[Sequence[str]] = OUTLINE,
    lesson: dict[str, Any] | None = None,
) -> Content:
    """Make a course with a published version; as `make_draft`."""
    with database.transaction(OrganizationScope(organization_id)) as session:
        made = _draft(session, instructor, outline, lesson or {})
        versions.publish_version(session, instructor.actor, made.version_id, expected=None)
        return made


def make_run(
    database: Database,
    organization_id: UUID,
    instructor: Person,
    of: Content,
    *,
    price: int = 0,
    **members: Any,
) -> UUID:
    """Schedule a run that is open for enrollment and starts tomorrow; returns its id.

    `price` is in minor units of the organization's currency; `members` replace the others.
    """
    with database.transaction(OrganizationScope(organization_id)) as session:
        values = {
            **run_members(of.version_id),
            "price": Money(price, organization_of(session).currency),
            **members,
        }
        return runs.create_run(session, instructor.actor, of.course_id, values).run.id


def run_members(version_id: UUID) -> dict[str, Any]:
    """All members of a run without a price: open since yesterday, running from tomorrow on."""
    today = now()
    return {
        "version_id": version_id,
        "title": "January cohort",
        "state": "scheduled",
        "starts_at": today + timedelta(days=1),
        "ends_at": today + timedelta(days=30),
        "enrollment_opens_at": today - timedelta(days=1),
        "enrollment_closes_at": today + timedelta(days=7),
        "capacity": None,
        "time_zone": "Europe/Berlin",
        "refund_policy": [],
    }


def add_media(
    session: Session,
    lesson_id: UUID,
    owner_id: UUID,
    *,
    kind: str = "video",
    state: str = "ready",
    video_state: str = "ready",
    duration_seconds: float = 60.0,
) -> MediaFile:
    """Attach a file without bytes to a lesson; a video gets its video row too."""
    asset_id = new_id()
    session.add(
        MediaAsset(
            id=asset_id,
            kind=kind,
            content_type="video/mp4" if kind == "video" else "application/pdf",
            size=1000,
            storage_key=f"assets/{asset_id}",
            state=state,
            created_by=owner_id,
        )
    )
    session.flush()
    file = MediaFile(id=new_id(), lesson_id=lesson_id, asset_id=asset_id, file_name=f"{kind}.bin")
    session.add(file)
    if kind == "video":
        session.add(
            Video(
                id=new_id(),
                asset_id=asset_id,
                state=video_state,
                duration_seconds=duration_seconds,
            )
        )
    session.flush()
    return file


def _draft(
    session: Session,
    instructor: Person,
    outline: Sequence[Sequence[str]],
    overrides: dict[str, Any],
) -> Content:
    actor = instructor.actor
    course = courses.create_course(
        session,
        actor,
        title="Espresso from Bean to Cup",
        summary="The craft of a good espresso.",
        language="en",
        instructor_id=None,
    )
    version = versions.create_draft(session, actor, course.id, label="", base_version_id=None)
    modules: list[UUID] = []
    lessons: list[Lesson] = []
    for number, kinds in enumerate(outline, start=1):
        module = content.create_module(
            session, actor, version.id, title=f"Module {number}", summary=""
        )
        modules.append(module.id)
        for kind in kinds:
            values = {**LESSON, "kind": kind, **overrides}
            lesson = content.create_lesson(session, actor, module.id, values)
            if kind == "video":
                add_media(session, lesson.id, instructor.id)
            lessons.append(lesson)
    return Content(
        course.id,
        version.id,
        modules,
        [lesson.id for lesson in lessons],
        [lesson.lineage_id for lesson in lessons],
    )
