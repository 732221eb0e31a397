"""Course runs over HTTP."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from lms.core.pagination import Page
from lms.courses import run_queries as queries
from lms.courses.operations import runs as operations
from lms.courses.run_queries import RunView
from lms.courses.schemas.runs import (
    RUN_EXAMPLE,
    CourseRunAgainIn,
    CourseRunIn,
    CourseRunOut,
    CourseRunPatch,
)
from lms.http.blueprint import STAFF, TenantBlueprint
from lms.http.call import Call

blp = TenantBlueprint(
    "Course runs",
    __name__,
    description="Deliveries of a published version to a cohort, with dates, seats and a price.",
)


@blp.operation(
    "GET",
    "/courses/<uuid:course_id>/runs",
    id="listCourseRuns",
    returns=CourseRunOut,
    paged=True,
    example={"items": [RUN_EXAMPLE], "next_cursor": None},
)
def list_runs_of_course(call: Call, query: dict[str, Any], course_id: UUID) -> Page[RunView]:
    """List a course's runs, oldest first.

    Students see those that are scheduled, and those that they are or were enrolled in, whatever
    became of them.
    """
    return queries.list_runs_of_course(call.session, call.actor, course_id, **query)


@blp.operation(
    "POST",
    "/courses/<uuid:course_id>/runs",
    id="createCourseRun",
    body=CourseRunIn,
    returns=CourseRunOut,
    status=201,
    roles=STAFF,
    etag=True,
    refusals=(409,),
    example=RUN_EXAMPLE,
)
def create_run(call: Call, body: dict[str, Any], course_id: UUID) -> RunView:
    """Schedule a run of a published version.

    For those who teach the course and for admins. 409 `version_not_published` when the version is
    not a published one of this course; 422 when dates are out of order or the price is not in the
    organization's currency.
    """
    return operations.create_run(call.session, call.actor, course_id, body)


@blp.operation(
    "POST",
    "/runs/<uuid:run_id>/rerun",
    id="rerunCourseRun",
    body=CourseRunAgainIn,
    returns=CourseRunOut,
    status=201,
    roles=STAFF,
    etag=True,
    refusals=(409,),
    example=RUN_EXAMPLE,
)
def rerun(call: Call, body: dict[str, Any], run_id: UUID) -> RunView:
    """Schedule the next run after the model of an earlier one.

    For those who teach the course and for admins. Title and dates are new; the version, price,
    seats, time zone, refund policy and end of access are the earlier run's unless you give others.
    The steps of the policy keep their distance to the start, the end of access its distance to the
    end. The earlier run may be in any state, and stays as it is. 409 `version_not_published` when
    its version is archived: name another one, `latest_version_id` for example. 422 when dates are
    out of order or the price is not in the organization's currency.
    """
    return operations.rerun(call.session, call.actor, run_id, body)


@blp.operation(
    "GET",
    "/runs",
    id="listRuns",
    returns=CourseRunOut,
    paged=True,
    example={"items": [RUN_EXAMPLE], "next_cursor": None},
)
def list_runs(call: Call, query: dict[str, Any]) -> Page[RunView]:
    """List runs, oldest first.

    Instructors see the runs of courses they teach, admins all, students those that are
    scheduled. All see the runs that they are or were enrolled in, also archived and cancelled ones.
    """
    return queries.list_runs(call.session, call.actor, **query)


@blp.operation(
    "GET",
    "/runs/<uuid:run_id>",
    id="getRun",
    returns=CourseRunOut,
    etag=True,
    not_modified=False,
    example=RUN_EXAMPLE,
)
def get_run(call: Call, run_id: UUID) -> RunView:
    """Read a run: of your courses, scheduled, or one that you are enrolled in.

    `seats`, `phase` and `enrollments_left` are as of now and do not change the ETag, which is that
    of the run's own fields. A cancelled run says when and why.
    """
    return queries.run_of(call.session, call.actor, run_id)


@blp.operation(
    "PATCH",
    "/runs/<uuid:run_id>",
    id="updateRun",
    body=CourseRunPatch,
    returns=CourseRunOut,
    roles=STAFF,
    etag=True,
    if_match="optional",
    refusals=(409,),
    example=RUN_EXAMPLE,
)
def update_run(call: Call, body: dict[str, Any], run_id: UUID) -> RunView:
    """Change a run.

    For those who teach the course and for admins. 409 `capacity_below_taken` when more seats are
    taken than the new capacity; `run_has_learners` for another version while someone holds a seat
    (`POST /runs/{id}/upgrade` moves them to a newer one); `version_not_published` for one that is
    not published; `run_state_not_allowed` with what is `allowed`.
    """
    return operations.update_run(
        call.session, call.actor, run_id, body, expected=call.expected_version()
    )
