"""Enrollments as clients see them."""

from __future__ import annotations

from typing import get_args

import marshmallow as ma
from marshmallow import validate

from lms.enrollments.transitions import State
from lms.http.schemas import PageQuery, QueryInteger, Schema, Text, UtcDateTime

STATES = get_args(State)
MAX_POSITION = 1_000_000
AWAITING = ("payment", "offer", "approval", "invitation")


class EnrollmentOut(Schema):
    """A learner's place in a run."""

    id = ma.fields.UUID(required=True)
    user_id = ma.fields.UUID(required=True)
    run_id = ma.fields.UUID(required=True)
    version_id = ma.fields.UUID(
        required=True, metadata={"description": "The course version that this learner studies."}
    )
    payment_id = ma.fields.UUID(required=True, allow_none=True)
    attempt = ma.fields.Integer(
        required=True, metadata={"description": "Counts this learner's enrollments in the run."}
    )
    state = ma.fields.String(required=True, validate=validate.OneOf(STATES))
    awaiting = ma.fields.String(
        required=True,
        allow_none=True,
        validate=validate.OneOf(AWAITING),
        metadata={
            "description": "While pending, for what: your `payment`; that you accept the `offer` of"
            " a seat; that staff approve it; or that you join by your invitation."
        },
    )
    percent = ma.fields.Integer(required=True, metadata={"example": 40})
    hold_until = UtcDateTime(
        required=True,
        allow_none=True,
        metadata={
            "description": "While pending: when the seat is given back unless it is paid, or the"
            " offer accepted; null when it is kept as long as it takes."
        },
    )
    waitlisted_at = UtcDateTime(
        required=True,
        allow_none=True,
        metadata={"description": "Since when one waited for a seat; null of who never did."},
    )
    approved_at = UtcDateTime(
        required=True,
        allow_none=True,
        metadata={"description": "When staff approved it; null where that was not needed."},
    )
    pay_automatically = ma.fields.Boolean(
        required=True,
        metadata={"description": "The wallet is charged as soon as the seat is yours."},
    )
    access_ends_at = UtcDateTime(
        required=True,
        allow_none=True,
        metadata={"description": "This learner's own end of access; null: the run's holds."},
    )
    transferred_from_id = ma.fields.UUID(
        required=True,
        allow_none=True,
        metadata={"description": "The enrollment in another run that this one goes on with."},
    )
    activated_at = UtcDateTime(required=True, allow_none=True)
    completed_at = UtcDateTime(required=True, allow_none=True)
    ended_at = UtcDateTime(required=True, allow_none=True)
    created_at = UtcDateTime(required=True)


class RunEnrollmentQuery(PageQuery):
    """Which enrollments of a run to list."""

    state = ma.fields.String(load_default=None, validate=validate.OneOf(STATES))


class EnrollmentQuery(RunEnrollmentQuery):
    """Which of your enrollments to list."""

    run_id = ma.fields.UUID(load_default=None)


class PlaceOut(Schema):
    """Where somebody stands in a run's waiting list, at the moment of reading."""

    enrollment_id = ma.fields.UUID(required=True)
    run_id = ma.fields.UUID(required=True)
    state = ma.fields.String(required=True, validate=validate.OneOf(STATES))
    position = ma.fields.Integer(
        required=True,
        allow_none=True,
        metadata={
            "description": "1 is next; null when this enrollment does not wait for a seat.",
            "example": 3,
        },
    )
    waitlisted = ma.fields.Integer(
        required=True, metadata={"description": "How many wait for a seat.", "example": 8}
    )
    seats_offered = ma.fields.Integer(
        required=True,
        metadata={"description": "Seats that others may still accept.", "example": 1},
    )
    next_offer_ends_at = UtcDateTime(
        required=True,
        allow_none=True,
        metadata={"description": "When the first of these offers lapses."},
    )


class WaitlistQuery(Schema):
    """Which part of a waiting list."""

    from_position = QueryInteger(
        minimum=1, maximum=MAX_POSITION, load_default=1, metadata={"example": 1}
    )
    limit = QueryInteger(minimum=1, maximum=100, load_default=50, metadata={"example": 50})


class WaitingOut(Schema):
    """Somebody who waits for a seat."""

    position = ma.fields.Integer(required=True, metadata={"description": "1 is next."})
    learner_name = ma.fields.String(required=True, metadata={"example": "Lea Brandt"})
    enrollment = ma.fields.Nested(EnrollmentOut, required=True)


class WaitlistOut(Schema):
    """Who waits for a seat of a run, in the order in which they get one."""

    waitlisted = ma.fields.Integer(
        required=True, metadata={"description": "How many in all.", "example": 8}
    )
    items = ma.fields.List(ma.fields.Nested(WaitingOut), required=True)


class ExtensionIn(Schema):
    """Until when a learner is given time."""

    until = UtcDateTime(required=True, metadata={"description": "In the future."})
    reason = Text(
        required=True,
        metadata={
            "description": "For the audit log; without personal data.",
            "example": "Was on parental leave.",
        },
    )


class EnrollmentChangeIn(Schema):
    """Why staff change an enrollment."""

    reason = Text(
        required=True,
        metadata={
            "description": "For the audit log; without personal data.",
            "example": "Asked for a pause until March.",
        },
    )


class EnrollmentChangeOut(Schema):
    """One step of an enrollment's life."""

    id = ma.fields.UUID(required=True)
    from_state = ma.fields.String(
        required=True,
        allow_none=True,
        validate=validate.OneOf(STATES),
        metadata={"description": "null: it was not there yet."},
    )
    to_state = ma.fields.String(required=True, validate=validate.OneOf(STATES))
    reason = ma.fields.String(
        required=True,
        metadata={
            "description": "A stable word. What staff wrote is in the audit log.",
            "example": "paid",
        },
    )
    actor_id = ma.fields.UUID(
        required=True, allow_none=True, metadata={"description": "null: by itself."}
    )
    at = UtcDateTime(required=True)


class GrantedSeatIn(Schema):
    """Whom staff enroll."""

    user_id = ma.fields.UUID(required=True, metadata={"description": "An active account."})
    reason = Text(
        required=True,
        metadata={
            "description": "For the audit log; without personal data.",
            "example": "Paid by invoice 2027-14.",
        },
    )
