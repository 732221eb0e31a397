"""Tenant DDL: the end state rendered from the models, and each migration rendered once.

Alembic never runs against an organization's schema. Its revisions are rendered to SQL once and
executed per schema; new organizations get the end state in one script. `lms check` proves that
both lead to the same catalog.
"""

from __future__ import annotations

import io
from functools import lru_cache
from pathlib import Path

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from tenants import names
from tenants.base import DEFAULT_TENANT_GRANTS

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"
END_STATE = MIGRATIONS / "tenant" / "end_state.sql"
ROLE_PLACEHOLDER = "__organization_role__"
"""Stands for the organization's role in rendered SQL; replaced by its quoted name."""


def render_end_state(metadata: MetaData) -> str:
    """Render every tenant table, index and grant, parents before children.

    Args:
        metadata: `TenantBase.metadata` with all models imported.

    Returns:
        A script of unqualified names, to be run with search_path set to one schema.
    """
    dialect = postgresql.dialect()
    statements: list[str] = []
    for table in metadata.sorted_tables:
        statements.append(str(CreateTable(table).compile(dialect=dialect)).strip())
        indexes = sorted(table.indexes, key=lambda index: str(index.name))
        statements += [str(CreateIndex(index).compile(dialect=dialect)) for index in indexes]
        statements.append(grant_statement(table.name, grants_of(table)))
    return ";\n\n".join(statements) + ";\n"


def grants_of(table: Table) -> str:
    """Return an organization's grants on a tenant table, `SELECT, INSERT` for example."""
    return table.info.get("grants", DEFAULT_TENANT_GRANTS)


def grant_statement(table: str, grants: str) -> str:
    """Return the GRANT of one table to the organization's role, for migrations to use too."""
    return f"GRANT {grants} ON {names.quote(table)} TO {ROLE_PLACEHOLDER}"


def for_organization(script: str, role: str) -> str:
    """Put an organization's role into a rendered script."""
    return script.replace(ROLE_PLACEHOLDER, names.quote(role))


def end_state() -> str:
    """Return the committed end state (`migrations/tenant/end_state.sql`)."""
    return END_STATE.read_text(encoding="utf-8")


def tenant_scripts() -> ScriptDirectory:
    """Return the tenant history."""
    return ScriptDirectory(str(MIGRATIONS / "tenant"))


@lru_cache(maxsize=1)
def tenant_revisions() -> tuple[str, ...]:
    """Return the tenant history's revisions, oldest first."""
    walk = tenant_scripts().walk_revisions()
    return tuple(revision.revision for revision in reversed(list(walk)))


def head_revision() -> str:
    """Return the newest tenant revision."""
    return tenant_revisions()[-1]


def served_revisions() -> frozenset[str]:
    """Return the revisions this code can serve: the newest and the one before (expand/contract).

    A migration whose tables the code cannot do without says `serves_previous = False`: then it is
    the newest alone, and an organization answers 503 for the seconds until it is migrated.
    """
    head = tenant_scripts().get_revision(head_revision())
    serves_previous = head is None or getattr(head.module, "serves_previous", True)
    return frozenset(tenant_revisions()[-2:] if serves_previous else [head_revision()])


@lru_cache(maxsize=64)
def render_revision(revision: str) -> str:
    """Render one tenant migration to SQL.

    Args:
        revision: an identifier of the tenant history.

    Returns:
        A script of unqualified names with the role's placeholder.
    """
    script = tenant_scripts().get_revision(revision)
    if script is None:
        raise LookupError(f"no tenant migration {revision}")
    buffer = io.StringIO()
    context = MigrationContext.configure(
        dialect_name="postgresql",
        opts={"as_sql": True, "output_buffer": buffer, "literal_binds": True},
    )
    with Operations.context(context):
        script.module.upgrade()
    return buffer.getvalue()
