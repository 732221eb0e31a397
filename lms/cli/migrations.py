"""`lms migrate` and `lms schema`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from sqlalchemy import text

from lms.cli.group import address, main
from lms.models import TENANT_TABLES
from lms.platform.errors import UnknownOrganizationError
from tenants import ddl, migrator
from tenants.migrator import Report
from tenants.session import create_admin_engine


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


@main.group()
def schema() -> None:
    """The tables that every organization has."""


@schema.command()
def render() -> None:
    """Write migrations/tenant/end_state.sql anew from the models.

    New organizations are made from this file. Run it after every change of a tenant model, together
    with a migration for the organizations that exist; `lms check` compares the two.
    """
    ddl.END_STATE.write_text(ddl.render_end_state(TENANT_TABLES), encoding="utf-8")
    click.echo(f"Wrote {len(TENANT_TABLES.tables)} tables to {ddl.END_STATE}.")


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
