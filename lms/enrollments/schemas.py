"""Enrollments as clients see them."""

from __future__ import annotations

from typing import get_args

import marshmallow as ma
from marshmallow import validate

from lms.enrollments.transitions import State
from lms.http.schemas import PageQuery, Schema, UtcDateTime

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
