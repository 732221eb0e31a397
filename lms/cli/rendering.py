"""`lms schema`: the tables that every organization has, as the models say."""

from __future__ import annotations

import click

from lms.cli.group import main
from lms.models import TENANT_TABLES
from tenants import ddl


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
