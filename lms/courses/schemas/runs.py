"""Runs, in and out."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import Any
from zoneinfo import available_timezones

import marshmallow as ma
from marshmallow import validate

from lms.courses.models import RUN_STATES
from lms.courses.run_queries import PHASES
from lms.http.schemas import Boolean, Integer, MoneySchema, Schema, Text, UtcDateTime

MAX_CAPACITY = 1_000_000
MAX_REASON = 500
APPROVAL = "Whoever enrolls takes a seat, and has it once those who teach the run approve."
ACCESS = "Until when learners may read the content and report progress; null is for ever."
MAX_REFUND_STEPS = 20
EDITABLE_STATES = ("draft", "scheduled", "archived")


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _known_time_zone(name: str) -> None:
    if name not in _time_zones():
        raise ma.ValidationError("Not an IANA time zone.")


def _ascending(steps: list[dict[str, Any]]) -> None:
    moments = [step["until"] for step in steps]
    if any(later <= earlier for earlier, later in pairwise(moments)):
        raise ma.ValidationError("Each `until` must be later than the one before.")


class RefundStep(Schema):
    """How much of the price one gets back until some moment; nothing after the last."""

    until = UtcDateTime(required=True)
    percent = Integer(minimum=0, maximum=100, required=True)


def _refund_policy(*, further: str = "", **kwargs: Any) -> ma.fields.List[Any]:
    description = f"Steps by rising `until`; empty is no refund by policy.{further}"
    return ma.fields.List(
        ma.fields.Nested(RefundStep),
        validate=[validate.Length(max=MAX_REFUND_STEPS), _ascending],
        metadata={"description": description},
        **kwargs,
    )


class CourseRunIn(Schema):
    """A new run of a published version."""

    version_id = ma.fields.UUID(
        required=True, metadata={"description": "A published version of the course."}
    )
    title = Text(required=True, metadata={"example": "January 2027 cohort"})
    state = ma.fields.String(
        load_default="scheduled",
        validate=validate.OneOf(("draft", "scheduled")),
        metadata={"description": "A draft is seen by staff only."},
    )
    starts_at = UtcDateTime(required=True)
    ends_at = UtcDateTime(required=True)
    enrollment_opens_at = UtcDateTime(required=True)
    enrollment_closes_at = UtcDateTime(
        required=True, metadata={"description": "At the latest when the run ends."}
    )
    access_ends_at = UtcDateTime(
        load_default=None, allow_none=True, metadata={"description": ACCESS, "example": None}
    )
    capacity = Integer(
        minimum=1,
        maximum=MAX_CAPACITY,
        load_default=None,
        allow_none=True,
        metadata={"description": "Most learners; null is unlimited."},
    )
    price = ma.fields.Nested(
        MoneySchema,
        required=True,
        metadata={"description": "In the organization's currency; amount 0 is free."},
    )
    time_zone = ma.fields.String(
        load_default="UTC",
        validate=_known_time_zone,
        metadata={
            "description": "IANA name in which people read the dates.",
            "example": "Europe/Berlin",
        },
    )
    refund_policy = _refund_policy(load_default=list)
    approval_required = Boolean(metadata={"description": APPROVAL})


class CourseRunPatch(Schema):
    """The members to change. The version stays once someone holds a seat."""

    version_id = ma.fields.UUID()
    title = Text()
    state = ma.fields.String(
        validate=validate.OneOf(EDITABLE_STATES),
        metadata={"description": "draft -> scheduled -> archived."},
    )
    starts_at = UtcDateTime()
    ends_at = UtcDateTime()
    enrollment_opens_at = UtcDateTime()
    enrollment_closes_at = UtcDateTime()
    access_ends_at = UtcDateTime(allow_none=True, metadata={"description": ACCESS, "example": None})
    capacity = Integer(minimum=1, maximum=MAX_CAPACITY, allow_none=True)
    price = ma.fields.Nested(MoneySchema)
    time_zone = ma.fields.String(validate=_known_time_zone)
    refund_policy = _refund_policy()
    approval_required = Boolean(metadata={"description": APPROVAL})


class CourseRunAgainIn(Schema):
    """The next run of a course, after the model of an earlier one, from which the rest is taken."""

    title = Text(required=True, metadata={"example": "September 2027 cohort"})
    starts_at = UtcDateTime(required=True)
    ends_at = UtcDateTime(required=True)
    enrollment_opens_at = UtcDateTime(required=True)
    enrollment_closes_at = UtcDateTime(
        required=True, metadata={"description": "At the latest when the run ends."}
    )
    version_id = ma.fields.UUID(
        metadata={"description": "A published version of the course; the earlier run's if absent."}
    )
    state = ma.fields.String(
        load_default="scheduled",
        validate=validate.OneOf(("draft", "scheduled")),
        metadata={"description": "A draft is seen by staff only."},
    )
    access_ends_at = UtcDateTime(
        allow_none=True,
        metadata={
            "description": f"{ACCESS} If absent, as long after the end as in the earlier run.",
            "example": None,
        },
    )
    capacity = Integer(
        minimum=1,
        maximum=MAX_CAPACITY,
        allow_none=True,
        metadata={"description": "Most learners; null is unlimited."},
    )
    price = ma.fields.Nested(MoneySchema)
    time_zone = ma.fields.String(validate=_known_time_zone, metadata={"example": "Europe/Berlin"})
    refund_policy = _refund_policy(
        further=" If absent, the earlier run's, each step as long before or after the start."
    )
    approval_required = Boolean(
        metadata={"description": f"{APPROVAL} If absent, as in the earlier run."}
    )


class RunCancelIn(Schema):
    """Why a run is cancelled."""

    reason = Text(
        required=True,
        max_length=MAX_REASON,
        metadata={
            "description": "Its learners read it; no personal data.",
            "example": "The instructor has fallen ill.",
        },
    )


class RunSeatsOut(Schema):
    """How full a run is, at the moment of reading."""

    capacity = ma.fields.Integer(
        required=True, allow_none=True, metadata={"description": "null is unlimited."}
    )
    taken = ma.fields.Integer(required=True)
    waitlisted = ma.fields.Integer(
        required=True, metadata={"description": "How many wait for a seat."}
    )
    available = ma.fields.Integer(
        required=True,
        allow_none=True,
        metadata={
            "description": "For whom does not wait yet: a free seat belongs to those who do. null"
            " is unlimited."
        },
    )


class CourseRunOut(Schema):
    """A delivery of one published version to one cohort."""

    id = ma.fields.UUID(required=True, attribute="run.id")
    course_id = ma.fields.UUID(required=True, attribute="run.course_id")
    version_id = ma.fields.UUID(required=True, attribute="run.version_id")
    title = ma.fields.String(required=True, attribute="run.title")
    state = ma.fields.String(
        required=True, attribute="run.state", metadata={"enum": list(RUN_STATES)}
    )
    phase = ma.fields.String(
        required=True,
        metadata={
            "enum": list(PHASES),
            "description": "By state and dates, now. While one can still enroll it is"
            " `enrollment_open`, also after the start; a cancelled run has `ended`.",
        },
    )
    starts_at = UtcDateTime(required=True, attribute="run.starts_at")
    ends_at = UtcDateTime(required=True, attribute="run.ends_at")
    enrollment_opens_at = UtcDateTime(required=True, attribute="run.enrollment_opens_at")
    enrollment_closes_at = UtcDateTime(required=True, attribute="run.enrollment_closes_at")
    access_ends_at = UtcDateTime(
        required=True,
        allow_none=True,
        attribute="run.access_ends_at",
        metadata={"description": ACCESS},
    )
    price = ma.fields.Nested(MoneySchema, required=True)
    seats = ma.fields.Nested(RunSeatsOut, required=True)
    time_zone = ma.fields.String(required=True, attribute="run.time_zone")
    refund_policy = ma.fields.List(ma.fields.Nested(RefundStep), required=True)
    approval_required = ma.fields.Boolean(
        required=True, attribute="run.approval_required", metadata={"description": APPROVAL}
    )
    cancelled_at = UtcDateTime(required=True, allow_none=True, attribute="run.cancelled_at")
    cancel_reason = ma.fields.String(required=True, allow_none=True, attribute="run.cancel_reason")
    enrollments_left = ma.fields.Integer(
        required=True,
        allow_none=True,
        metadata={
            "description": "Of a cancelled run: how many enrollments have yet to be ended and given"
            " back, now. Null of any other run."
        },
    )
    created_at = UtcDateTime(required=True, attribute="run.created_at")


RUN_EXAMPLE = {
    "id": "01935b90-2b3c-7d4e-8f50-617283940a5b",
    "course_id": "01935b7e-3a51-7cc4-9d1e-0f8f3c2b6a10",
    "version_id": "01935b80-11aa-7d02-b3c4-9a7e5d1f2c33",
    "title": "January 2027 cohort",
    "state": "scheduled",
    "phase": "enrollment_open",
    "starts_at": "2027-01-18T08:00:00Z",
    "ends_at": "2027-03-15T17:00:00Z",
    "enrollment_opens_at": "2026-12-01T08:00:00Z",
    "enrollment_closes_at": "2027-01-25T08:00:00Z",
    "access_ends_at": "2027-09-15T17:00:00Z",
    "price": {"amount": 4900, "currency": "EUR"},
    "seats": {"capacity": 24, "taken": 3, "waitlisted": 0, "available": 21},
    "time_zone": "Europe/Berlin",
    "refund_policy": [{"until": "2027-01-18T08:00:00Z", "percent": 100}],
    "approval_required": False,
    "cancelled_at": None,
    "cancel_reason": None,
    "enrollments_left": None,
    "created_at": "2026-11-20T14:00:00Z",
}
