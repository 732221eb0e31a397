"""Spare schemas: built ahead, so that a new organization takes milliseconds instead of its DDL.

A spare is a schema with role, tables and grants, under an id that becomes its organization's.
Nothing is renamed, so nobody who reads the catalog meanwhile (pg_dump) loses sight of it. Who
provisions takes one in its own transaction; a failure or a kill at any moment gives it back. Only
whole ones of the newest revision and the same login role are taken.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Connection, Engine, text
from uuid_utils.compat import uuid7

from tenants import ddl, roles, schemas

# Whoever restores a dump may find the row without the role, or the other way round.
FIT = """
    s.revision = :revision AND s.login_role = :login_role
    AND to_regnamespace('o_' || replace(s.id::text, '-', '')) IS NOT NULL
    AND to_regrole('o_' || replace(s.id::text, '-', '')) IS NOT NULL
"""
FIRST = """
    DELETE FROM platform.spare_schemas
     WHERE id = (SELECT s.id FROM platform.spare_schemas s
                  WHERE {fit} ORDER BY s.id LIMIT 1 FOR UPDATE SKIP LOCKED)
 RETURNING id
"""
ALL = "SELECT count(*) FROM platform.spare_schemas s WHERE {fit}"
TAKE, COUNT = (text(statement.format(fit=FIT)) for statement in (FIRST, ALL))
TAKE_STALE = text(FIRST.format(fit="s.revision = ANY(:revisions)"))
INSERT = text("""
    INSERT INTO platform.spare_schemas (id, revision, login_role)
    VALUES (:id, :revision, :login_role)
""")
TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(7281002)")


def claim(connection: Connection, login_role: str) -> UUID | None:
    """Take a spare for an organization.

    Args:
        connection: the owner's; the spare is back when its transaction rolls back.
        login_role: the restricted role that serves requests.

    Returns:
        The id that the organization gets, or None when there is no spare.
    """
    values = {"revision": ddl.head_revision(), "login_role": login_role}
    return connection.execute(TAKE, values).scalar()


def refill(admin: Engine, *, login_role: str, wanted: int) -> int:
    """Build spares of the newest revision up to `wanted`, once half of them are gone.

    All in one transaction, because every connection reads role memberships anew after each. While
    somebody else refills, nothing is done.

    Args:
        admin: engine of the schemas' owner.
        login_role: the restricted role that serves requests.
        wanted: how many are to stand ready.

    Returns:
        How many were built.

    Raises:
        sqlalchemy.exc.DBAPIError: the database cannot be reached.
        psycopg.Error: a lock did not come (`roles.limit_lock_waits`), or a statement failed.
    """
    values = {"revision": ddl.head_revision(), "login_role": login_role}
    with admin.begin() as connection:
        roles.limit_lock_waits(connection)
        if not connection.execute(TRY_LOCK).scalar():
            return 0
        ready = connection.execute(COUNT, values).scalar_one()
        missing = wanted - ready if ready <= wanted // 2 else 0
        for _ in range(missing):
            spare = uuid7()
            schemas.build(connection, spare, login_role)
            connection.execute(INSERT, {**values, "id": spare})
    return missing


def discard_stale(admin: Engine) -> int:
    """Remove the spares of older revisions, each in a transaction; newer code's stay.

    Args:
        admin: engine of the schemas' owner.

    Returns:
        How many were removed.

    Raises:
        sqlalchemy.exc.DBAPIError: the database cannot be reached.
        psycopg.Error: a lock did not come (`roles.limit_lock_waits`), or a statement failed.
    """
    removed = 0
    while _discard_one(admin):
        removed += 1
    return removed


def _discard_one(admin: Engine) -> bool:
    with admin.begin() as connection:
        roles.limit_lock_waits(connection)
        values = {"revisions": list(ddl.tenant_revisions()[:-1])}
        stale = connection.execute(TAKE_STALE, values).scalar()
        if stale is None:
            return False
        schemas.drop(connection, stale)
    return True
