"""How the queue stands, by organization and in all: as the platform's own role."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Row, Select, cast, func, select, true
from sqlalchemy.orm import Session

from lms.core.clock import now
from lms.core.pagination import DEFAULT_LIMIT, Page, paginate_rows
from tenants.models import CpuUsage, Organization, Work

DEFAULT_DAYS = 30
COUNTS = ("waiting", "scheduled", "running", "failed")


def list_queue(
    session: Session,
    *,
    queue: str | None = None,
    days: int = DEFAULT_DAYS,
    limit: int = DEFAULT_LIMIT,
    cursor: str | None = None,
) -> Page[Row[Any]]:
    """Return a page of organizations, oldest first, with what waits, runs and has failed of each.

    One statement, however many organizations there are.

    Args:
        session: the platform's.
        queue: count only work of this queue.
        days: of how many days, today (UTC) among them, CPU time is summed.
        limit: most to return.
        cursor: of the page before.
    """
    query = _by_organization(queue, days)
    return paginate_rows(session, query, Organization.id, limit=limit, cursor=cursor)


def queue_totals(
    session: Session, *, queue: str | None = None, days: int = DEFAULT_DAYS
) -> Row[Any]:
    """Return the sums over all organizations; see `list_queue`."""
    each = _by_organization(queue, days).subquery()
    counts = [
        cast(func.coalesce(func.sum(each.c[name]), 0), BigInteger).label(name) for name in COUNTS
    ]
    cpu = func.coalesce(func.sum(each.c.cpu_seconds), 0.0).label("cpu_seconds")
    oldest = func.min(each.c.oldest_waiting_since).label("oldest_waiting_since")
    return session.execute(select(*counts, oldest, cpu)).one()


def _by_organization(queue: str | None, days: int) -> Select[*tuple[Any, ...]]:
    work = (
        select(*_columns())
        .where(
            Work.organization_id == Organization.id,
            Work.state.in_(("waiting", "running", "failed")),
            *([] if queue is None else [Work.queue == queue]),
        )
        .lateral("of_queue")
    )
    first_day = (now() - timedelta(days=days - 1)).date()
    cpu = (
        select(func.coalesce(func.sum(CpuUsage.seconds), 0.0).label("cpu_seconds"))
        .where(CpuUsage.organization_id == Organization.id, CpuUsage.day >= first_day)
        .lateral("of_cpu")
    )
    return (
        select(
            Organization.id.label("organization_id"),
            Organization.slug,
            *work.c,
            cpu.c.cpu_seconds,
        )
        .select_from(Organization)
        .join(work, true())
        .join(cpu, true())
    )


def _columns() -> list[ColumnElement[Any]]:
    due = Work.due_at <= func.now()
    waiting, later = (Work.state == "waiting") & due, (Work.state == "waiting") & ~due
    return [
        func.count().filter(waiting).label("waiting"),
        func.count().filter(later).label("scheduled"),
        func.count().filter(Work.state == "running").label("running"),
        func.count().filter(Work.state == "failed").label("failed"),
        func.min(Work.due_at).filter(waiting).label("oldest_waiting_since"),
    ]
