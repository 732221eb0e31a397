"""How the queue stands, for super-admins."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from lms.core.pagination import Page
from lms.http.blueprint import PlatformBlueprint
from lms.http.call import Call
from lms.platform import queue_queries
from lms.platform.queue_schemas import (
    OrganizationQueueOut,
    QueueQuery,
    QueueTotalsOut,
    QueueTotalsQuery,
)

blp = PlatformBlueprint(
    "Queue", __name__, description="How much work waits and runs, for whom, and what it costs."
)
TOTALS = {
    "waiting": 3,
    "scheduled": 41,
    "running": 2,
    "failed": 1,
    "oldest_waiting_since": "2026-11-25T16:00:00Z",
    "cpu_seconds": 5123.5,
}
OF_ACME = {**TOTALS, "organization_id": "0193a1c2-7f00-7000-8000-000000000001", "slug": "acme"}


@blp.operation(
    "GET",
    "/queue",
    id="listQueue",
    query=QueueQuery,
    returns=OrganizationQueueOut,
    paged=True,
    example={"items": [OF_ACME], "next_cursor": None},
)
def list_queue(call: Call, query: dict[str, Any]) -> Page[Row[Any]]:
    """List how the queue stands for each organization, by id: about oldest first.

    Organizations in any state, also those without work. `listJobs` lists the work itself.
    """
    return queue_queries.list_queue(call.session, **query)


@blp.operation(
    "GET",
    "/queue/totals",
    id="getQueueTotals",
    query=QueueTotalsQuery,
    returns=QueueTotalsOut,
    example=TOTALS,
)
def get_queue_totals(call: Call, query: dict[str, Any]) -> Row[Any]:
    """Read how the queue stands over all organizations.

    The sums of `listQueue`.
    """
    return queue_queries.queue_totals(call.session, **query)
