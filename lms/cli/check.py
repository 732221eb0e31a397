"""`lms check`: what is committed agrees with what the code says."""

from __future__ import annotations

import click

from lms.cli.group import main
from lms.cli.openapi import DocumentError, path_of, render_documents
from lms.cli.schemas import compare_histories
from lms.models import TENANT_TABLES
from tenants import ddl


@main.command(short_help="Check that models, migrations and documents agree.")
def check() -> None:
    """Compare models, migrations, rendered schema and OpenAPI documents.

    Uses an embedded PostgreSQL, or scratch databases on the server that DATABASE_ADMIN_URL names.
    Prints each difference; the exit status is then 1.
    """
    found: list[str] = []
    for title, compare in (
        ("migrations/tenant/end_state.sql is what the models say", compare_end_state),
        ("migrations, models and end state make the same tables", compare_histories),
        ("docs/openapi-*.json are what the app says", compare_documents),
    ):
        differences = compare()
        verdict = "FAIL" if differences else "ok  "
        click.echo(f"{verdict}  {title}", err=bool(differences))
        for difference in differences:
            click.echo(f"      {difference}", err=True)
        found += differences
    if found:
        raise click.ClickException(f"{len(found)} differences; see above.")


def compare_end_state() -> list[str]:
    """Compare the committed end state with the models."""
    if ddl.END_STATE.exists() and ddl.end_state() == ddl.render_end_state(TENANT_TABLES):
        return []
    return ["It differs. Run `lms schema render`, and write a migration for the change."]


def compare_documents() -> list[str]:
    """Compare the committed OpenAPI documents with the app's."""
    try:
        documents = render_documents()
    except DocumentError as error:
        return [error.message]
    return [
        f"{path_of(side)} differs. Run `lms openapi --write`, and read the change of contract."
        for side, document in documents.items()
        if not path_of(side).exists() or path_of(side).read_text(encoding="utf-8") != document
    ]
