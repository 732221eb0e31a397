"""An organization's schema and role: built, renamed, dropped, in the transaction of the caller."""

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


def rename(connection: Connection, present: UUID, wanted: UUID) -> None:
    """Give a schema and its role to another organization, and enter it; tables are not touched.

    Args:
        connection: the owner's.
        present: the organization that both are named for.
        wanted: the one that they are for from now on.
    """
    schema = names.schema_name(wanted)
    roles.execute_script(
        connection,
        f"ALTER SCHEMA {names.quote(names.schema_name(present))} RENAME TO {names.quote(schema)};"
        f"ALTER ROLE {names.quote(names.role_name(present))}"
        f" RENAME TO {names.quote(names.role_name(wanted))};"
        f"SET LOCAL search_path TO {names.search_path(schema)}",
    )


def drop(connection: Connection, organization_id: UUID) -> None:
    """Remove a schema with everything in it, and its role.

    Args:
        connection: the owner's.
        organization_id: whom both are named for.
    """
    schema, role = names.schema_name(organization_id), names.role_name(organization_id)
    roles.execute_script(
        connection,
        f"DROP SCHEMA {names.quote(schema)} CASCADE; DROP ROLE {names.quote(role)}",
    )
