"""`lms migrate`: bring the platform and every organization to the newest revision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from sqlalchemy import text

from lms.cli.group import address, main
from lms.platform.errors import UnknownOrganizationError
from tenants import ddl, migrator
from tenants.engines import create_admin_engine
from tenants.migrator import Report


@main.command(short_help="Migrate the platform and all organizations.")
@click.option(
    "--only",
    "slugs",
    metavar="SLUG",
    multiple=True,
    help="Migrate this organization only; may be given several times.",
)
def migrate(slugs: tuple[str, ...]) -> None:
    """Bring the platform and every organization to the newest revision.

    Safe to repeat: a run with nothing to do is one query, a killed run goes on where it was. One
    organization that fails stays as it is while the others go on; the exit status is then 1.
    """
    admin_url = address("DATABASE_ADMIN_URL")
    migrator.upgrade_platform(admin_url, address("DATABASE_URL"))
    only = _ids_of(admin_url, slugs) if slugs else None
    report = _upgrade(admin_url, only)
    click.echo(
        f"Platform: at its newest revision. Organizations: {len(report.migrated)} migrated to"
        f" {ddl.head_revision()}, {len(report.failed)} failed."
    )
    if report.failed:
        names = _slugs_of(admin_url, list(report.failed))
        for organization_id, message in report.failed.items():
            reason = (message.strip().splitlines() or ["no message"])[0]
            click.echo(f"  {names.get(organization_id, organization_id)}: {reason}", err=True)
        raise click.ClickException(
            "Some organizations were left at their old revision; repair the cause and run"
            " `lms migrate` again."
        )


def _upgrade(admin_url: str, only: Sequence[UUID] | None) -> Report:
    with Progress(
        TextColumn("Organizations"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as progress:
        task = progress.add_task("organizations", total=None)

        def show(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        return migrator.upgrade_organizations(admin_url, only=only, on_progress=show)


def _ids_of(admin_url: str, slugs: Sequence[str]) -> list[UUID]:
    with create_admin_engine(admin_url).begin() as connection:
        rows = connection.execute(
            text("SELECT slug, id FROM platform.organizations WHERE slug = ANY(:slugs)"),
            {"slugs": list(slugs)},
        ).all()
    known = {row.slug: row.id for row in rows}
    for slug in slugs:
        if slug not in known:
            raise UnknownOrganizationError(slug)
    return list(known.values())


def _slugs_of(admin_url: str, ids: Sequence[UUID]) -> Mapping[UUID, str]:
    with create_admin_engine(admin_url).begin() as connection:
        rows = connection.execute(
            text("SELECT id, slug FROM platform.organizations WHERE id = ANY(:ids)"),
            {"ids": list(ids)},
        ).all()
    return {row.id: row.slug for row in rows}
