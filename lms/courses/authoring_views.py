"""What makes authors' work shorter, over HTTP: finding lessons, and duplicating content."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from lms.core.pagination import Page
from lms.courses import lesson_search
from lms.courses.models import Lesson, Module
from lms.courses.operations import duplicating
from lms.courses.schemas.content import (
    LESSON_EXAMPLE,
    MODULE_EXAMPLE,
    LessonOut,
    ModuleOut,
    VersionLessonQuery,
)
from lms.http.blueprint import STAFF, TenantBlueprint
from lms.http.call import Call

blp = TenantBlueprint(
    "Authoring",
    __name__,
    description="Finding lessons of a version, and duplicating what is in a draft. For those who"
    " teach the course and for admins.",
)


@blp.operation(
    "GET",
    "/course-versions/<uuid:version_id>/lessons",
    id="listVersionLessons",
    query=VersionLessonQuery,
    returns=LessonOut,
    paged=True,
    roles=STAFF,
    example={"items": [LESSON_EXAMPLE], "next_cursor": None},
)
def list_version_lessons(call: Call, query: dict[str, Any], version_id: UUID) -> Page[Lesson]:
    """List a version's lessons, module by module; `title` finds some.

    For those who teach the course, and admins.
    """
    return lesson_search.lessons_of_version(call.session, call.actor, version_id, **query)


@blp.operation(
    "POST",
    "/modules/<uuid:module_id>/duplicate",
    id="duplicateModule",
    returns=ModuleOut,
    status=201,
    roles=STAFF,
    etag=True,
    refusals=(409,),
    example=MODULE_EXAMPLE,
)
def duplicate_module(call: Call, module_id: UUID) -> Module:
    """Duplicate a draft's module with its lessons and their files, right behind it.

    For those who teach the course, and admins. All of it gets new ids and lineages: learners'
    progress stays with the original. Files are shared: nothing is uploaded or transcoded again.
    Changes the version's ETag, and those of the modules behind. 409 `version_published` unless it
    is a draft's, 409 `version_full` when the version has no room for it.
    """
    return duplicating.duplicate_module(call.session, call.actor, module_id)


@blp.operation(
    "POST",
    "/lessons/<uuid:lesson_id>/duplicate",
    id="duplicateLesson",
    returns=LessonOut,
    status=201,
    roles=STAFF,
    etag=True,
    refusals=(409,),
    example=LESSON_EXAMPLE,
)
def duplicate_lesson(call: Call, lesson_id: UUID) -> Lesson:
    """Duplicate a draft's lesson with its files, right behind it.

    For those who teach the course, and admins. It gets a new id and lineage: learners' progress
    stays with the original. Files are shared: nothing is uploaded or transcoded again. Changes the
    version's ETag, and those of the lessons behind. 409 `version_published` unless it is a
    draft's, 409 `version_full` when the version has as many lessons as a version may have.
    """
    return duplicating.duplicate_lesson(call.session, call.actor, lesson_id)
