"""Who teaches a course, over HTTP."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from lms.core.pagination import Page
from lms.courses import instructor_queries as queries
from lms.courses.instructor_queries import CourseInstructorView
from lms.courses.operations import instructors as operations
from lms.courses.schemas.instructors import (
    CO_INSTRUCTOR_EXAMPLE,
    OWNER_EXAMPLE,
    CourseInstructorOut,
)
from lms.http.blueprint import STAFF, TenantBlueprint
from lms.http.call import Call

blp = TenantBlueprint(
    "Course instructors",
    __name__,
    description="Who teaches a course. Co-instructors may do with it what its owner may, except"
    " choosing co-instructors.",
)


@blp.operation(
    "GET",
    "/courses/<uuid:course_id>/instructors",
    id="listCourseInstructors",
    returns=CourseInstructorOut,
    paged=True,
    roles=STAFF,
    example={"items": [OWNER_EXAMPLE, CO_INSTRUCTOR_EXAMPLE], "next_cursor": None},
)
def list_instructors(
    call: Call, query: dict[str, Any], course_id: UUID
) -> Page[CourseInstructorView]:
    """List who teaches a course, its owner among them.

    For those who teach it and for admins. In the order in which their accounts were made.
    """
    return queries.list_instructors(call.session, call.actor, course_id, **query)


@blp.operation(
    "PUT",
    "/courses/<uuid:course_id>/instructors/<uuid:user_id>",
    id="addCourseInstructor",
    returns=CourseInstructorOut,
    roles=STAFF,
    example=CO_INSTRUCTOR_EXAMPLE,
)
def add_instructor(call: Call, course_id: UUID, user_id: UUID) -> CourseInstructorView:
    """Let an instructor or admin co-teach a course, from now on.

    For its owner and for admins; 403 `not_course_owner` for co-instructors. 404
    `instructor_not_found` when there is no active instructor or admin with this id. Repeating
    changes nothing.
    """
    return operations.add_instructor(call.session, call.actor, course_id, user_id)


@blp.operation(
    "DELETE",
    "/courses/<uuid:course_id>/instructors/<uuid:user_id>",
    id="removeCourseInstructor",
    status=204,
    roles=STAFF,
    refusals=(409,),
)
def remove_instructor(call: Call, course_id: UUID, user_id: UUID) -> None:
    """Let a co-instructor teach a course no more; for them it is gone at once.

    For its owner and for admins; 403 `not_course_owner` for co-instructors. 404
    `instructor_not_found` when this user does not teach it, 409 `owner_not_removable` for its
    owner.
    """
    operations.remove_instructor(call.session, call.actor, course_id, user_id)
