"""`lms payments`: looking after organizations' accounts at payment providers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from sqlalchemy import text

from lms.cli.group import address, in_one_line, main
from lms.config import ConfigurationError, are_secrets_keys
from lms.core.encryption import SecretBox, UnreadableSecretError
from lms.payments.accounts import re_encrypt
from tenants import ddl
from tenants.errors import TenancyError
from tenants.session import PLATFORM, STILL_SETTLING, Database, OrganizationScope

ALL = text("""
    SELECT id, slug FROM platform.organizations WHERE state = ANY(:states) ORDER BY slug
""")


@main.group()
def payments() -> None:
    """Look after organizations' accounts at payment providers."""


@payments.command("rotate-keys", short_help="Encrypt all secrets under the newest key.")
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
    with _database() as database:
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


@contextmanager
def _database() -> Iterator[Database]:
    database = Database(
        address("DATABASE_URL"), served_revisions=ddl.served_revisions(), pool_size=1
    )
    try:
        yield database
    finally:
        database.dispose()


def _organizations(database: Database) -> list[tuple[UUID, str]]:
    with database.transaction(PLATFORM) as session:
        rows = session.execute(ALL, {"states": sorted(STILL_SETTLING)}).all()
    return [(row.id, row.slug) for row in rows]
