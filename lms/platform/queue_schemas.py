"""What goes in and out about how the queue stands."""

from __future__ import annotations

import marshmallow as ma
from marshmallow import validate

from lms.http.schemas import PageQuery, QueryInteger, Schema, UtcDateTime
from lms.platform.queue_queries import DEFAULT_DAYS
from lms.platform.schemas import QUEUES

LONGEST_DAYS = 366


def _queue() -> ma.fields.String:
    return ma.fields.String(
        load_default=None,
        validate=validate.OneOf(QUEUES),
        metadata={"description": "Count only work of this queue."},
    )


def _days() -> QueryInteger:
    return QueryInteger(
        minimum=1,
        maximum=LONGEST_DAYS,
        load_default=DEFAULT_DAYS,
        metadata={"description": "Of how many days, today (UTC) among them, CPU time is summed."},
    )


class QueueQuery(PageQuery):
    """What to count."""

    queue = _queue()
    days = _days()


class QueueTotalsQuery(Schema):
    """What to count."""

    queue = _queue()
    days = _days()


class QueueTotalsOut(Schema):
    """How the queue stands."""

    waiting = ma.fields.Integer(
        required=True, metadata={"description": "Due, and begun by no worker yet."}
    )
    scheduled = ma.fields.Integer(
        required=True, metadata={"description": "Due later: retries, and what has a date."}
    )
    running = ma.fields.Integer(required=True)
    failed = ma.fields.Integer(
        required=True, metadata={"description": "Given up, until somebody retries them."}
    )
    oldest_waiting_since = UtcDateTime(
        required=True,
        allow_none=True,
        metadata={"description": "Since when the oldest of `waiting` has been due."},
    )
    cpu_seconds = ma.fields.Float(
        required=True,
        metadata={
            "description": "CPU time that conversions took in those days, however they ended."
        },
    )


class OrganizationQueueOut(QueueTotalsOut):
    """How the queue stands for one organization."""

    organization_id = ma.fields.UUID(required=True)
    slug = ma.fields.String(required=True, metadata={"example": "acme"})
