"""Course versions over HTTP."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from lms.core.pagination import Page
from lms.courses import queries
from lms.courses.diff_queries import ComparedVersions, compare_with_base
from lms.courses.models import CourseVersion
from lms.courses.operations import versions as operations
from lms.courses.schemas.diffs import DIFF_EXAMPLE, DiffQuery, VersionDiffOut
from lms.courses.schemas.versions import VERSION_EXAMPLE, CourseVersionIn, CourseVersionOut
from lms.http.blueprint import STAFF, TenantBlueprint
from lms.http.call import Call

PUBLISHED_EXAMPLE = {
    **VERSION_EXAMPLE,
    "state": "published",
    "published_at": "2027-01-08T16:20:00Z",
}
ARCHIVED_EXAMPLE = {
    **PUBLISHED_EXAMPLE,
    "state": "archived",
    "archived_at": "2027-06-30T12:00:00Z",
}

blp = TenantBlueprint(
    "Course versions",
    __name__,
    description="States of a course's content: a draft is edited, then published and frozen.",
)


@blp.operation(
    "GET",
    "/courses/<uuid:course_id>/versions",
    id="listCourseVersions",
    returns=CourseVersionOut,
    paged=True,
    roles=STAFF,
    example={"items": [VERSION_EXAMPLE], "next_cursor": None},
)
def list_versions(call: Call, query: dict[str, Any], course_id: UUID) -> Page[CourseVersion]:
    """List a course's versions, newest first.

    For those who teach it and for admins.
    """
    return queries.list_versions(call.session, call.actor, course_id, **query)


@blp.operation(
    "POST",
    "/courses/<uuid:course_id>/versions",
    id="createCourseVersion",
    body=CourseVersionIn,
    returns=CourseVersionOut,
    status=201,
    roles=STAFF,
    etag=True,
    refusals=(409,),
    example=VERSION_EXAMPLE,
)
def create_version(call: Call, body: dict[str, Any], course_id: UUID) -> CourseVersion:
    """Start the next draft.

    For those who teach the course and for admins. It begins as a copy of `base_version_id` (the
    latest published version when absent) with all modules, lessons and media; nothing is uploaded
    or transcoded again. A course has one draft at most: 409 `draft_exists` with its
    `draft_version_id`.
    """
    return operations.create_draft(call.session, call.actor, course_id, **body)


@blp.operation(
    "GET",
    "/course-versions/<uuid:version_id>",
    id="getCourseVersion",
    returns=CourseVersionOut,
    roles=STAFF,
    etag=True,
    example=VERSION_EXAMPLE,
)
def get_version(call: Call, version_id: UUID) -> CourseVersion:
    """Read a version.

    For those who teach its course and for admins. Its ETag is what ordering the content needs; it
    changes when modules or lessons are added, removed or ordered.
    """
    return queries.taught_version(call.session, call.actor, version_id)


@blp.operation(
    "GET",
    "/course-versions/<uuid:version_id>/diff",
    id="diffCourseVersions",
    query=DiffQuery,
    returns=VersionDiffOut,
    roles=STAFF,
    refusals=(409,),
    example=DIFF_EXAMPLE,
)
def diff_versions(call: Call, query: dict[str, Any], version_id: UUID) -> ComparedVersions:
    """Compare a version with another one of its course, by lineage.

    For those who teach the course and for admins; drafts may be compared too. Tells which modules
    and lessons were added, removed, moved and changed since `base`, and how much it matters:
    `magnitude` is `major` when what completing the course takes has changed. 422 when `base` is not
    a version of this course; 409 `no_base_version` when none is named and none was published
    before.
    """
    return compare_with_base(call.session, call.actor, version_id, query["base"])


@blp.operation(
    "POST",
    "/course-versions/<uuid:version_id>/publish",
    id="publishCourseVersion",
    returns=CourseVersionOut,
    roles=STAFF,
    etag=True,
    if_match="optional",
    refusals=(409,),
    example=PUBLISHED_EXAMPLE,
)
def publish_version(call: Call, version_id: UUID) -> CourseVersion:
    """Publish a draft: freeze its content for the runs to come.

    For those who teach its course and for admins. 409 `version_not_ready` lists everything that is
    missing at once, in `problems`: each with a `code` (`no_lessons`, `empty_module`,
    `video_missing`, `video_not_ready`, `media_not_ready`), a `message`, and the `module_id` or
    `lesson_id` it is about. 409 `version_published` when it is not a draft any more.
    """
    return operations.publish_version(
        call.session, call.actor, version_id, expected=call.expected_version()
    )


@blp.operation(
    "POST",
    "/course-versions/<uuid:version_id>/archive",
    id="archiveCourseVersion",
    returns=CourseVersionOut,
    roles=STAFF,
    etag=True,
    if_match="optional",
    refusals=(409,),
    example=ARCHIVED_EXAMPLE,
)
def archive_version(call: Call, version_id: UUID) -> CourseVersion:
    """Archive a published version: no new runs of it; those that exist go on.

    For those who teach its course and for admins. 409 `version_not_published` for a draft.
    Archiving twice changes nothing.
    """
    return operations.archive_version(
        call.session, call.actor, version_id, expected=call.expected_version()
    )
