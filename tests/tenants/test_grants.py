"""Who may do what, as PostgreSQL's catalog says it: separation is grants, table by table."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Engine, text

from lms.models import TENANT_TABLES
from tenants import catalog, ddl, names

EVERYTHING = ("SELECT", "INSERT", "UPDATE", "DELETE")
PLATFORMS_GRANTS = {
    "admin_sessions": EVERYTHING,
    "admins": EVERYTHING,
    "audit_events": ("SELECT", "INSERT"),
    "cpu_usage": EVERYTHING,
    "organization_domains": EVERYTHING,
    "organizations": EVERYTHING,
    "transcoding_settings": EVERYTHING,
    "work": EVERYTHING,
}
OF_ORGANIZATIONS = ("cpu_usage", "transcoding_settings", "work")
"""Shared tables in which an organization's role reaches its own rows."""
LOGIN_ROLE_READS = {
    "alembic_version": ("version_num",),
    "organization_domains": ("host", "organization_id", "verified_at"),
    "organizations": (
        *("currency", "id", "locale", "name", "revision", "settings", "slug", "state", "time_zone"),
    ),
}
OWN_ROWS = "(CURRENT_USER = ('o_'::text || replace((organization_id)::text, '-'::text, ''::text)))"


def granted(admin: Engine, schema: str, *, role: str | None = None) -> frozenset[str]:
    """Describe grants, policies and row-level security, without what the owner has anyway."""
    with admin.connect() as connection:
        owner = connection.execute(text("SELECT current_user")).scalar_one()
        kinds = ("grant", "policy", "relation")
        lines = catalog.describe(connection, schema, role=role, kinds=kinds)
    return frozenset(
        line for line in lines if not (line.startswith("grant ") and f": {owner} " in line)
    )


def test_the_shared_tables_are_granted_to_whom_they_are_meant_for_and_nobody_else(
    admin_engine: Engine,
) -> None:
    assert granted(admin_engine, names.PLATFORM_SCHEMA) == {
        *(
            f"relation {table}: r rls {'t f' if table in OF_ORGANIZATIONS else 'f f'}"
            for table in (*PLATFORMS_GRANTS, "alembic_version", "spare_schemas")
        ),
        *(
            f"grant {table}: platform {privilege} f"
            for table, privileges in PLATFORMS_GRANTS.items()
            for privilege in privileges
        ),
        *(
            f"grant {table}.{column}: app SELECT f"
            for table, columns in LOGIN_ROLE_READS.items()
            for column in columns
        ),
        *(
            f"grant {table}: tenants {privilege} f"
            for table in OF_ORGANIZATIONS
            for privilege in ("SELECT", "INSERT", "UPDATE")
        ),
        *(f"policy {table}.everything: * t {{platform}} true" for table in OF_ORGANIZATIONS),
        *(f"policy {table}.own_rows: * t {{tenants}} {OWN_ROWS}" for table in OF_ORGANIZATIONS),
    }


def test_an_organizations_tables_are_granted_to_its_role_alone_and_as_declared(
    admin_engine: Engine, acme: UUID
) -> None:
    role = names.role_name(acme)
    assert granted(admin_engine, names.schema_name(acme), role=role) == {
        *(f"relation {table}: r rls f f" for table in TENANT_TABLES.tables),
        *(
            f"grant {table.name}: organization {privilege} f"
            for table in TENANT_TABLES.tables.values()
            for privilege in ddl.grants_of(table).split(", ")
        ),
    }


def test_a_schema_is_open_to_those_who_have_tables_in_it_and_nobody_makes_any(
    admin_engine: Engine, acme: UUID
) -> None:
    query = text("""
        SELECT n.nspname, CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE x.grantee::regrole::text END,
               x.privilege_type
          FROM pg_namespace n, aclexplode(n.nspacl) x
         WHERE n.nspname IN ('public', 'platform', :schema) AND x.grantee <> n.nspowner
    """)
    schema = names.schema_name(acme)
    with admin_engine.connect() as connection:
        found = {tuple(row) for row in connection.execute(query, {"schema": schema})}
    assert found == {
        *(("platform", role, "USAGE") for role in ("platform", "tenants", "app")),
        (schema, names.role_name(acme), "USAGE"),
    }
