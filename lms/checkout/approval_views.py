"""Routes by which those who teach a run decide who may learn in it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from uuid import UUID

from lms.checkout import approvals, offers
from lms.config import Settings
from lms.core.errors import DomainError
from lms.core.queue import Doorbell
from lms.enrollments import queries
from lms.enrollments.models import Enrollment
from lms.enrollments.schemas import EnrollmentChangeIn, EnrollmentOut
from lms.http.blueprint import STAFF, TenantBlueprint
from lms.http.call import Call

blp = TenantBlueprint(
    "Approvals", __name__, description="Who may learn in runs that ask for approval."
)


@blp.operation(
    "POST",
    "/enrollments/<uuid:enrollment_id>/approve",
    id="approveEnrollment",
    returns=EnrollmentOut,
    roles=STAFF,
    transaction="steps",
    refusals=(409,),
)
def approve_enrollment(call: Call, enrollment_id: UUID) -> Enrollment:
    """Approve an enrollment.

    For those who teach the run, and admins. One that is `pending` for `approval` is active at once
    when the run is free of charge; otherwise its learner is offered the seat, to be paid until
    `hold_until`, or charged from the wallet if they sent `pay_automatically`. One that is
    `waitlisted` need not be approved again when a seat comes free. Repeating changes nothing. 409
    `nothing_to_approve`, with `state` and `awaiting`, for any other; `run_state_not_allowed` when
    the run is not scheduled.
    """
    seconds = call.use(Settings).waitlist_offer_seconds
    with call.transaction() as session:
        approved = approvals.approve(session, call.actor, enrollment_id, hold_seconds=seconds)
    if approved.awaiting != "offer":
        return approved
    # What the wallet does not pay stays an offer.
    with suppress(DomainError), call.transaction() as session:
        offers.take_offer(session, enrollment_id)
    with call.transaction() as session:
        return queries.enrollment(session, call.actor, enrollment_id)


@blp.operation(
    "POST",
    "/enrollments/<uuid:enrollment_id>/decline",
    id="declineEnrollment",
    body=EnrollmentChangeIn,
    returns=EnrollmentOut,
    roles=STAFF,
    refusals=(409,),
)
def decline_enrollment(call: Call, body: dict[str, Any], enrollment_id: UUID) -> Enrollment:
    """Decline a request for approval, take an offer or an invitation back, or end a waiting.

    For those who teach the run, and admins. The enrollment is cancelled, and money that waited with
    it goes back. Of what is paid, or just being paid, see `withdraw`. 409
    `nothing_to_approve`, with `state` and `awaiting`, for any other.
    """
    return approvals.decline(call.session, call.use(Doorbell), call.actor, enrollment_id, **body)
