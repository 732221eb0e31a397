"""What PostgreSQL's catalog says about a schema, as comparable lines: the proof against drift."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, text

from tenants import names

EVERYTHING = frozenset(
    (*("relation", "column", "constraint", "index"), *("grant", "policy", "trigger", "function"))
)
"""Kinds of lines."""

ENTER = text("SELECT set_config('search_path', :path, true)")
# Positions of columns are left out: a migration appends what the models declare in between.
# NOT NULL is told by the column; PostgreSQL 18 has constraints for it too.
DESCRIBE = text("""
    WITH relation AS (
        SELECT c.oid, c.relname, c.relkind, c.relrowsecurity, c.relforcerowsecurity, c.relacl
          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = :schema AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    )
    SELECT 'relation' AS kind, r.relname AS relation, '' AS name,
           concat_ws(' ', r.relkind, 'rls', r.relrowsecurity, r.relforcerowsecurity) AS definition
      FROM relation r
    UNION ALL
    SELECT 'column', r.relname, a.attname,
           concat_ws(' ', format_type(a.atttypid, a.atttypmod),
                     CASE WHEN a.attnotnull THEN 'NOT NULL' END,
                     'DEFAULT ' || pg_get_expr(d.adbin, d.adrelid),
                     'IDENTITY ' || nullif(a.attidentity::text, ''),
                     'GENERATED ' || nullif(a.attgenerated::text, ''),
                     'COLLATE ' || nullif(a.attcollation, t.typcollation)::regcollation::text)
      FROM relation r
      JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
      JOIN pg_type t ON t.oid = a.atttypid
      LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
     WHERE r.relkind <> 'S'
    UNION ALL
    SELECT 'constraint', r.relname, k.conname,
           concat_ws(' ', pg_get_constraintdef(k.oid, true), 'valid', k.convalidated)
      FROM relation r JOIN pg_constraint k ON k.conrelid = r.oid
     WHERE k.contype <> 'n'
    UNION ALL
    SELECT 'index', r.relname, c.relname,
           concat_ws(' ', pg_get_indexdef(i.indexrelid, 0, true), 'valid', i.indisvalid)
      FROM relation r
      JOIN pg_index i ON i.indrelid = r.oid
      JOIN pg_class c ON c.oid = i.indexrelid
    UNION ALL
    SELECT 'grant', r.relname, coalesce(g.column_name, ''),
           concat_ws(' ', CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(g.grantee) END,
                     g.privilege_type, g.is_grantable)
      FROM relation r
      JOIN LATERAL (
               SELECT NULL::name AS column_name, x.grantee, x.privilege_type, x.is_grantable
                 FROM aclexplode(r.relacl) x
               UNION ALL
               SELECT a.attname, x.grantee, x.privilege_type, x.is_grantable
                 FROM pg_attribute a, aclexplode(a.attacl) x
                WHERE a.attrelid = r.oid
           ) g ON true
    UNION ALL
    SELECT 'policy', r.relname, p.polname,
           concat_ws(' ', p.polcmd, p.polpermissive, p.polroles::regrole[]::text,
                     pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
      FROM relation r JOIN pg_policy p ON p.polrelid = r.oid
    UNION ALL
    SELECT 'trigger', r.relname, t.tgname, pg_get_triggerdef(t.oid, true)
      FROM relation r JOIN pg_trigger t ON t.tgrelid = r.oid AND NOT t.tgisinternal
    UNION ALL
    SELECT 'function', '', f.proname, pg_get_function_identity_arguments(f.oid)
      FROM pg_proc f JOIN pg_namespace n ON n.oid = f.pronamespace
     WHERE n.nspname = :schema
""")


def describe(
    connection: Connection,
    schema: str,
    *,
    role: str | None = None,
    kinds: Iterable[str] = EVERYTHING,
    without: Iterable[str] = (),
) -> frozenset[str]:
    """Describe a schema so that two with the same tables read the same.

    Args:
        connection: as the schema's owner; its transaction's search_path is changed.
        schema: to describe.
        role: the organization's role, written as `organization` in what is returned.
        kinds: what to describe, of EVERYTHING.
        without: tables to leave out.

    Returns:
        One line for each relation, column, constraint, index, grant and so on.
    """
    # Names that the path finds are written without their schema.
    connection.execute(ENTER, {"path": names.search_path(schema)})
    wanted, left_out = set(kinds), set(without)
    lines = []
    for row in connection.execute(DESCRIBE, {"schema": schema}):
        if row.kind in wanted and row.relation not in left_out:
            where = ".".join(part for part in (row.relation, row.name) if part)
            lines.append(f"{row.kind} {where}: {row.definition}")
    if role is not None:
        lines = [line.replace(role, "organization") for line in lines]
    return frozenset(lines)


def differences(one: frozenset[str], other: frozenset[str]) -> tuple[list[str], list[str]]:
    """Return the lines that only the first has, and those that only the second has."""
    return sorted(one - other), sorted(other - one)
