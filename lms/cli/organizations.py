"""`lms organizations`: what the platform's API does, for those who sit at the machine."""

from __future__ import annotations

import click

from lms.cli.group import address, main, platform_session
from lms.cli.tables import aligned
from lms.config import MOST_SPARE_ORGANIZATIONS, SPARE_ORGANIZATIONS
from lms.core.ids import new_id
from lms.core.pagination import MAX_LIMIT
from lms.platform import operations, queries
from lms.platform.provisioning import (
    FirstAdmin,
    Owner,
    create_organization,
    invite_admin,
    refill_spares,
)
from lms.users.emails import normalize_email
from lms.users.invitations import IssuedInvitation
from tenants import ddl
from tenants.models import ORGANIZATION_STATES
from tenants.provisioning import NewOrganization
from tenants.session import Database


@main.group()
def organizations() -> None:
    """Create, list, suspend and resume organizations, and invite their admins."""


@organizations.command("list")
@click.option("--state", type=click.Choice(ORGANIZATION_STATES), help="Only in this state.")
def list_(state: str | None) -> None:
    """List organizations, oldest first."""
    rows = [("SLUG", "STATE", "REVISION", "CURRENCY", "CREATED", "ID", "NAME")]
    cursor = None
    with platform_session() as session:
        while True:
            page = queries.list_organizations(session, state=state, limit=MAX_LIMIT, cursor=cursor)
            for one in page.items:
                created = f"{one.created_at:%Y-%m-%d}"
                about = (one.slug, one.state, one.revision, one.currency, created)
                rows.append((*about, str(one.id), one.name))
            cursor = page.next_cursor
            if cursor is None:
                break
    for line in aligned(rows):
        click.echo(line)


@organizations.command()
@click.argument("slug")
@click.option("--name", required=True, help="As people write it.")
@click.option("--admin-email", required=True, help="Address of the first admin.")
@click.option("--admin-name", required=True, help="Name of the first admin.")
@click.option("--currency", default="EUR", show_default=True, help="ISO 4217 code.")
@click.option("--time-zone", default="UTC", show_default=True, help="IANA name.")
@click.option("--locale", default="en", show_default=True, help="BCP 47 tag.")
@click.option(
    "--spares",
    envvar="SPARE_ORGANIZATIONS",
    type=click.IntRange(0, MOST_SPARE_ORGANIZATIONS),
    default=SPARE_ORGANIZATIONS,
    show_default=True,
    help="How many schemas to keep ready for the next ones.",
)
def create(slug: str, *, admin_email: str, admin_name: str, spares: int, **about: str) -> None:
    """Create an organization on the host SLUG below the base domain.

    It is ready when this returns. Prints the token with which the first admin joins; it is stored
    nowhere, so it cannot be shown again.
    """
    owner = Owner(address("DATABASE_ADMIN_URL"), address("DATABASE_URL"))
    made = create_organization(
        owner,
        NewOrganization(new_id(), slug, **about),
        FirstAdmin(normalize_email(admin_email), admin_name),
        actor_id=None,
    )
    click.echo(f"Created {slug}. Its first admin joins with POST /api/v1/auth/invitations/accept:")
    _show(made.invitation)
    if not refill_spares(owner, spares):
        click.echo("No schemas were built ahead; the next organization takes a moment.", err=True)


@organizations.command("invite-admin", short_help="Invite an admin of an organization.")
@click.argument("slug")
@click.option("--email", required=True, help="Address of the admin.")
@click.option("--name", required=True, help="Name of the admin.")
def invite_admin_(slug: str, *, email: str, name: str) -> None:
    """Invite an admin: the first one again, when the invitation expired or was lost, or another.

    Prints the token with which they join; older invitations of theirs stop working. It is stored
    nowhere, so it cannot be shown again. Who has joined already is not invited.
    """
    admin = FirstAdmin(normalize_email(email), name)
    database = Database(
        address("DATABASE_URL"), served_revisions=ddl.served_revisions(), pool_size=1
    )
    try:
        invitation = invite_admin(database, slug, admin, actor_id=None)
    finally:
        database.dispose()
    click.echo(f"Invited an admin of {slug}, who joins with POST /api/v1/auth/invitations/accept:")
    _show(invitation)


@organizations.command(short_help="Suspend an organization.")
@click.argument("slug")
@click.option("--reason", required=True, help="Kept with the organization.")
def suspend(slug: str, reason: str) -> None:
    """Suspend an organization: its host answers 404 at once, its data stays."""
    with platform_session() as session:
        found = queries.find_organization(session, slug)
        operations.suspend_organization(session, None, found.id, reason=reason)
    click.echo(f"{slug} is suspended. `lms organizations resume {slug}` takes it back.")


@organizations.command()
@click.argument("slug")
def resume(slug: str) -> None:
    """Take a suspension back."""
    with platform_session() as session:
        found = queries.find_organization(session, slug)
        operations.resume_organization(session, None, found.id)
    click.echo(f"{slug} is active.")


def _show(invitation: IssuedInvitation) -> None:
    click.echo(f"  token    {invitation.token}")
    click.echo(f"  expires  {invitation.expires_at:%Y-%m-%d %H:%M} UTC")
