"""`lms payments rotate-keys`: secrets of organizations' accounts under the newest key."""

from __future__ import annotations

import os
from uuid import UUID

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from sqlalchemy import text

from lms.cli.databases import serving_database
from lms.cli.group import in_one_line
from lms.config import ConfigurationError, are_secrets_keys
from lms.core.encryption import SecretBox, UnreadableSecretError
from lms.payments.accounts import re_encrypt
from tenants.errors import TenancyError
from tenants.session import PLATFORM, STILL_SETTLING, Database, OrganizationScope

ALL = text("""
    SELECT id, slug FROM platform.organizations WHERE state = ANY(:states) ORDER BY slug
""")


@click.command("rotate-keys", short_help="Encrypt all secrets under the newest key.")
def rotate_keys() -> None:
    """Encrypt all organizations' secrets anew under the newest of SECRETS_KEYS.

    To change the key: put a new one in front of SECRETS_KEYS, restart all processes, run this, then
    take the old one out. Safe to repeat: what is under the newest key stays as it is, so a killed
    run goes on where it was. One organization that fails stays as it is while the others go on; the
    exit status is then 1, and the old key is needed still.
    """
    setting = os.environ.get("SECRETS_KEYS", "")
    if not setting or not are_secrets_keys(setting):
        raise ConfigurationError("SECRETS_KEYS is not set, or is no list of keys.")
    box, renewed, failed = SecretBox.from_setting(setting), 0, dict[str, str]()
    with serving_database() as database:
        organizations = _organizations(database)
        with Progress(
            TextColumn("Organizations"),
            BarColumn(),
            MofNCompleteColumn(),
            console=Console(stderr=True),
            transient=True,
        ) as progress:
            for organization_id, slug in progress.track(organizations):
                try:
                    scope = OrganizationScope(organization_id, STILL_SETTLING)
                    with database.transaction(scope) as session:
                        renewed += re_encrypt(session, box)
                except (UnreadableSecretError, TenancyError) as error:
                    failed[slug] = in_one_line(error)
    click.echo(
        f"Organizations: {len(organizations)} looked at, {renewed} accounts encrypted anew,"
        f" {len(failed)} failed."
    )
    for slug, reason in failed.items():
        click.echo(f"  {slug}: {reason}", err=True)
    if failed:
        raise click.ClickException(
            "Keep the old key in SECRETS_KEYS; repair the cause and run"
            " `lms payments rotate-keys` again."
        )


def _organizations(database: Database) -> list[tuple[UUID, str]]:
    with database.transaction(PLATFORM) as session:
        rows = session.execute(ALL, {"states": sorted(STILL_SETTLING)}).all()
    return [(row.id, row.slug) for row in rows]
