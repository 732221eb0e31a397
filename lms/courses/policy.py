"""Who may do what with courses, and the rules that need no database: pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from lms.core.actor import Actor
from lms.core.errors import ForbiddenError, InvalidInputError
from lms.core.money import Money
from lms.courses.errors import NotCourseOwnerError, RunStateNotAllowedError, VersionFullError

MAX_MODULES = 200
"""Most modules of one version; keeps the outline, which is one document, bounded."""

MAX_LESSONS = 1000
"""Most lessons of one version."""

MAX_AVAILABLE_AFTER = 1000
"""Most days after which a lesson may open; longer than any run."""

LAST_YEAR = 9990
"""Of a run: what opens years after its start is still in a year that calendars have."""

DEFAULT_COMPLETION: dict[str, dict[str, Any]] = {
    "text": {"rule": "viewed"},
    "video": {"rule": "watched", "percent": 90},
    "document": {"rule": "viewed"},
    "audio": {"rule": "viewed"},
    "link": {"rule": "viewed"},
    "live_session": {"rule": "marked_by_staff"},
}
"""How a lesson is completed when nobody says otherwise, by its kind."""

RUN_TRANSITIONS: dict[str, tuple[str, ...]] = {
    "draft": ("scheduled",),
    "scheduled": ("archived",),
    "archived": (),
    "cancelled": (),
}
"""Where a run's state may go by an edit; cancelling is an operation of its own."""

CANCELLABLE_STATES = ("scheduled",)
"""States of a run from which it may be cancelled."""


def choose_instructor(actor: Actor, named: UUID | None) -> UUID:
    """Return whose course it becomes: the actor's, or whom an admin names.

    Raises:
        ForbiddenError: an instructor names someone else.
    """
    if named is None or named == actor.user_id:
        return actor.user_id
    if not actor.is_admin:
        raise ForbiddenError("Only an admin creates courses for somebody else.", required="admin")
    return named


def check_owner(actor: Actor, owner_id: UUID) -> None:
    """Refuse who may edit a course but not choose who else does.

    Args:
        actor: teaches the course, or is an admin.
        owner_id: to whom the course belongs.

    Raises:
        NotCourseOwnerError: the actor only co-teaches it.
    """
    if not actor.is_admin and actor.user_id != owner_id:
        raise NotCourseOwnerError(
            "Only the course's owner and admins choose who teaches it.", owner_id=str(owner_id)
        )


def completion_for(kind: str, given: dict[str, Any] | None) -> dict[str, Any]:
    """Return a lesson's completion rule, the kind's default when none is given.

    Args:
        kind: one of `LESSON_KINDS`.
        given: `{"rule": ..., "percent" | "seconds": ...}`, already of a valid form.

    Raises:
        InvalidInputError: the rule makes no sense for this kind of lesson.
    """
    if given is None:
        return DEFAULT_COMPLETION[kind]
    if given["rule"] == "watched" and kind != "video":
        message = "Only video lessons are completed by watching."
        raise InvalidInputError(
            message, errors=[{"pointer": "/completion/rule", "message": message}]
        )
    return given


def check_room_for_modules(count: int) -> None:
    """Refuse more modules than a version may have.

    Args:
        count: how many it would have.

    Raises:
        VersionFullError: with the limit.
    """
    _check_room("modules", count, MAX_MODULES)


def check_room_for_lessons(count: int) -> None:
    """Refuse more lessons than a version may have.

    Args:
        count: how many it would have.

    Raises:
        VersionFullError: with the limit.
    """
    _check_room("lessons", count, MAX_LESSONS)


def check_run_dates(dates: Mapping[str, datetime], access_ends_at: datetime | None) -> None:
    """Refuse dates in an impossible order, each with its pointer.

    Args:
        dates: `starts_at`, `ends_at`, `enrollment_opens_at`, `enrollment_closes_at`, in UTC.
        access_ends_at: until when learners may read the content, UTC; None is for ever.

    Raises:
        InvalidInputError: with every violation.
    """
    rules = (
        ("starts_at", "ends_at", "The run must end after it starts."),
        (
            "enrollment_opens_at",
            "enrollment_closes_at",
            "Enrollment must close after it opens.",
        ),
    )
    errors = [
        {"pointer": f"/{later}", "message": message}
        for earlier, later, message in rules
        if dates[earlier] >= dates[later]
    ]
    errors += [
        {"pointer": f"/{name}", "message": f"At the latest in the year {LAST_YEAR}."}
        for name in ("starts_at", "ends_at")
        if dates[name].year > LAST_YEAR
    ]
    if dates["enrollment_closes_at"] > dates["ends_at"]:
        errors.append(
            {
                "pointer": "/enrollment_closes_at",
                "message": "Enrollment must close before the run ends, or with it.",
            }
        )
    if access_ends_at is not None and access_ends_at < dates["ends_at"]:
        errors.append(
            {
                "pointer": "/access_ends_at",
                "message": "Access must not end before the run does.",
            }
        )
    if errors:
        raise InvalidInputError("The dates are not in a possible order; see errors.", errors=errors)


def check_price(price: Money, currency: str) -> None:
    """Refuse a price that is not in the organization's currency.

    Args:
        price: what one seat costs, 0 is free.
        currency: ISO 4217 code of the organization.

    Raises:
        InvalidInputError: another currency.
    """
    if price.currency != currency:
        message = f"Prices of this organization are in {currency}."
        raise InvalidInputError(
            message, errors=[{"pointer": "/price/currency", "message": message}], currency=currency
        )


def check_run_transition(present: str, wanted: str) -> None:
    """Refuse a change of a run's state that its life does not have.

    Raises:
        RunStateNotAllowedError: with the states that are allowed.
    """
    if wanted != present and wanted not in RUN_TRANSITIONS[present]:
        allowed = list(RUN_TRANSITIONS[present])
        raise RunStateNotAllowedError(
            f"A run that is {present} cannot become {wanted}.", state=present, allowed=allowed
        )


def check_editable(state: str) -> None:
    """Refuse to edit a cancelled run, which stays as its learners were told.

    Raises:
        RunStateNotAllowedError: with what its state may become: nothing.
    """
    if state == "cancelled":
        raise RunStateNotAllowedError(
            "A cancelled run stays as it is; run the course again instead.", state=state, allowed=[]
        )


def check_cancellable(state: str) -> None:
    """Refuse to cancel a run that is not offered.

    Raises:
        RunStateNotAllowedError: with what its state may become instead.
    """
    if state not in CANCELLABLE_STATES:
        raise RunStateNotAllowedError(
            f"A run that is {state} cannot be cancelled.",
            state=state,
            allowed=list(RUN_TRANSITIONS[state]),
        )


def shifted(moment: datetime, by: timedelta) -> datetime:
    """Return a moment of an earlier run as it is in the next one.

    Args:
        moment: of the earlier run, UTC.
        by: how much later the next one is.

    Raises:
        InvalidInputError: it would be in a year that no calendar here has.
    """
    try:
        there = moment + by
    except OverflowError:
        there = None
    if there is None or not 1970 <= there.year <= 9998:
        message = "What depends on the dates of the earlier run would be out of all time."
        raise InvalidInputError(message, errors=[{"pointer": "/starts_at", "message": message}])
    return there


def _check_room(what: str, count: int, limit: int) -> None:
    if count > limit:
        raise VersionFullError(f"A version has at most {limit} {what}.", of=what, limit=limit)
