"""Outlines of published versions: answered as they are stored, and what learners get of them."""

from __future__ import annotations

import json
from collections.abc import Set
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ARRAY, DateTime, Text, literal_column, select, true
from sqlalchemy.orm import Session, aliased

from lms.core.actor import Actor
from lms.core.errors import NotFoundError
from lms.courses.models import CourseRun, CourseVersion, PublishedVersion
from lms.courses.queries import taught_by
from lms.enrollments.models import Enrollment
from lms.learning.access import CLOSED_SINCE, OPENING_STATES, access_ended_at, require_opening

FROZEN_OUTLINE = literal_column(
    """jsonb_build_object(
           'version_id', published_versions.version_id,
           'course_id', published_versions.course_id,
           'number', published_versions.outline #> '{version,number}',
           'published', true,
           'modules', published_versions.outline -> 'modules')::text""",
    Text,
)
"""What `OutlineOut` describes, of a published version."""

GATED_LINEAGES = literal_column(
    """ARRAY(SELECT l.key FROM jsonb_each(published_versions.rules -> 'lessons') AS l
              WHERE l.value ->> 'availability' IS NOT NULL OR l.value ->> 'earlier' IS NOT NULL)""",
    ARRAY(Text),
)
"""Lineages of the lessons of a published version that may be locked for somebody."""


@dataclass(frozen=True, slots=True)
class FrozenOutline:
    """A published version's content.

    Attributes:
        version: hash of the content, for the ETag; another one where texts are left out.
        document: JSON text of the API's answer. PostgreSQL writes it: what never changes is not
            taken apart and put together again for every learner.
    """

    version: str
    document: str


def find_outline(session: Session, actor: Actor, version_id: UUID) -> FrozenOutline | None:
    """Return a version's frozen content, with one query, or None while it is a draft.

    Open to staff who teach the course, to admins, and to learners whose active or completed
    enrollment is in this version. Drafts are staff's alone. What learners get is the same for all
    of them, and so without the texts of lessons that may be locked for one.

    Raises:
        NotFoundError: no such version, or nothing to do with the actor.
        EnrollmentHasNoAccessError: they have an enrollment in it that does not open it now.
        AccessEndedError: they have one that would, but access to its run has ended.
    """
    e = aliased(Enrollment, name="e")
    ended_at = access_ended_at(e)
    enrolled = (
        select(
            e.state,
            e.awaiting,
            literal_column(CLOSED_SINCE, DateTime(timezone=True)).label("closed_since"),
            ended_at.label("access_ended_at"),
        )
        .join(CourseRun, CourseRun.id == e.run_id)
        .where(e.user_id == actor.user_id, e.version_id == version_id)
        .order_by(e.state.in_(OPENING_STATES).desc(), ended_at.is_(None).desc(), e.id.desc())
        .limit(1)
        .subquery()
    )
    query = (
        select(
            PublishedVersion.content_hash,
            FROZEN_OUTLINE.label("document"),
            GATED_LINEAGES.label("gated"),
            taught_by(actor, CourseVersion.course_id).label("teaches"),
            enrolled.c.state.label("enrollment_state"),
            enrolled.c.awaiting,
            enrolled.c.closed_since,
            enrolled.c.access_ended_at,
        )
        .select_from(CourseVersion)
        .outerjoin(PublishedVersion, PublishedVersion.version_id == CourseVersion.id)
        .outerjoin(enrolled, true())
        .where(CourseVersion.id == version_id)
    )
    row = session.execute(query).one_or_none()
    if row is None or not (row.teaches or row.enrollment_state):
        raise NotFoundError("There is no such version for you.")
    if not row.teaches:
        require_opening(row.enrollment_state, row.awaiting, row.closed_since, row.access_ended_at)
    if row.content_hash is None:
        return None
    document = _with_html(row.document)
    if row.teaches or not row.gated:
        return FrozenOutline(row.content_hash, document)
    return FrozenOutline(f"{row.content_hash}-open", _without_texts(document, set(row.gated)))


def _with_html(document: str) -> str:
    """Return an outline's document in which every lesson has `content_html`.

    Those that were published before lessons had it say null. Only they are taken apart: inside of
    a text the quotes of a name would be escaped, and any other outline has it in its first lesson.
    """
    if '"content_html":' in document:
        return document
    outline = json.loads(document)
    for module in outline["modules"]:
        for lesson in module["lessons"]:
            lesson["content_html"] = None
    return json.dumps(outline, ensure_ascii=False)


def _without_texts(document: str, lineages: Set[str]) -> str:
    """Return an outline's document without the texts of these lessons."""
    outline = json.loads(document)
    for module in outline["modules"]:
        for lesson in module["lessons"]:
            if lesson["lineage_id"] in lineages:
                lesson.update(content=None, content_html=None)
    return json.dumps(outline, ensure_ascii=False)
