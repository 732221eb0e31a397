"""`lms openapi`: the documents that front ends are generated from."""

from __future__ import annotations

import json
import tempfile
import warnings
from pathlib import Path
from typing import get_args

import click

from lms.app import create_app
from lms.cli.group import main
from lms.config import Settings
from lms.http.blueprint import Side
from tenants import ddl

DOCS = ddl.MIGRATIONS.parent / "docs"
SIDES: tuple[Side, ...] = get_args(Side)


class DocumentError(click.ClickException):
    """The generator is not sure, for example because two schemas have one name."""


def path_of(side: Side) -> Path:
    """Return where a side's document is committed."""
    return DOCS / f"openapi-{side}.json"


def render_documents() -> dict[Side, str]:
    """Return both documents as they are committed; nothing is connected to.

    Raises:
        DocumentError: the generator is not sure.
    """
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        settings = Settings(
            database_url="postgresql+psycopg://document@localhost/document",
            redis_url="redis://localhost",
            secret_key="-" * 32,
            storage_path=Path(folder),
        )
        try:
            app = create_app(settings)
        except UserWarning as warning:
            raise DocumentError(str(warning)) from warning
    documents = app.extensions["flask-smorest"]["apis"]
    return {
        side: json.dumps(
            documents[f"{side.upper()}_"]["ext_obj"].finished(), indent=2, ensure_ascii=False
        )
        + "\n"
        for side in SIDES
    }


@main.command(short_help="Print an OpenAPI document, or write both to docs/.")
@click.option("--side", type=click.Choice(SIDES), default="tenant", show_default=True)
@click.option("--write", is_flag=True, help="Write both documents to docs/ instead of printing.")
def openapi(side: Side, write: bool) -> None:
    """Print the OpenAPI document of organizations' hosts or of the platform host."""
    documents = render_documents()
    if not write:
        click.echo(documents[side], nl=False)
        return
    DOCS.mkdir(exist_ok=True)
    for one, document in documents.items():
        path_of(one).write_text(document, encoding="utf-8")
        click.echo(f"Wrote {path_of(one)}.")
