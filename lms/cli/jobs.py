"""`lms jobs`: the queue of work of all organizations."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import click
from sqlalchemy import Row

from lms.cli.group import main, platform_session
from lms.cli.tables import aligned
from lms.core.pagination import MAX_LIMIT
from lms.platform import operations, queries, queue_queries
from lms.platform.schemas import QUEUES
from tenants.models import WORK_STATES

MOST_LISTED = 1000


@main.group()
def jobs() -> None:
    """See what waits, runs and has failed, and try failed work again."""


@jobs.command("list", short_help="List work, newest first.")
@click.option("--state", type=click.Choice(WORK_STATES), help="Only in this state.")
@click.option("--queue", type=click.Choice(QUEUES), help="Only of this queue.")
@click.option("--organization", "slug", metavar="SLUG", help="Only of this organization.")
@click.option(
    "--limit",
    type=click.IntRange(1, MOST_LISTED),
    default=50,
    show_default=True,
    help="Most to list.",
)
def list_(state: str | None, queue: str | None, slug: str | None, limit: int) -> None:
    """List the work of all organizations, newest first, with the last error of each."""
    rows = [("ID", "KIND", "STATE", "ATTEMPTS", "DUE", "ORGANIZATION", "ERROR")]
    cursor = None
    with platform_session() as session:
        organization_id = queries.find_organization(session, slug).id if slug else None
        while limit > 0:
            page = queries.list_jobs(
                session,
                organization_id=organization_id,
                state=state,
                queue=queue,
                limit=min(limit, MAX_LIMIT),
                cursor=cursor,
            )
            for job in page.items:
                attempts = f"{job.attempts}/{job.max_attempts}"
                about = (str(job.id), job.kind, job.state, attempts, _written(job.due_at))
                error = " ".join((job.error or "").split())
                rows.append((*about, str(job.organization_id), error))
            limit, cursor = limit - len(page.items), page.next_cursor
            if cursor is None:
                break
    for line in aligned(rows):
        click.echo(line)


@jobs.command(short_help="Try failed work again.")
@click.argument("job_id", type=click.UUID)
def retry(job_id: UUID) -> None:
    """Put a failed job back into the queue, with all its attempts."""
    with platform_session() as session:
        job = operations.retry_job(session, None, None, job_id)
    click.echo(f"{job.id} ({job.kind}) waits again; the dispatcher finds it within a second.")


@jobs.command("queue", short_help="How the queue stands for each organization.")
@click.option("--queue", type=click.Choice(QUEUES), help="Count only work of this queue.")
@click.option(
    "--days",
    type=click.IntRange(1, 366),
    default=queue_queries.DEFAULT_DAYS,
    show_default=True,
    help="Of how many days CPU time is summed.",
)
def queue_(queue: str | None, days: int) -> None:
    """Count what waits, runs and has failed of each organization, and sum the CPU time it took.

    Organizations without any of it are left out; the last line is the sum.
    """
    rows = [("SLUG", "WAITING", "SCHEDULED", "RUNNING", "FAILED", "OLDEST", "CPU SECONDS")]
    cursor = None
    with platform_session() as session:
        while True:
            page = queue_queries.list_queue(
                session, queue=queue, days=days, limit=MAX_LIMIT, cursor=cursor
            )
            rows += [(one.slug, *_cells(one)) for one in page.items if _has_any(one)]
            cursor = page.next_cursor
            if cursor is None:
                break
        rows.append(("TOTAL", *_cells(queue_queries.queue_totals(session, queue=queue, days=days))))
    for line in aligned(rows):
        click.echo(line)


def _has_any(one: Row[Any]) -> bool:
    return any(getattr(one, name) for name in (*queue_queries.COUNTS, "cpu_seconds"))


def _cells(one: Row[Any]) -> tuple[str, ...]:
    counts = (str(getattr(one, name)) for name in queue_queries.COUNTS)
    oldest = one.oldest_waiting_since
    return (*counts, "-" if oldest is None else _written(oldest), f"{one.cpu_seconds:.1f}")


def _written(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"
