"""Routes that read enrollments. Enrolling and withdrawing touch money: see checkout."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from lms.core.pagination import Page
from lms.enrollments import queries, waitlist
from lms.enrollments.models import Enrollment
from lms.enrollments.schemas import (
    EnrollmentOut,
    EnrollmentQuery,
    PlaceOut,
    RunEnrollmentQuery,
    WaitlistOut,
    WaitlistQuery,
)
from lms.enrollments.waitlist import Place, Waitlist
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

    Poll it after a 202: its `state` and what it is `awaiting` say how it goes on. Any other one is
    404.
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


@blp.operation(
    "GET",
    "/enrollments/<uuid:enrollment_id>/place",
    id="getPlaceInWaitlist",
    returns=PlaceOut,
)
def get_place_in_waitlist(call: Call, enrollment_id: UUID) -> Place:
    """Read where an enrollment stands in its run's waiting list, now.

    Yours, one of a run that you teach, or any for admins. A seat that comes free is offered to
    position 1: `GET /enrollments/{id}` says `pending`, awaiting an `offer`, then.
    """
    return waitlist.place_of(call.session, call.actor, enrollment_id)


@blp.operation(
    "GET",
    "/runs/<uuid:run_id>/waitlist",
    id="getWaitlist",
    query=WaitlistQuery,
    returns=WaitlistOut,
    roles=STAFF,
)
def get_waitlist(call: Call, run_id: UUID, query: dict[str, Any]) -> Waitlist:
    """Read who waits for a seat of a run, in the order in which they get one.

    For those who teach it, and admins; 404 for others.
    """
    return waitlist.waitlist_of(call.session, call.actor, run_id, **query)
