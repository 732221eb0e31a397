"""Modules and lessons over HTTP."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from lms.core.pagination import Page
from lms.core.storage.base import Storage
from lms.courses import queries
from lms.courses.models import Lesson, Module
from lms.courses.operations import content as operations
from lms.courses.operations.ordering import ContentOrder, ModuleOrder, set_order
from lms.courses.schemas.content import (
    LESSON_EXAMPLE,
    MODULE_EXAMPLE,
    ORDER_EXAMPLE,
    ContentOrderIn,
    ContentOrderOut,
    LessonIn,
    LessonOut,
    LessonPatch,
    ModuleIn,
    ModuleOut,
    ModulePatch,
)
from lms.http.blueprint import STAFF, TenantBlueprint
from lms.http.call import Call
from lms.media import uploads

blp = TenantBlueprint(
    "Content",
    __name__,
    description="Modules and lessons of a version. Only a draft is written; anything else is 409"
    " `version_published`. For those who teach the course and for admins.",
)


@blp.operation(
    "GET",
    "/course-versions/<uuid:version_id>/modules",
    id="listModules",
    returns=ModuleOut,
    paged=True,
    roles=STAFF,
    example={"items": [MODULE_EXAMPLE], "next_cursor": None},
)
def list_modules(call: Call, query: dict[str, Any], version_id: UUID) -> Page[Module]:
    """List a version's modules, in order.

    For those who teach the course, and admins. Learners read the outline of a published
    version.
    """
    return queries.list_modules(call.session, call.actor, version_id, **query)


@blp.operation(
    "POST",
    "/course-versions/<uuid:version_id>/modules",
    id="createModule",
    body=ModuleIn,
    returns=ModuleOut,
    status=201,
    roles=STAFF,
    etag=True,
    refusals=(409,),
    example=MODULE_EXAMPLE,
)
def create_module(call: Call, body: dict[str, Any], version_id: UUID) -> Module:
    """Append a module to a draft.

    Changes the version's ETag. 409 `version_full` when it has as many as a version may have.
    """
    return operations.create_module(call.session, call.actor, version_id, **body)


@blp.operation(
    "GET",
    "/modules/<uuid:module_id>",
    id="getModule",
    returns=ModuleOut,
    roles=STAFF,
    etag=True,
    example=MODULE_EXAMPLE,
)
def get_module(call: Call, module_id: UUID) -> Module:
    """Read a module.

    For those who teach the course, and admins.
    """
    return queries.taught_module(call.session, call.actor, module_id)


@blp.operation(
    "PATCH",
    "/modules/<uuid:module_id>",
    id="updateModule",
    body=ModulePatch,
    returns=ModuleOut,
    roles=STAFF,
    etag=True,
    if_match="required",
    refusals=(409,),
    example=MODULE_EXAMPLE,
)
def update_module(call: Call, body: dict[str, Any], module_id: UUID) -> Module:
    """Change a draft's module.

    Members that are sent are changed. A module of a published version is 409
    `version_published`: published content never changes.
    """
    expected = call.expected_version(required=True)
    return operations.update_module(call.session, call.actor, module_id, body, expected=expected)


@blp.operation(
    "DELETE",
    "/modules/<uuid:module_id>",
    id="deleteModule",
    status=204,
    roles=STAFF,
    transaction="steps",
    if_match="required",
    refusals=(409,),
)
def delete_module(call: Call, module_id: UUID) -> None:
    """Delete a draft's module with its lessons and their files.

    Changes the version's ETag.
    """
    expected = call.expected_version(required=True)
    with call.transaction() as session:
        keys = operations.delete_module(session, call.actor, module_id, expected=expected)
    uploads.discard(call.use(Storage), keys)


@blp.operation(
    "GET",
    "/modules/<uuid:module_id>/lessons",
    id="listLessons",
    returns=LessonOut,
    paged=True,
    roles=STAFF,
    example={"items": [LESSON_EXAMPLE], "next_cursor": None},
)
def list_lessons(call: Call, query: dict[str, Any], module_id: UUID) -> Page[Lesson]:
    """List a module's lessons, in order.

    For those who teach the course, and admins. Learners read the outline of a published
    version.
    """
    return queries.list_lessons(call.session, call.actor, module_id, **query)


@blp.operation(
    "POST",
    "/modules/<uuid:module_id>/lessons",
    id="createLesson",
    body=LessonIn,
    returns=LessonOut,
    status=201,
    roles=STAFF,
    etag=True,
    refusals=(409,),
    example=LESSON_EXAMPLE,
)
def create_lesson(call: Call, body: dict[str, Any], module_id: UUID) -> Lesson:
    """Append a lesson to a draft's module.

    Changes the version's ETag. Without `completion` the kind decides: a video is watched to 90 %,
    a live session marked by staff, anything else viewed. 409 `version_full` when the version has as
    many lessons as a version may have.
    """
    return operations.create_lesson(call.session, call.actor, module_id, body)


@blp.operation(
    "GET",
    "/lessons/<uuid:lesson_id>",
    id="getLesson",
    returns=LessonOut,
    roles=STAFF,
    etag=True,
    example=LESSON_EXAMPLE,
)
def get_lesson(call: Call, lesson_id: UUID) -> Lesson:
    """Read a lesson as its authors see it.

    For those who teach the course, and admins; with the whole text.
    """
    return queries.taught_lesson(call.session, call.actor, lesson_id)


@blp.operation(
    "PUT",
    "/lessons/<uuid:lesson_id>",
    id="replaceLesson",
    body=LessonIn,
    returns=LessonOut,
    roles=STAFF,
    etag=True,
    if_match="required",
    refusals=(409,),
    example=LESSON_EXAMPLE,
)
def replace_lesson(call: Call, body: dict[str, Any], lesson_id: UUID) -> Lesson:
    """Replace a draft's lesson; members that are absent get their defaults.

    A lesson of a published version is 409 `version_published`: published content never changes.
    """
    expected = call.expected_version(required=True)
    return operations.replace_lesson(call.session, call.actor, lesson_id, body, expected=expected)


@blp.operation(
    "PATCH",
    "/lessons/<uuid:lesson_id>",
    id="updateLesson",
    body=LessonPatch,
    returns=LessonOut,
    roles=STAFF,
    etag=True,
    if_match="required",
    refusals=(409,),
    example=LESSON_EXAMPLE,
)
def update_lesson(call: Call, body: dict[str, Any], lesson_id: UUID) -> Lesson:
    """Change some of a draft's lesson.

    Members that are sent are changed. A lesson of a published version is 409
    `version_published`: published content never changes.
    """
    expected = call.expected_version(required=True)
    return operations.update_lesson(call.session, call.actor, lesson_id, body, expected=expected)


@blp.operation(
    "DELETE",
    "/lessons/<uuid:lesson_id>",
    id="deleteLesson",
    status=204,
    roles=STAFF,
    transaction="steps",
    if_match="required",
    refusals=(409,),
)
def delete_lesson(call: Call, lesson_id: UUID) -> None:
    """Delete a draft's lesson with its media files.

    Changes the version's ETag.
    """
    expected = call.expected_version(required=True)
    with call.transaction() as session:
        keys = operations.delete_lesson(session, call.actor, lesson_id, expected=expected)
    uploads.discard(call.use(Storage), keys)


@blp.operation(
    "PUT",
    "/course-versions/<uuid:version_id>/order",
    id="setContentOrder",
    body=ContentOrderIn,
    returns=ContentOrderOut,
    roles=STAFF,
    etag=True,
    if_match="required",
    refusals=(409,),
    example=ORDER_EXAMPLE,
)
def set_content_order(call: Call, body: dict[str, Any], version_id: UUID) -> ContentOrder:
    """Set the whole order of a draft's modules and lessons; lessons may change their module.

    If-Match takes the version's ETag, and the answer carries its next one. 422 `order_mismatch`
    with what is `missing`, `unknown` or `named_twice`, unless every module and every lesson is
    named exactly once.
    """
    expected = call.expected_version(required=True)
    modules = [ModuleOrder(module["id"], module["lesson_ids"]) for module in body["modules"]]
    return set_order(call.session, call.actor, version_id, modules, expected=expected)
