"""A course version's life: a draft copied from what is there, published, archived."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from lms.core import audit
from lms.core.actor import Actor
from lms.core.clock import now
from lms.core.errors import InvalidInputError, NotFoundError
from lms.core.ids import new_id
from lms.core.versions import check_version
from lms.courses import queries
from lms.courses.errors import (
    DraftExistsError,
    VersionNotPublishedError,
    VersionNotReadyError,
    VersionPublishedError,
)
from lms.courses.models import CourseVersion, PublishedVersion
from lms.courses.operations.copying import copy_content
from lms.courses.outline import content_hash, outline_of, problems_of, rules_of


def create_draft(
    session: Session,
    actor: Actor,
    course_id: UUID,
    *,
    label: str,
    base_version_id: UUID | None,
) -> CourseVersion:
    """Make the course's draft, with the content of an earlier version.

    Args:
        session: the organization's session.
        actor: who teaches the course, or an admin.
        course_id: which course.
        label: a name for people; may be empty.
        base_version_id: a published or archived version of this course to copy; the latest
            published when None (or archived, when all are), and an empty draft for the first.

    Raises:
        NotFoundError: the actor teaches no such course.
        InvalidInputError: the base is not a frozen version of this course.
        DraftExistsError: the course has a draft; publish it or edit it.
    """
    queries.taught_course(session, actor, course_id, hold=True)
    base_id = _base_of(session, course_id, base_version_id)
    version = insert_draft(session, course_id, label=label, base_id=base_id)
    if base_id is not None:
        copy_content(session, base_id, version.id)
    audit.record(
        session,
        "course_version.create",
        ("course_version", version.id),
        actor_id=actor.user_id,
        after={"number": version.number, "base_version_id": base_id and str(base_id)},
    )
    return version


def insert_draft(
    session: Session, course_id: UUID, *, label: str, base_id: UUID | None
) -> CourseVersion:
    """Insert a course's draft, still empty, with the next number.

    Args:
        session: the organization's session; the course is held by it.
        course_id: which course.
        label: a name for people; may be empty.
        base_id: the frozen version of this course that its content comes from, or None.

    Raises:
        DraftExistsError: the course has a draft; publish it or edit it.
    """
    number = (
        select(func.coalesce(func.max(CourseVersion.number), 0) + 1)
        .where(CourseVersion.course_id == course_id)
        .scalar_subquery()
    )
    version = session.scalar(
        insert(CourseVersion)
        .values(
            id=new_id(),
            course_id=course_id,
            number=number,
            label=label,
            base_version_id=base_id,
            version=1,
        )
        .on_conflict_do_nothing()
        .returning(CourseVersion)
    )
    if version is None:
        raise DraftExistsError(
            "The course has a draft already; publish it, or edit it.",
            draft_version_id=_draft_of(session, course_id),
        )
    return version


def publish_version(
    session: Session, actor: Actor, version_id: UUID, *, expected: int | None
) -> CourseVersion:
    """Freeze a draft: what learners of its runs will see, for good.

    Args:
        session: the organization's session.
        actor: who teaches the course, or an admin.
        version_id: the draft.
        expected: version the client read, or None.

    Raises:
        NotFoundError: the actor teaches no course with this version.
        VersionPublishedError: it is published already.
        StaleVersionError: it changed since.
        VersionNotReadyError: with every problem of the preflight.
    """
    version = _lock_version(session, actor, version_id)
    if version.state != "draft":
        raise VersionPublishedError(
            f"This version is {version.state}.", state=version.state, version_id=str(version_id)
        )
    check_version(version, expected)
    tree = queries.load_tree(session, version)
    problems = problems_of(tree)
    if problems:
        raise VersionNotReadyError(
            "This version cannot be published yet; see problems.", problems=problems
        )
    outline, rules = outline_of(tree), rules_of(tree)
    digest = content_hash(outline, rules)
    version.state, version.published_at = "published", now()
    session.add(
        PublishedVersion(
            version_id=version.id,
            course_id=version.course_id,
            content_hash=digest,
            outline=outline,
            rules=rules,
            published_by=actor.user_id,
            published_at=version.published_at,
        )
    )
    session.flush()
    audit.record(
        session,
        "course_version.publish",
        ("course_version", version.id),
        actor_id=actor.user_id,
        after={"number": version.number, "content_hash": digest},
    )
    return version


def archive_version(
    session: Session, actor: Actor, version_id: UUID, *, expected: int | None
) -> CourseVersion:
    """Take a published version out of use for new runs; its runs go on. Repeating changes nothing.

    Args:
        session: the organization's session.
        actor: who teaches the course, or an admin.
        version_id: which.
        expected: version the client read, or None.

    Raises:
        NotFoundError: the actor teaches no course with this version.
        VersionNotPublishedError: it is a draft.
        StaleVersionError: it changed since.
    """
    version = _lock_version(session, actor, version_id)
    if version.state == "draft":
        raise VersionNotPublishedError(
            "A draft cannot be archived.",
            version_id=str(version_id),
            state=version.state,
            remedy="Publish it first.",
        )
    check_version(version, expected)
    if version.state == "published":
        version.state, version.archived_at = "archived", now()
        session.flush()
        audit.record(
            session,
            "course_version.archive",
            ("course_version", version.id),
            actor_id=actor.user_id,
            after={"number": version.number},
        )
    return version


def _base_of(session: Session, course_id: UUID, named: UUID | None) -> UUID | None:
    frozen = select(CourseVersion.id).where(
        CourseVersion.course_id == course_id, CourseVersion.state != "draft"
    )
    if named is None:
        latest = frozen.order_by(
            (CourseVersion.state == "published").desc(), CourseVersion.number.desc()
        )
        return session.scalar(latest.limit(1))
    found = session.scalar(frozen.where(CourseVersion.id == named))
    if found is None:
        message = "There is no published or archived version of this course with this id."
        raise InvalidInputError(
            message, errors=[{"pointer": "/base_version_id", "message": message}]
        )
    return found


def _draft_of(session: Session, course_id: UUID) -> str | None:
    draft_id = session.scalar(
        select(CourseVersion.id).where(
            CourseVersion.course_id == course_id, CourseVersion.state == "draft"
        )
    )
    return None if draft_id is None else str(draft_id)


def _lock_version(session: Session, actor: Actor, version_id: UUID) -> CourseVersion:
    """Return a version that only this transaction changes; writers of its content wait.

    FOR NO KEY UPDATE: foreign keys that point at the row are not held up.
    """
    version = session.scalar(
        select(CourseVersion)
        .where(
            CourseVersion.id == version_id,
            queries.taught_by(actor, CourseVersion.course_id),
        )
        .with_for_update(key_share=True, of=CourseVersion)
    )
    if version is None:
        raise NotFoundError("There is no such version for you.")
    return version
