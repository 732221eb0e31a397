"""Names of schemas and roles, and the one place where SQL identifiers are quoted.

An organization's schema and its PostgreSQL role carry the same opaque name, made from the
organization's id and never from its slug, so renaming an organization moves no data.
"""

from __future__ import annotations

from uuid import UUID

PLATFORM_SCHEMA = "platform"
"""Schema of what organizations share: the organizations themselves, work, audit events."""

PLATFORM_ROLE = "platform"
"""Role under which the platform's own API, the dispatcher and sweeps run."""

TENANTS_ROLE = "tenants"
"""Group role through which every organization's role reaches shared tables (row-level security).

Shared objects are never granted to an organization's own role: an object's ACL is one catalog row
without TOAST and fails at about 2,100 grantees.
"""


def schema_name(organization_id: UUID) -> str:
    """Return the schema of an organization, `o_` and its id in hex (34 characters)."""
    return f"o_{organization_id.hex}"


def role_name(organization_id: UUID) -> str:
    """Return the PostgreSQL role of an organization; the same text as its schema."""
    return schema_name(organization_id)


def search_path(schema: str) -> str:
    """Return the search_path that finds a schema's tables.

    PostgreSQL looks into `pg_temp` first unless the path names it: there a temporary table, which
    outlives a transaction, would stand before the next borrower's own.
    """
    return f"{quote(schema)}, pg_temp"


def quote(identifier: str) -> str:
    """Quote an SQL identifier.

    Args:
        identifier: a schema, role, table or database name; at most 63 bytes, without NUL.

    Returns:
        The name in double quotes, inner quotes doubled (PostgreSQL manual, 4.1.1).

    Raises:
        ValueError: when PostgreSQL could not hold the name.
    """
    if not identifier or "\0" in identifier or len(identifier.encode()) > 63:
        raise ValueError(f"not a PostgreSQL identifier: {identifier!r}")
    return '"' + identifier.replace('"', '""') + '"'
