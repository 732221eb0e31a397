"""Reads of courses, versions and content, each bounded to what the actor may see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, exists, false, or_, select, true
from sqlalchemy.orm import InstrumentedAttribute, Session

from lms.core.actor import Actor
from lms.core.errors import NotFoundError
from lms.core.pagination import Page, paginate, paginate_rows
from lms.courses.learners import learns_in_course
from lms.courses.models import (
    Course,
    CourseInstructor,
    CourseRun,
    CourseVersion,
    Lesson,
    MediaFile,
    Module,
)
from lms.courses.outline import LessonMedia, Tree, unrendered_outline_of
from lms.courses.pages import page_in_order
from lms.media.models import MediaAsset, Video
from lms.users.models import User


@dataclass(frozen=True, slots=True)
class InstructorRef:
    """To whom a course belongs."""

    id: UUID
    name: str


@dataclass(frozen=True, slots=True)
class CourseView:
    """A course as people see it: with its instructor. `version` is the course row's own."""

    id: UUID
    title: str
    summary: str
    language: str
    created_at: datetime
    version: int
    instructor: InstructorRef

    @classmethod
    def of(cls, course: Course, instructor_name: str) -> CourseView:
        """Put a course and its instructor's name together."""
        return cls(
            id=course.id,
            title=course.title,
            summary=course.summary,
            language=course.language,
            created_at=course.created_at,
            version=course.version,
            instructor=InstructorRef(course.instructor_id, instructor_name),
        )


def taught_by(
    actor: Actor, course_id: InstrumentedAttribute[UUID] | ColumnElement[UUID]
) -> ColumnElement[bool]:
    """Return the condition that the actor may edit and run the course: teaches it, or is admin.

    Args:
        actor: who asks.
        course_id: the column that holds the course's id in the query.
    """
    if actor.is_admin:
        return true()
    if not actor.is_staff:
        return false()
    return exists().where(
        CourseInstructor.course_id == course_id, CourseInstructor.user_id == actor.user_id
    )


def visible_to(actor: Actor) -> ColumnElement[bool]:
    """Return the condition that the actor may see a course: theirs, or in the catalog.

    The catalog holds the courses with a scheduled run; a run always delivers a published version.
    """
    if actor.is_staff:
        return taught_by(actor, Course.id)
    return exists().where(CourseRun.course_id == Course.id, CourseRun.state == "scheduled")


def teaches(session: Session, user_id: UUID, course_id: UUID) -> bool:
    """Tell whether a user owns or co-teaches a course. Admins are not asked about here."""
    found = exists().where(
        CourseInstructor.course_id == course_id, CourseInstructor.user_id == user_id
    )
    return bool(session.scalar(select(found)))


def visible_course(session: Session, actor: Actor, course_id: UUID) -> Course:
    """Return a course that the actor may see, or is enrolled in whatever became of it.

    Raises:
        NotFoundError: there is none that they may know of.
    """
    seen = or_(visible_to(actor), learns_in_course(actor, Course.id))
    course = session.scalar(select(Course).where(Course.id == course_id, seen))
    if course is None:
        raise NotFoundError("There is no such course for you.")
    return course


def taught_course(session: Session, actor: Actor, course_id: UUID, *, hold: bool = False) -> Course:
    """Return a course that the actor may edit.

    Args:
        session: the organization's session.
        actor: who asks.
        course_id: which.
        hold: keep it from being deleted until this transaction ends, as a foreign key would.

    Raises:
        NotFoundError: there is none that they teach.
    """
    query = select(Course).where(Course.id == course_id, taught_by(actor, Course.id))
    if hold:
        query = query.with_for_update(read=True, key_share=True, of=Course)
    course = session.scalar(query)
    if course is None:
        raise NotFoundError("There is no such course for you.")
    return course


def list_courses(
    session: Session, actor: Actor, *, limit: int, cursor: str | None
) -> Page[CourseView]:
    """Return one page of the courses that the actor may see, oldest first."""
    shown = (Course.title, Course.summary, Course.language, Course.created_at, Course.version)
    query = (
        select(Course.id, *shown, Course.instructor_id, User.name)
        .join(User, User.id == Course.instructor_id)
        .where(visible_to(actor))
    )
    page = paginate_rows(session, query, Course.id, limit=limit, cursor=cursor)
    views = [CourseView(*row[:6], InstructorRef(*row[6:])) for row in page.items]
    return Page(views, page.next_cursor)


def course_view(session: Session, course: Course) -> CourseView:
    """Return a course with its instructor."""
    name = session.scalars(select(User.name).where(User.id == course.instructor_id)).one()
    return CourseView.of(course, name)


