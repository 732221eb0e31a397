"""The route by which staff enroll somebody."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from lms.checkout.granting import grant_seat
from lms.checkout.holds import make_room
from lms.enrollments.errors import RunFullError
from lms.enrollments.models import Enrollment
from lms.enrollments.schemas import EnrollmentOut, GrantedSeatIn
from lms.http.blueprint import STAFF, TenantBlueprint
from lms.http.call import Call

blp = TenantBlueprint("Granted seats", __name__, description="Learners whom staff enroll.")


@blp.operation(
    "POST",
    "/runs/<uuid:run_id>/learners",
    id="enrollLearner",
    body=GrantedSeatIn,
    returns=EnrollmentOut,
    status=201,
    roles=STAFF,
    transaction="steps",
    refusals=(409,),
)
def enroll_learner(call: Call, run_id: UUID, body: dict[str, Any]) -> Enrollment:
    """Enroll somebody in a run, at once and without payment.

    For those who teach the run, while it is free; admins also give away seats that cost money. 404
    for those who do not teach it. 409 `already_enrolled`, `enrollment_closed`, `run_full`.
    """

    def grant() -> Enrollment:
        with call.transaction() as session:
            return grant_seat(session, call.actor, run_id, **body)

    try:
        return grant()
    except RunFullError:
        with call.transaction() as session:
            has_room = make_room(session, run_id)
        if not has_room:
            raise
        return grant()
