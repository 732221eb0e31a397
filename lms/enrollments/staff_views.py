"""Routes by which staff change enrollments, and the history that everybody concerned reads."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from lms.core.pagination import Page
from lms.enrollments import extensions, queries, staff_operations
from lms.enrollments.models import Enrollment, EnrollmentChange
from lms.enrollments.schemas import (
    EnrollmentChangeIn,
    EnrollmentChangeOut,
    EnrollmentOut,
    ExtensionIn,
)
from lms.http.blueprint import ADMINS, STAFF, TenantBlueprint
from lms.http.call import Call

blp = TenantBlueprint(
    "Enrollment changes",
    __name__,
    description="What became of an enrollment, and what staff do with it.",
)


@blp.operation(
    "GET",
    "/enrollments/<uuid:enrollment_id>/changes",
    id="listEnrollmentChanges",
    returns=EnrollmentChangeOut,
    paged=True,
)
def list_enrollment_changes(
    call: Call, query: dict[str, Any], enrollment_id: UUID
) -> Page[EnrollmentChange]:
    """List what happened to an enrollment, oldest first.

    For its learner, those who teach the run, and admins; 404 for others.
    """
    return queries.changes(call.session, call.actor, enrollment_id, **query)


@blp.operation(
    "POST",
    "/enrollments/<uuid:enrollment_id>/suspend",
    id="suspendEnrollment",
    body=EnrollmentChangeIn,
    returns=EnrollmentOut,
    roles=STAFF,
    refusals=(409,),
)
def suspend_enrollment(call: Call, body: dict[str, Any], enrollment_id: UUID) -> Enrollment:
    """Suspend an active enrollment: its content is closed, its seat kept, its progress stays.

    For those who teach the run, and admins. 409 `transition_not_allowed` when it is not active,
    with what is `allowed`; `run_state_not_allowed` when the run is cancelled.
    """
    return staff_operations.suspend(call.session, call.actor, enrollment_id, **body)


@blp.operation(
    "POST",
    "/enrollments/<uuid:enrollment_id>/reinstate",
    id="reinstateEnrollment",
    body=EnrollmentChangeIn,
    returns=EnrollmentOut,
    roles=STAFF,
    refusals=(409,),
)
def reinstate_enrollment(call: Call, body: dict[str, Any], enrollment_id: UUID) -> Enrollment:
    """Take a suspension back: the content is open again, where the learner left it.

    For those who teach the run, and admins. 409 `transition_not_allowed` when it is not suspended.
    """
    return staff_operations.reinstate(call.session, call.actor, enrollment_id, **body)


@blp.operation(
    "POST",
    "/enrollments/<uuid:enrollment_id>/reopen",
    id="reopenEnrollment",
    body=EnrollmentChangeIn,
    returns=EnrollmentOut,
    roles=ADMINS,
    refusals=(409,),
)
def reopen_enrollment(call: Call, body: dict[str, Any], enrollment_id: UUID) -> Enrollment:
    """Make a completed enrollment active again.

    For admins. It keeps the date of its first completion. 409 `transition_not_allowed` when it is
    not completed.
    """
    return staff_operations.reopen(call.session, call.actor, enrollment_id, **body)


@blp.operation(
    "POST",
    "/enrollments/<uuid:enrollment_id>/extend",
    id="extendEnrollment",
    body=ExtensionIn,
    returns=EnrollmentOut,
    roles=STAFF,
    refusals=(409,),
)
def extend_enrollment(call: Call, body: dict[str, Any], enrollment_id: UUID) -> Enrollment:
    """Give a learner more time.

    For those who teach the run, and admins. While an enrollment is pending, its seat or its offer
    is held until then; once it is active, suspended or completed, its content may be read until
    then, whatever the `access_ends_at` of the run. 409 `nothing_to_extend`, with the `remedy`, when
    it has ended, waits for a seat or for approval, or has no end. 422 when it has as much time
    already.
    """
    return extensions.extend(call.session, call.actor, enrollment_id, **body)
