"""`lms media`: collect what lies in storage and nothing refers to."""

from __future__ import annotations

from collections.abc import Sequence

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from sqlalchemy import select

from lms.cli.databases import serving_database
from lms.cli.group import EXPECTED, in_one_line, main
from lms.cli.tables import aligned
from lms.compose import create_storage
from lms.config import Settings
from lms.core import clock
from lms.core.storage.base import Storage, StorageError
from lms.courses.collecting import Collection, collect, count_assets
from lms.platform.queries import find_organization
from tenants.models import Organization
from tenants.session import PLATFORM, STILL_SETTLING, Database, OrganizationScope


@main.group()
def media() -> None:
    """Look after files, videos and the storage they lie in."""


@media.command("collect", short_help="Delete what lies in storage and nothing refers to.")
@click.argument("organization", metavar="[ORGANIZATION]", required=False)
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
def collect_media(organization: str | None, *, dry_run: bool) -> None:
    """Delete what lies in storage and nothing refers to.

    Of the organization with the slug ORGANIZATION, else of all: files that no lesson has,
    conversions that were replaced or lost, and uploads that nobody went on with for 7 days.
    Whatever is younger than a day stays. Workers do the same once a day. May run while people work,
    be stopped anywhere, and be repeated.

    The exit status is 1 when something could not be collected: it is named, and the rest was.
    """
    storage = create_storage(Settings.from_environment())
    rows: list[tuple[str, ...]] = [("ORGANIZATION", "FILES", "CONVERSIONS", "UPLOADS", "BYTES")]
    size, failed = 0, False
    with serving_database() as database:
        for slug, scope in _organizations(database, organization):
            try:
                made = _collect(database, storage, slug, scope, dry_run=dry_run)
            except (StorageError, *EXPECTED) as error:
                click.echo(f"{slug}: {in_one_line(error)}", err=True)
                failed = True
                continue
            if made.failed:
                click.echo(f"{slug}: {made.failed} could not be deleted; see the log.", err=True)
            failed = failed or made.failed > 0
            size += made.size
            rows.append((slug, *map(str, made.counts.values()), str(made.size)))
    for line in aligned(rows):
        click.echo(line)
    click.echo(f"{'Would be collected' if dry_run else 'Collected'}: {size} bytes.")
    if failed:
        raise click.exceptions.Exit(1)


def _organizations(database: Database, slug: str | None) -> Sequence[tuple[str, OrganizationScope]]:
    with database.transaction(PLATFORM) as session:
        if slug is not None:
            found = find_organization(session, slug)
            return [(found.slug, OrganizationScope(found.id, STILL_SETTLING))]
        query = (
            select(Organization.slug, Organization.id)
            .where(Organization.state.in_(STILL_SETTLING))
            .order_by(Organization.slug)
        )
        return [
            (name, OrganizationScope(key, STILL_SETTLING)) for name, key in session.execute(query)
        ]


def _collect(
    database: Database, storage: Storage, slug: str, scope: OrganizationScope, *, dry_run: bool
) -> Collection:
    with database.transaction(scope) as session:
        total = count_assets(session)
    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,  # a timer's mail would be an empty line
    ) as progress:
        task = progress.add_task(slug, total=total)
        return collect(
            lambda: database.transaction(scope),
            storage,
            scope.id,
            now=clock.now(),
            on_folder=lambda: progress.advance(task),
            dry_run=dry_run,
        )
