"""Routes that read enrollments. Enrolling and withdrawing touch money: see checkout."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from lms.core.pagination import Page
from lms.enrollments import queries
from lms.enrollments.models import Enrollment
from lms.enrollments.schemas import EnrollmentOut, EnrollmentQuery, RunEnrollmentQuery
from lms.http.blueprint import STAFF, TenantBlueprint
from lms.http.call import Call

blp = TenantBlueprint("Enrollments", __name__, description="Learners' places in course runs.")


@blp.operation(
    "GET",
    "/enrollments",
    id="listEnrollments",
    query=EnrollmentQuery,
    returns=EnrollmentOut,
    paged=True,
)
def list_enrollments(call: Call, query: dict[str, Any]) -> Page[Enrollment]:
    """List your enrollments, newest first.

    In every state, also ended ones; `run_id` and `state` pick some.
    """
    return queries.own_enrollments(call.session, call.actor, **query)


@blp.operation(
    "GET",
    "/enrollments/<uuid:enrollment_id>",
    id="getEnrollment",
    returns=EnrollmentOut,
    etag=True,
)
def get_enrollment(call: Call, enrollment_id: UUID) -> Enrollment:
    """Read an enrollment: yours, one of a run that you teach, or any for admins.

    Poll it after a 202 until `state` is no longer `pending`. Any other one is 404.
    """
    return queries.enrollment(call.session, call.actor, enrollment_id)


@blp.operation(
    "GET",
    "/runs/<uuid:run_id>/enrollments",
    id="listRunEnrollments",
    query=RunEnrollmentQuery,
    returns=EnrollmentOut,
    paged=True,
    roles=STAFF,
)
def list_run_enrollments(call: Call, run_id: UUID, query: dict[str, Any]) -> Page[Enrollment]:
    """List who is in a run, in the order they enrolled: for those who teach it, and admins.

    404 for instructors who do not teach it.
    """
    return queries.run_enrollments(call.session, call.actor, run_id, **query)
