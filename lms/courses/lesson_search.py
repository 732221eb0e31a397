"""Finding lessons in all of a version."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from lms.core.actor import Actor
from lms.core.pagination import Page
from lms.courses.models import Lesson, Module
from lms.courses.pages import page_of_version
from lms.courses.queries import taught_version


def lessons_of_version(
    session: Session,
    actor: Actor,
    version_id: UUID,
    *,
    title: str | None,
    limit: int,
    cursor: str | None,
) -> Page[Lesson]:
    """Return one page of a version's lessons, module by module.

    Args:
        session: the organization's session.
        actor: who teaches the course, or an admin.
        version_id: in any state.
        title: only lessons whose title has this part, in upper or lower case; nothing in it is a
            wildcard.
        limit: most to return.
        cursor: of the page before.

    Raises:
        NotFoundError: the actor teaches no course with this version.
    """
    taught_version(session, actor, version_id)
    query = (
        select(Lesson, Module.position)
        .join(Module, Module.id == Lesson.module_id)
        .where(Lesson.version_id == version_id)
    )
    if title is not None:
        query = query.where(Lesson.title.icontains(title, autoescape=True))
    return page_of_version(session, query, limit=limit, cursor=cursor)
