"""The database as commands use it that visit every organization once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lms.cli.group import address
from tenants import ddl
from tenants.session import Database


@contextmanager
def serving_database() -> Iterator[Database]:
    """Open DATABASE_URL with one connection; nothing is worth preparing for a single use."""
    database = Database(
        address("DATABASE_URL"),
        served_revisions=ddl.served_revisions(),
        pool_size=1,
        prepared_statements=False,
    )
    try:
        yield database
    finally:
        database.dispose()
