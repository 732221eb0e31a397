"""Courses over HTTP."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from lms.core.pagination import Page
from lms.core.storage.base import Storage
from lms.courses import queries
from lms.courses.operations import courses as operations
from lms.courses.queries import CourseView
from lms.courses.schemas.courses import COURSE_EXAMPLE, CourseIn, CourseOut, CoursePatch
from lms.http.blueprint import STAFF, TenantBlueprint
from lms.http.call import Call
from lms.media import uploads

blp = TenantBlueprint(
    "Courses", __name__, description="What is taught: the catalog, and what instructors make."
)


@blp.operation(
    "GET",
    "/courses",
    id="listCourses",
    returns=CourseOut,
    paged=True,
    example={"items": [COURSE_EXAMPLE], "next_cursor": None},
)
def list_courses(call: Call, query: dict[str, Any]) -> Page[CourseView]:
    """List courses.

    Instructors see the courses they own or co-teach, admins all; students the catalog: courses
    with a scheduled run of a published version. Oldest first.
    """
    return queries.list_courses(call.session, call.actor, **query)


@blp.operation(
    "POST",
    "/courses",
    id="createCourse",
    body=CourseIn,
    returns=CourseOut,
    status=201,
    roles=STAFF,
    etag=True,
    example=COURSE_EXAMPLE,
)
def create_course(call: Call, body: dict[str, Any]) -> CourseView:
    """Create a course.

    For instructors and admins. It belongs to who calls; an admin may name another `instructor_id`
    (422 when there is no such active instructor; 403 when an instructor names somebody else).
    """
    return operations.create_course(call.session, call.actor, **body)


@blp.operation(
    "GET",
    "/courses/<uuid:course_id>",
    id="getCourse",
    returns=CourseOut,
    etag=True,
    not_modified=False,
    example=COURSE_EXAMPLE,
)
def get_course(call: Call, course_id: UUID) -> CourseView:
    """Read a course that you teach, one of the catalog, or one that you are enrolled in.

    Admins read all courses. Any other one is 404, as if it did not exist.
    """
    course = queries.visible_course(call.session, call.actor, course_id)
    return queries.course_view(call.session, course)


@blp.operation(
    "PATCH",
    "/courses/<uuid:course_id>",
    id="updateCourse",
    body=CoursePatch,
    returns=CourseOut,
    roles=STAFF,
    etag=True,
    if_match="optional",
    example=COURSE_EXAMPLE,
)
def update_course(call: Call, body: dict[str, Any], course_id: UUID) -> CourseView:
    """Change a course's title, summary or language.

    For those who teach it and for admins.
    """
    return operations.update_course(
        call.session, call.actor, course_id, body, expected=call.expected_version()
    )


@blp.operation(
    "DELETE",
    "/courses/<uuid:course_id>",
    id="deleteCourse",
    status=204,
    roles=STAFF,
    transaction="steps",
    if_match="optional",
    refusals=(409,),
)
def delete_course(call: Call, course_id: UUID) -> None:
    """Delete a course that was never published.

    For those who teach it and for admins. Runs and published versions hold a course: 409
    `course_in_use` with how many of each (`runs`, `published_versions`).
    """
    with call.transaction() as session:
        keys = operations.delete_course(
            session, call.actor, course_id, expected=call.expected_version()
        )
    uploads.discard(call.use(Storage), keys)
