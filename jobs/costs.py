"""What work costs: CPU time of the processes that a job started, on its organization's account."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from jobs.context import JobContext
from tenants.errors import TenancyError

log = structlog.get_logger()

WORTH_SECONDS = 0.01
"""Less than this is not worth a row."""

ACCOUNT = text("""
    INSERT INTO platform.cpu_usage (organization_id, day, seconds)
    VALUES (:organization_id, CAST(now() AT TIME ZONE 'UTC' AS date), :seconds)
    ON CONFLICT (organization_id, day)
    DO UPDATE SET seconds = cpu_usage.seconds + excluded.seconds
""")


@contextmanager
def accounted(context: JobContext) -> Iterator[None]:
    """Account to the job's organization what child processes take during the block.

    However it ends: what was cancelled, failed or lost its lease was used all the same. Of a worker
    that is killed nothing is known. It never fails for want of a database: that would cost a job.
    """
    before = _children_seconds()
    try:
        yield
    finally:
        seconds = _children_seconds() - before
        if seconds >= WORTH_SECONDS:
            _account(context, seconds)


def _children_seconds() -> float:
    """Return user and system time of all children that have ended, seconds."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _account(context: JobContext, seconds: float) -> None:
    values = {"organization_id": context.scope.id, "seconds": seconds}
    try:
        with context.database.transaction(context.scope) as session:
            session.execute(ACCOUNT, values)
    except (TenancyError, DBAPIError) as error:
        log.warning("cpu_not_accounted", seconds=seconds, reason=type(error).__name__)
