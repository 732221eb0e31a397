"""The group that all commands hang in, and what they share: addresses, and errors in one line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import click
import psycopg
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.orm import Session

from lms.config import ConfigurationError
from lms.core.errors import DomainError
from lms.embedded.process import EmbeddedError
from tenants import ddl
from tenants.errors import InvalidSlugError, SlugTakenError, TenancyError
from tenants.session import PLATFORM, Database

NOT_MIGRATED = (
    psycopg.errors.UndefinedTable,
    psycopg.errors.InvalidSchemaName,
    psycopg.errors.UndefinedObject,
    psycopg.errors.InvalidParameterValue,
)
"""What a database says whose shared tables or roles were never made."""


COMMANDS = {
    "check": "lms.cli.check",
    "dispatcher": "lms.cli.processes",
    "jobs": "lms.cli.jobs",
    "learning": "lms.cli.learning",
    "media": "lms.cli.media",
    "migrate": "lms.cli.migrations",
    "openapi": "lms.cli.openapi",
    "organizations": "lms.cli.organizations",
    "payments": "lms.cli.payments",
    "platform": "lms.cli.platform",
    "schema": "lms.cli.rendering",
    "up": "lms.up",
    "worker": "lms.cli.processes",
}
"""Where each command is. Loaded when asked for: the application alone takes a second."""


EXPECTED: tuple[type[Exception], ...] = (
    *(ConfigurationError, EmbeddedError, DomainError, TenancyError),
    *(DBAPIError, ArgumentError),
)
"""Errors that are told in one line."""


class PlainGroup(click.Group):
    """Loads commands late, and turns expected errors into one line and exit status 1."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of all commands."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Load and return a command; None when there is none of this name."""
        if cmd_name not in COMMANDS:
            return None
        return getattr(import_module(COMMANDS[cmd_name]), cmd_name)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command.

        Raises:
            click.ClickException: in place of every expected error.
        """
        try:
            return super().invoke(ctx)
        except EXPECTED as error:
            raise click.ClickException(in_one_line(error)) from error


def in_one_line(error: BaseException) -> str:
    """Say what an expected error means, and what to do next where that is known."""
    if isinstance(error, DomainError):
        return error.detail
    if isinstance(error, SlugTakenError):
        return f"Another organization has the slug {str(error)!r}; choose another one."
    if isinstance(error, InvalidSlugError):
        return str(error)
    if isinstance(error, ArgumentError):
        return (
            "DATABASE_URL and DATABASE_ADMIN_URL have the form"
            " postgresql+psycopg://user:password@host:5432/database."
        )
    cause = error if isinstance(error, DBAPIError) else error.__cause__
    if isinstance(cause, DBAPIError):
        return _of_database(cause)
    return _first_line(error)


def _of_database(error: DBAPIError) -> str:
    said = _first_line(error.orig or error)
    if isinstance(error.orig, NOT_MIGRATED):
        return f"The database is not prepared ({said}). Run `lms migrate` first."
    if getattr(error.orig, "sqlstate", None) is None:
        return f"PostgreSQL does not let us in: {said}. Check that it runs and the address in use."
    return f"PostgreSQL refused: {said}."


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


@click.group(cls=PlainGroup, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Run and look after an installation.

    Commands take their settings from the environment; README lists them. Most need DATABASE_URL,
    those that make or change schemas DATABASE_ADMIN_URL as well.
    """


def address(name: str) -> str:
    """Return one address from the environment; a command asks only for those that it needs.

    Args:
        name: `DATABASE_URL` or `DATABASE_ADMIN_URL`.

    Raises:
        ConfigurationError: it is not set.
    """
    value = os.environ.get(name)
    if not value:
        raise ConfigurationError(
            f"{name} is not set. Set it to the address of the database, for example"
            " postgresql+psycopg://user:password@host:5432/database."
        )
    return value


@contextmanager
def platform_session() -> Iterator[Session]:
    """Open one transaction over the shared tables, as the platform's own role.

    Raises:
        ConfigurationError: DATABASE_URL is not set.
        DatabaseUnavailableError: the database does not answer.
    """
    database = Database(
        address("DATABASE_URL"), served_revisions=ddl.served_revisions(), pool_size=1
    )
    try:
        with database.transaction(PLATFORM) as session:
            yield session
    finally:
        database.dispose()
