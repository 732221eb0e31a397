"""Seats that staff give: a learner is enrolled by somebody else, and pays nothing."""

from __future__ import annotations

from typing import Any, NoReturn
from uuid import UUID

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from lms.checkout.enroll_statement import GRANT_SEAT
from lms.checkout.errors import AlreadyEnrolledError, EnrollmentClosedError
from lms.checkout.orders import Order
from lms.checkout.purchase_refusals import refuse
from lms.core import audit
from lms.core.actor import Actor
from lms.core.errors import ForbiddenError, InvalidInputError
from lms.core.ids import new_id
from lms.courses import run_queries
from lms.enrollments.models import Enrollment
from lms.users.models import User

STAFF_REMEDIES = {
    "approval": "Approve the enrollment that there is.",
    "waitlisted": "Make the run's capacity larger: the next seat is offered to who waits longest.",
}
CHANGE_THE_DATES = "Change the dates between which the run takes enrollments, if it is scheduled."


def grant_seat(
    session: Session, actor: Actor, run_id: UUID, *, user_id: UUID, reason: str
) -> Enrollment:
    """Enroll somebody at once; of a run that costs money, only admins give seats away.

    Args:
        session: the organization's session; must roll back when this raises.
        actor: who teaches the run, or an admin.
        run_id: where.
        user_id: whom.
        reason: for the audit log; no personal data.

    Raises:
        NotFoundError: the actor teaches no course with this run.
        ForbiddenError: the run costs money, and the actor is not an admin.
        InvalidInputError: there is no active account with this id.
        EnrollmentClosedError: the run takes nobody now, by the database's clock.
        AlreadyEnrolledError: one live enrollment per learner and run.
        RunFullError: every seat is taken.
    """
    run = run_queries.taught_run(session, actor, run_id)
    if run.price_amount > 0 and not actor.is_admin:
        raise ForbiddenError(
            "This run costs money; only admins give its seats away.", required="admin"
        )
    _require_account(session, user_id)
    order = Order(payment_id=new_id(), run_id=run_id, method="free")
    enrollment_id = new_id()
    values = {
        "run_id": run_id,
        "user_id": user_id,
        "payment_id": order.payment_id,
        "enrollment_id": enrollment_id,
        "change_id": new_id(),
        "actor_id": actor.user_id,
    }
    done = session.execute(GRANT_SEAT, values).one()
    if not done.seated:
        _refuse(session, Actor(user_id, "student", actor.session_id), order, done)
    audit.record(
        session,
        "enrollment.grant",
        ("enrollment", enrollment_id),
        actor_id=actor.user_id,
        after={"run_id": str(run_id), "user_id": str(user_id), "reason": reason},
    )
    return session.get_one(Enrollment, enrollment_id)


def _refuse(session: Session, learner: Actor, order: Order, done: Row[Any]) -> NoReturn:
    """Say to staff what `refuse` says to learners."""
    try:
        refuse(session, learner, order, done, by_staff=True)
    except AlreadyEnrolledError as error:
        waits = {"awaiting": error.params["awaiting"], "state": error.params["state"]}
        remedy = STAFF_REMEDIES.get(waits["awaiting"] or waits["state"], error.params["remedy"])
        raise AlreadyEnrolledError(
            "This learner is enrolled in the run already, or waits for it.",
            **{**error.params, "remedy": remedy},
        ) from error
    except EnrollmentClosedError as error:
        raise EnrollmentClosedError(
            error.detail, **{**error.params, "remedy": CHANGE_THE_DATES}
        ) from error


def _require_account(session: Session, user_id: UUID) -> None:
    found = session.scalar(select(User.id).where(User.id == user_id, User.deactivated_at.is_(None)))
    if found is None:
        message = "There is no active account with this id."
        raise InvalidInputError(message, errors=[{"pointer": "/user_id", "message": message}])
