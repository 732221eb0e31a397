"""Enrollments as clients see them."""

from __future__ import annotations

from typing import get_args

import marshmallow as ma
from marshmallow import validate

from lms.enrollments.transitions import State
from lms.http.schemas import PageQuery, Schema, Text, UtcDateTime

STATES = get_args(State)


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
    percent = ma.fields.Integer(required=True, metadata={"example": 40})
    hold_until = UtcDateTime(
        required=True,
        allow_none=True,
        metadata={"description": "While pending: when an unpaid seat is given back."},
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
