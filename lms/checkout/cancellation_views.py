"""Routes of cancelling runs."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from lms.checkout.cancellations import cancel_run
from lms.core.queue import Doorbell
from lms.courses.run_queries import RunView
from lms.courses.schemas.runs import RUN_EXAMPLE, CourseRunOut, RunCancelIn
from lms.http.blueprint import ADMINS, TenantBlueprint
from lms.http.call import Call

CANCELLED: dict[str, Any] = {
    **RUN_EXAMPLE,
    "state": "cancelled",
    "cancelled_at": "2027-01-12T09:00:00Z",
    "cancel_reason": "The instructor has fallen ill.",
    "enrollments_left": 3,
}

blp = TenantBlueprint(
    "Cancelled runs",
    __name__,
    description="Cancelling a run: its learners leave and get all their money back.",
)


@blp.operation(
    "POST",
    "/runs/<uuid:run_id>/cancel",
    id="cancelRun",
    body=RunCancelIn,
    returns=CourseRunOut,
    status=202,
    roles=ADMINS,
    etag=True,
    if_match="optional",
    refusals=(409,),
    example=CANCELLED,
)
def cancel(call: Call, body: dict[str, Any], run_id: UUID) -> RunView:
    """Cancel a run: everybody leaves it, and all money goes back.

    For admins. From now on nobody enrolls. Everybody's enrollment is then ended in the background:
    read the run again until `enrollments_left` is 0. Active and suspended ones are withdrawn, and
    all that is left of what was paid goes back to where it came from, whatever the refund policy
    says: to the wallet at once, through the provider as soon as it has made the refund. Pending
    ones are cancelled, and money that arrives late is given back. Completed ones stay as they are.
    While a payer contests a payment at the bank nothing of it is given back. Learners read the
    `reason`. Repeating changes nothing, and takes up again what was given up. 409
    `run_state_not_allowed` when the run is a draft or archived, with what is `allowed`.
    """
    return cancel_run(
        call.session,
        call.use(Doorbell),
        call.actor,
        run_id,
        reason=body["reason"],
        expected=call.expected_version(),
    )
