"""What learners and staff read: frozen outlines, and progress over them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, or_, select, text
from sqlalchemy.orm import Session

from lms.core.actor import Actor
from lms.core.errors import NotFoundError
from lms.courses.markdown import RENDERER
from lms.courses.models import CourseRun, PublishedVersion
from lms.courses.outline import content_hash, rendered
from lms.courses.queries import draft_outline, taught_by
from lms.enrollments.models import Enrollment
from lms.learning.availability import Gates, Lock, Moments, locks_of
from lms.learning.outlines import FrozenOutline, find_outline
from lms.learning.progress import next_of, parse_rules, watched_percent
from lms.media.models import VideoRendition

LIST_LESSON_PROGRESS = text("""
    SELECT lp.lesson_lineage_id, lp.completed_at, lp.completed_how, lp.position_seconds,
           (SELECT COALESCE(sum(upper(r) - lower(r)), 0) FROM unnest(lp.watched) r)::int
           AS watched_seconds
      FROM lesson_progress lp
     WHERE lp.enrollment_id = :enrollment_id
""")


@dataclass(frozen=True, slots=True)
class Outline:
    """A draft's content, in order.

    Attributes:
        version: hash of the content and of what renders it, for the ETag.
        number: counts up per course.
        published: False; what is published is a `FrozenOutline`.
        unrendered: the modules with their lessons, without HTML.
    """

    version: str
    version_id: UUID
    course_id: UUID
    number: int
    published: bool
    unrendered: list[dict[str, Any]]

    @property
    def modules(self) -> list[dict[str, Any]]:
        """The modules with their lessons, as in `published_versions.outline`.

        Rendered when they are asked for: who has them by the ETag already need not wait for it.
        """
        return rendered(self.unrendered)


@dataclass(frozen=True, slots=True)
class LessonStanding:
    """One lesson of the enrollment's version with what the learner did in it.

    `watched_percent` is of the video's duration, None without a video; `locked` is None when the
    lesson is open.
    """

    lesson_id: UUID
    lesson_lineage_id: UUID
    module: Mapping[str, Any]
    title: str
    kind: str
    required: bool
    completed_at: datetime | None
    completed_how: str | None
    position_seconds: float
    watched_seconds: int
    watched_percent: int | None
    locked: Lock | None


@dataclass(frozen=True, slots=True)
class Progress:
    """An enrollment's progress. `next_lesson` is what to do next, None when none is open."""

    enrollment_id: UUID
    version_id: UUID
    state: str
    percent: int
    completed_at: datetime | None
    lessons: list[LessonStanding]
    next_lesson: LessonStanding | None


def read_outline(session: Session, actor: Actor, version_id: UUID) -> Outline | FrozenOutline:
    """Return a version's content: one row once it is published, else built from the draft.

    Raises:
        NotFoundError: there is none that the actor may know of; drafts are staff's alone.
        EnrollmentHasNoAccessError: they have an enrollment in it that does not open it now.
        AccessEndedError: they have one that would, but access to its run has ended.
    """
    published = find_outline(session, actor, version_id)
    if published is not None:
        return published
    document = draft_outline(session, version_id)
    version = document["version"]
    return Outline(
        version=content_hash(document, {"renderer": RENDERER}),
        version_id=UUID(version["id"]),
        course_id=UUID(version["course_id"]),
        number=version["number"],
        published=False,
        unrendered=document["modules"],
    )


def read_progress(session: Session, actor: Actor, enrollment_id: UUID) -> Progress:
    """Return an enrollment's progress, lesson by lesson, in two queries.

    Args:
        session: the organization's session.
        actor: the learner, staff who teach the course, or an admin.
        enrollment_id: the enrollment, in any state.

    Raises:
        NotFoundError: there is none that the actor may know of.
    """
    query = (
        select(Enrollment, PublishedVersion, CourseRun.starts_at, func.now())
        .join(PublishedVersion, PublishedVersion.version_id == Enrollment.version_id)
        .join(CourseRun, CourseRun.id == Enrollment.run_id)
        .where(
            Enrollment.id == enrollment_id,
            or_(Enrollment.user_id == actor.user_id, taught_by(actor, PublishedVersion.course_id)),
        )
    )
    found = session.execute(query).one_or_none()
    if found is None:
        raise NotFoundError("There is no such enrollment for you.")
    enrollment, published, run_starts_at, moment = found
    moments = Moments(moment, run_starts_at, enrollment.activated_at)
    rows = session.execute(LIST_LESSON_PROGRESS, {"enrollment_id": enrollment_id})
    progress = {row.lesson_lineage_id: row for row in rows}
    lessons = list(_standings(published, progress, moments))
    following = next_of(
        [lesson.lesson_id for lesson in lessons if lesson.locked is None],
        required={lesson.lesson_id for lesson in lessons if lesson.required},
        completed={lesson.lesson_id for lesson in lessons if lesson.completed_at is not None},
    )
    return Progress(
        enrollment_id=enrollment.id,
        version_id=enrollment.version_id,
        state=enrollment.state,
        percent=enrollment.percent,
        completed_at=enrollment.completed_at,
        lessons=lessons,
        next_lesson=next((one for one in lessons if one.lesson_id == following), None),
    )


def list_renditions(session: Session, video_id: UUID) -> list[VideoRendition]:
    """Return a video's published renditions, best first."""
    query = select(VideoRendition).where(VideoRendition.video_id == video_id)
    return list(session.scalars(query.order_by(VideoRendition.bandwidth.desc())))


def find_rendition(session: Session, video_id: UUID, label: str) -> VideoRendition:
    """Return one rendition of a video.

    Raises:
        NotFoundError: it has none of this label.
    """
    query = select(VideoRendition).where(
        VideoRendition.video_id == video_id, VideoRendition.label == label
    )
    rendition = session.scalars(query).one_or_none()
    if rendition is None:
        raise NotFoundError("This video has no such rendition.")
    return rendition


def _standings(
    published: PublishedVersion, progress: Mapping[UUID, Row[Any]], moments: Moments
) -> Iterator[LessonStanding]:
    rules = parse_rules(published.rules)
    completed = {lineage for lineage, row in progress.items() if row.completed_at is not None}
    locks = locks_of(Gates.parse(published.rules), moments, completed=completed)
    for module in published.outline["modules"]:
        for lesson in module["lessons"]:
            lineage_id = UUID(lesson["lineage_id"])
            rule, done = rules[lineage_id], progress.get(lineage_id)
            watched = done.watched_seconds if done else 0
            yield LessonStanding(
                lesson_id=UUID(lesson["id"]),
                lesson_lineage_id=lineage_id,
                module=module,
                title=lesson["title"],
                kind=lesson["kind"],
                required=rule.required,
                completed_at=done.completed_at if done else None,
                completed_how=done.completed_how if done else None,
                position_seconds=done.position_seconds if done else 0.0,
                watched_seconds=watched,
                watched_percent=watched_percent(watched, rule.duration_seconds),
                locked=locks.get(lineage_id),
            )