def taught_version(session: Session, actor: Actor, version_id: UUID) -> CourseVersion:
    """Return a version of a course that the actor teaches.

    Raises:
        NotFoundError: there is none.
    """
    query = select(CourseVersion).where(
        CourseVersion.id == version_id, taught_by(actor, CourseVersion.course_id)
    )
    version = session.scalar(query)
    if version is None:
        raise NotFoundError("There is no such version for you.")
    return version


def list_versions(
    session: Session, actor: Actor, course_id: UUID, *, limit: int, cursor: str | None
) -> Page[CourseVersion]:
    """Return one page of a course's versions, newest first.

    Raises:
        NotFoundError: the actor teaches no such course.
    """
    taught_course(session, actor, course_id)
    query = select(CourseVersion).where(CourseVersion.course_id == course_id)
    return paginate(session, query, CourseVersion.id, limit=limit, cursor=cursor, newest_first=True)


def taught_module(session: Session, actor: Actor, module_id: UUID) -> Module:
    """Return a module of a course that the actor teaches.

    Raises:
        NotFoundError: there is none.
    """
    query = (
        select(Module)
        .join(CourseVersion, CourseVersion.id == Module.version_id)
        .where(Module.id == module_id, taught_by(actor, CourseVersion.course_id))
    )
    module = session.scalar(query)
    if module is None:
        raise NotFoundError("There is no such module for you.")
    return module


def taught_lesson(session: Session, actor: Actor, lesson_id: UUID) -> Lesson:
    """Return a lesson of a course that the actor teaches.

    Raises:
        NotFoundError: there is none.
    """
    query = (
        select(Lesson)
        .join(CourseVersion, CourseVersion.id == Lesson.version_id)
        .where(Lesson.id == lesson_id, taught_by(actor, CourseVersion.course_id))
    )
    lesson = session.scalar(query)
    if lesson is None:
        raise NotFoundError("There is no such lesson for you.")
    return lesson


def list_modules(
    session: Session, actor: Actor, version_id: UUID, *, limit: int, cursor: str | None
) -> Page[Module]:
    """Return one page of a version's modules, in order.

    Raises:
        NotFoundError: the actor teaches no course with this version.
    """
    taught_version(session, actor, version_id)
    query = select(Module).where(Module.version_id == version_id)
    return page_in_order(session, query, Module, limit=limit, cursor=cursor)


def list_lessons(
    session: Session, actor: Actor, module_id: UUID, *, limit: int, cursor: str | None
) -> Page[Lesson]:
    """Return one page of a module's lessons, in order.

    Raises:
        NotFoundError: the actor teaches no course with this module.
    """
    taught_module(session, actor, module_id)
    query = select(Lesson).where(Lesson.module_id == module_id)
    return page_in_order(session, query, Lesson, limit=limit, cursor=cursor)


def draft_outline(session: Session, version_id: UUID) -> dict[str, Any]:
    """Return a version's content from its own tables: a published outline without its HTML.

    Four statements, whatever the size; `outline.rendered` adds the HTML. Asks nobody's permission.

    Raises:
        NotFoundError: there is no such version.
    """
    version = session.get(CourseVersion, version_id)
    if version is None:
        raise NotFoundError("There is no such version.")
    return unrendered_outline_of(load_tree(session, version))


def load_tree(session: Session, version: CourseVersion) -> Tree:
    """Read all modules, lessons and media of a version, three statements."""
    modules: Sequence[Module] = session.scalars(
        select(Module)
        .where(Module.version_id == version.id)
        .order_by(Module.position, Module.id)
        .execution_options(populate_existing=True)
    ).all()
    lessons = session.scalars(
        select(Lesson)
        .where(Lesson.version_id == version.id)
        .order_by(Lesson.module_id, Lesson.position, Lesson.id)
        .execution_options(populate_existing=True)
    ).all()
    media = [LessonMedia(*row) for row in session.execute(_media_of_version(version.id))]
    return Tree.of(version, modules, lessons, media)


def _media_of_version(version_id: UUID) -> Select[*tuple[Any, ...]]:
    return (
        select(
            MediaFile.lesson_id,
            MediaFile.id,
            MediaAsset.id,
            MediaAsset.kind,
            MediaAsset.content_type,
            MediaFile.file_name,
            MediaAsset.size,
            MediaAsset.state,
            Video.id,
            Video.state,
            Video.duration_seconds,
        )
        .join(Lesson, Lesson.id == MediaFile.lesson_id)
        .join(MediaAsset, MediaAsset.id == MediaFile.asset_id)
        .outerjoin(Video, Video.asset_id == MediaAsset.id)
        .where(Lesson.version_id == version_id)
        .order_by(MediaFile.lesson_id, MediaFile.id)
    )
