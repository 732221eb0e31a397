"""Spare schemas: built ahead, so that a new organization takes milliseconds instead of its DDL.

A spare is a schema with role, tables and grants under an id of its own. Who provisions takes one
in its own transaction and renames it, so a failure or a kill at any moment gives it back. Only
those of the newest revision are taken; without one the schema is built there and then.
"""

from __future__ import annotations

from uuid import UUID, uuid4

from sqlalchemy import Connection, Engine, text

from tenants import ddl, roles, schemas

TAKE = text("""
    DELETE FROM platform.spare_schemas
     WHERE id = (SELECT id FROM platform.spare_schemas WHERE revision = :revision
                  ORDER BY created_at, id LIMIT 1 FOR UPDATE SKIP LOCKED)
 RETURNING id
""")
TAKE_STALE = text("""
    DELETE FROM platform.spare_schemas
     WHERE id = (SELECT id FROM platform.spare_schemas WHERE revision <> :revision
                  ORDER BY created_at, id LIMIT 1 FOR UPDATE SKIP LOCKED)
 RETURNING id
""")
COUNT = text("SELECT count(*) FROM platform.spare_schemas WHERE revision = :revision")
INSERT = text("INSERT INTO platform.spare_schemas (id, revision) VALUES (:id, :revision)")


def claim(connection: Connection, organization_id: UUID) -> bool:
    """Make a spare the schema of an organization, and enter it.

    Args:
        connection: the owner's; the spare is back when its transaction rolls back.
        organization_id: whose schema it becomes.

    Returns:
        Whether there was one.
    """
    spare = connection.execute(TAKE, {"revision": ddl.head_revision()}).scalar()
    if spare is None:
        return False
    schemas.rename(connection, spare, organization_id)
    return True


def refill(admin: Engine, *, login_role: str, wanted: int) -> int:
    """Build spares of the newest revision until there are enough; each in a transaction.

    Several at once wait for each other, and build no more than that together.

    Args:
        admin: engine of the schemas' owner.
        login_role: the restricted role that serves requests.
        wanted: how many are to stand ready.

    Returns:
        How many were built.
    """
    built = 0
    while _build_one(admin, login_role, wanted):
        built += 1
    return built


def discard_stale(admin: Engine) -> int:
    """Remove the spares of other revisions, each in a transaction.

    Args:
        admin: engine of the schemas' owner.

    Returns:
        How many were removed.
    """
    removed = 0
    while _discard_one(admin):
        removed += 1
    return removed


def _build_one(admin: Engine, login_role: str, wanted: int) -> bool:
    revision = ddl.head_revision()
    with admin.begin() as connection:
        roles.serialize(connection)
        if connection.execute(COUNT, {"revision": revision}).scalar_one() >= wanted:
            return False
        spare = uuid4()  # becomes nobody's id
        schemas.build(connection, spare, login_role)
        connection.execute(INSERT, {"id": spare, "revision": revision})
    return True


def _discard_one(admin: Engine) -> bool:
    with admin.begin() as connection:
        roles.limit_lock_waits(connection)
        stale = connection.execute(TAKE_STALE, {"revision": ddl.head_revision()}).scalar()
        if stale is None:
            return False
        schemas.drop(connection, stale)
    return True
