"""An organization's schema and role: built, entered, dropped, in the transaction of the caller."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Connection

from tenants import ddl, names, roles


def build(connection: Connection, organization_id: UUID, login_role: str) -> None:
    """Make an organization's role, and its schema with every table and grant.

    Args:
        connection: the owner's.
        organization_id: gives both their name.
        login_role: the restricted role that serves requests.
    """
    schema, role = names.schema_name(organization_id), names.role_name(organization_id)
    roles.create_organization_role(connection, role, login_role)
    roles.execute_script(
        connection,
        f"CREATE SCHEMA {names.quote(schema)};"
        f"GRANT USAGE ON SCHEMA {names.quote(schema)} TO {names.quote(role)};"
        f"SET LOCAL search_path TO {names.search_path(schema)};"
        + ddl.for_organization(ddl.end_state(), role),
    )


def enter(connection: Connection, organization_id: UUID) -> None:
    """Let the rest of the transaction find the tables of one organization."""
    path = names.search_path(names.schema_name(organization_id))
    roles.execute_script(connection, f"SET LOCAL search_path TO {path}")


def drop(connection: Connection, organization_id: UUID) -> None:
    """Remove a schema with everything in it, and its role, as far as they are there.

    Args:
        connection: the owner's.
        organization_id: whom both are named for.
    """
    schema, role = names.schema_name(organization_id), names.role_name(organization_id)
    roles.execute_script(
        connection,
        f"DROP SCHEMA IF EXISTS {names.quote(schema)} CASCADE;"
        f"DROP ROLE IF EXISTS {names.quote(role)}",
    )
