"""Copies of one academy in other organizations: the same rows under ids of their own.

An id's copy differs in its last four hexadecimal digits, wherever it stands: in columns, inside the
frozen outlines and rules, in storage keys. So nothing that is remembered by id in one organization
can pass for another's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from uuid import UUID

import psycopg
from sqlalchemy import Connection

from lms.models import TENANT_TABLES
from tenants import names

MARK = "~{#}~"
"""Stands for the four digits in the rows to copy."""

# UUIDs, and SHA-256 sums in hex (a copy's are not those of its content, but its own).
IDENTIFIER = re.compile(
    r"\b([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{8}|[0-9a-f]{60})[0-9a-f]{4}\b"
)


@dataclass(frozen=True, slots=True)
class Rows:
    """All rows of an organization in COPY's text format, with marks in their ids, by table."""

    tables: dict[str, str]


def renumber(identifier: str, number: int) -> str:
    """Return what an id is called in the copy of a number (0 to 65,535)."""
    return f"{identifier[:-4]}{number:04x}"


def read_rows(connection: Connection, organization_id: UUID) -> Rows:
    """Read an organization's rows.

    Args:
        connection: as the schemas' owner.
        organization_id: whose.

    Raises:
        ValueError: two ids differ in their last four digits only.
    """
    tables: dict[str, str] = {}
    seen: dict[str, str] = {}
    for table in TENANT_TABLES.sorted_tables:
        whole = _copy_out(connection, _place(organization_id, table.name))
        if not whole:
            continue
        for found in IDENTIFIER.finditer(whole):
            if seen.setdefault(found[1], found[0]) != found[0]:
                raise ValueError(f"{found[0]} and {seen[found[1]]} would have the same copy")
        tables[table.name] = IDENTIFIER.sub(rf"\g<1>{MARK}", whole)
    return Rows(tables)


def write_rows(connection: Connection, organization_id: UUID, rows: Rows, number: int) -> None:
    """Write a copy into an empty organization.

    Args:
        connection: as a superuser; foreign keys are not checked again, the rows have passed once.
        organization_id: where to.
        rows: of `read_rows`.
        number: of the copy; makes its ids.
    """
    driver = _driver(connection)
    driver.execute("SET LOCAL session_replication_role = replica")
    digits = f"{number:04x}"
    for table, text in rows.tables.items():
        with driver.cursor().copy(_statement("FROM STDIN", _place(organization_id, table))) as copy:
            copy.write(text.replace(MARK, digits))
    driver.execute("SET LOCAL session_replication_role = origin")


def _copy_out(connection: Connection, place: str) -> str:
    with _driver(connection).cursor().copy(_statement("TO STDOUT", place)) as copy:
        return b"".join(bytes(part) for part in copy).decode()


def _statement(direction: str, place: str) -> bytes:
    return f"COPY {place} {direction}".encode()


def _place(organization_id: UUID, table: str) -> str:
    return f"{names.quote(names.schema_name(organization_id))}.{names.quote(table)}"


def _driver(connection: Connection) -> psycopg.Connection[object]:
    driver = connection.connection.driver_connection
    if not isinstance(driver, psycopg.Connection):
        raise TypeError("this needs psycopg")
    return driver
