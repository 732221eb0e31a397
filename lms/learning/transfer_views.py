"""The route by which staff let a learner go over to another run."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from lms.enrollments.models import Enrollment
from lms.enrollments.schemas import EnrollmentOut
from lms.http.blueprint import STAFF, TenantBlueprint
from lms.http.call import Call
from lms.learning import transfers
from lms.learning.upgrade_schemas import TransferIn

blp = TenantBlueprint(
    "Transfers", __name__, description="Learners who go on in another run of a course."
)


@blp.operation(
    "POST",
    "/enrollments/<uuid:enrollment_id>/transfer",
    id="transferEnrollment",
    body=TransferIn,
    returns=EnrollmentOut,
    status=201,
    roles=STAFF,
    refusals=(409,),
)
def transfer_enrollment(call: Call, body: dict[str, Any], enrollment_id: UUID) -> Enrollment:
    """Transfer an active learner to another run of the same course.

    For those who teach the course, and admins. The answer is the enrollment in the other run, with
    `transferred_from_id`; the earlier one is `transferred`, and its seat is free. Progress goes
    along by lesson lineage and counts in the other run's version, and so does the payment, with
    its refund policy; a learner's own end of access, where it is later than the other run's.
    Nothing is charged or given back, whatever the other run costs: only admins transfer to one
    that costs more than was paid (403 with `required`). 409
    `transfer_not_possible` with the `reason`:
    `same_run`, `other_course`, `run_not_open` (with `run_state`) or `already_enrolled` (with
    `enrollment_id`); `run_full` with `capacity` and `waitlisted`; `transition_not_allowed` when the
    enrollment is not active.
    """
    return transfers.transfer(call.session, call.actor, enrollment_id, **body)
