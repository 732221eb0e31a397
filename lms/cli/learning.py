"""`lms learning`: is learners' progress what their lessons say?"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lms.cli.databases import serving_database
from lms.cli.group import main
from lms.cli.tables import aligned
from lms.learning.recompute import Correction, count_active, recompute_batch
from lms.platform.queries import find_organization
from tenants.session import PLATFORM, Database, OrganizationScope


@main.group()
def learning() -> None:
    """Look after the progress of learners."""


@learning.command(short_help="Recompute percent and completion from what learners did.")
@click.option("--organization", "slug", metavar="SLUG", required=True, help="Whose learners.")
@click.option("--run", "run_id", metavar="UUID", type=click.UUID, help="Of this run only.")
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
def recompute(slug: str, *, run_id: UUID | None, dry_run: bool) -> None:
    """Recompute percent and completion of active enrollments from their completed lessons.

    Reports of progress keep both right; this is for rows that were written past the rules. Prints
    each enrollment that changes, and leaves an audit event with it. May run while people learn, and
    may be repeated: what is completed stays completed with its first date.
    """
    with serving_database() as database:
        with database.transaction(PLATFORM) as session:
            scope = OrganizationScope(find_organization(session, slug).id)
        seen, corrections = _recompute(database, scope, run_id, dry_run=dry_run)
    _tell(corrections)
    completed = sum(one.completes for one in corrections)
    found = f"Enrollments recomputed: {seen}."
    if dry_run:
        click.echo(f"{found} Would change: {len(corrections)}. Would be completed: {completed}.")
    else:
        click.echo(f"{found} Changed: {len(corrections)}. Completed: {completed}.")


def _recompute(
    database: Database, scope: OrganizationScope, run_id: UUID | None, *, dry_run: bool
) -> tuple[int, list[Correction]]:
    """Go through all batches, a transaction each; returns how many were seen and what was wrong."""
    with database.transaction(scope) as session:
        total = count_active(session, run_id)
    console = Console(stderr=True)
    corrections: list[Correction] = []
    seen, last_id = 0, None
    with Progress(
        TextColumn("Enrollments"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,  # a timer's mail would be an empty line
    ) as progress:
        task = progress.add_task("enrollments", total=total)
        while True:
            with database.transaction(scope) as session:
                batch = recompute_batch(session, run_id, after=last_id, dry_run=dry_run)
            if batch.last_id is None:
                return seen, corrections
            seen, last_id = seen + batch.size, batch.last_id
            corrections += batch.corrections
            progress.advance(task, batch.size)


def _tell(corrections: Sequence[Correction]) -> None:
    if not corrections:
        return
    rows = [("ENROLLMENT", "PERCENT WAS", "IS", "COMPLETED")]
    for one in corrections:
        percents = (str(one.found), str(one.percent))
        rows.append((str(one.enrollment_id), *percents, "yes" if one.completes else "no"))
    for line in aligned(rows):
        click.echo(line)
