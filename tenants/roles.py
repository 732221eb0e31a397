"""The cluster's shared roles, and what a database needs before its first migration."""

from __future__ import annotations

from typing import Any, LiteralString

import psycopg
from psycopg import sql
from sqlalchemy import Connection, make_url

from tenants import names
from tenants.engines import create_admin_engine

TAKE_FROM_PUBLIC: LiteralString = """\
SELECT format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', oid::regprocedure)
  FROM pg_proc
 WHERE pronamespace = 'pg_catalog'::regnamespace
   AND (proname IN ('set_config', 'pg_notify', 'pg_logical_emit_message', 'loread', 'lowrite')
        OR proname ~ '^(pg_sleep|pg_.*advisory|lo_|(query|table|cursor|schema|database)_to_xml)')
   AND has_function_privilege('public', oid, 'EXECUTE')
 UNION ALL
SELECT format('REVOKE USAGE ON LANGUAGE %I FROM PUBLIC', lanname)
  FROM pg_language
 WHERE lanname = 'plpgsql' AND has_language_privilege('public', oid, 'USAGE')
"""
"""Finds what to take from PUBLIC where we are superuser: what would widen an SQL injection.

Changing the binding; locks, notices, large objects and messages that leave the organization;
waiting; running a text as a query or, with plpgsql, as a DO block.
"""

HOST_LOOKUP = {
    "organizations": (
        *("id", "slug", "name", "state", "revision"),
        *("currency", "time_zone", "locale", "settings"),
    ),
    "organization_domains": ("organization_id", "host", "verified_at"),
    "alembic_version": ("version_num",),
}
"""What binding a transaction, finding a host and the readiness check read (`tenants.session`)."""

LOGIN_SETTINGS = {
    "statement_timeout": "15s",
    "lock_timeout": "2s",
    "idle_in_transaction_session_timeout": "30s",
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
}
"""Set on the login role, so that they hold behind a pooler too.

A statement is planned once, and not five times more for its values before PostgreSQL settles on
that (its manual, `plan_cache_mode`): with thousands of organizations most uses are among those.
So write a condition that is to match a partial index as a literal, not as a parameter. Such a plan
lasts, so it must not read all of a table because that had no rows when it was made.
"""

OWNERS_LOCK_TIMEOUT = "5s"


def login_role(app_url: str) -> str:
    """Return the restricted login role that a DATABASE_URL names.

    Raises:
        ValueError: the URL names none.
    """
    name = make_url(app_url).username
    if not name:
        raise ValueError("DATABASE_URL must name the login role, e.g. postgresql+psycopg://app@...")
    return name


def prepare_database(admin_url: str, app_url: str) -> None:
    """Make the shared roles, the login role and the platform schema; safe to repeat.

    Args:
        admin_url: owner of the schemas; must be able to create roles.
        app_url: the restricted login role; its name and password are taken from here.

    Raises:
        sqlalchemy.exc.DBAPIError: when the owner lacks the privilege.
    """
    app, login = make_url(app_url), login_role(app_url)
    with create_admin_engine(admin_url).begin() as connection:
        serialize(connection)
        _ensure_role(connection, names.PLATFORM_ROLE)
        _ensure_role(connection, names.TENANTS_ROLE)
        _ensure_role(connection, login)
        # Also of a role that somebody made before us: see `grant_membership`.
        _execute(connection, sql.SQL("ALTER ROLE {} LOGIN NOINHERIT").format(sql.Identifier(login)))
        _set_password(connection, login, app.password)
        for setting, value in LOGIN_SETTINGS.items():
            _execute(
                connection,
                sql.SQL("ALTER ROLE {} SET {} = {}").format(
                    sql.Identifier(login), sql.Identifier(setting), sql.Literal(value)
                ),
            )
        grant_membership(connection, names.PLATFORM_ROLE, login)
        _prepare_schema(connection, login)
        _refuse_temporary_tables(connection)
        if _is_superuser(connection):
            _take_dangerous_functions(connection, login)


def grant_membership(connection: Connection, role: str, login_role: str) -> None:
    """Let the login role change into `role`, without inheriting anything from it.

    PostgreSQL 16 made INHERIT and SET properties of each membership; before, NOINHERIT on the
    login role does the same.
    """
    _execute(connection, _membership(connection, role, login_role))


def create_organization_role(connection: Connection, role: str, login_role: str) -> None:
    """Create an organization's role inside the caller's transaction, in one round trip.

    The role joins the group `tenants` (shared tables under row-level security) and the login role
    may change into it.
    """
    _execute(
        connection,
        sql.SQL("CREATE ROLE {role} NOLOGIN; GRANT {tenants} TO {role}; {membership}").format(
            role=sql.Identifier(role),
            tenants=sql.Identifier(names.TENANTS_ROLE),
            membership=_membership(connection, role, login_role),
        ),
    )


def grant_host_lookup(connection: Connection, login_role: str) -> None:
    """Let the login role, as itself, find hosts and bind transactions; nothing else.

    Column by column, so that a column added later is not revealed by accident.
    """
    for table, columns in HOST_LOOKUP.items():
        _execute(
            connection,
            sql.SQL("GRANT SELECT ({}) ON {} TO {}").format(
                sql.SQL(", ").join(map(sql.Identifier, columns)),
                sql.Identifier(names.PLATFORM_SCHEMA, table),
                sql.Identifier(login_role),
            ),
        )


def execute_script(connection: Connection, script: str) -> None:
    """Run several statements of our own in one round trip, inside the caller's transaction.

    Args:
        connection: an admin connection.
        script: SQL rendered from our migrations; never contains anything a client sent.
    """
    _driver(connection).execute(script.encode())


def serialize(connection: Connection) -> None:
    """Let the caller's transaction wait for others that prepare or migrate the shared tables."""
    _execute(connection, sql.SQL("SELECT pg_advisory_xact_lock(7281001)"))


def limit_lock_waits(connection: Connection) -> None:
    """Let the owner's transaction fail rather than wait longer than OWNERS_LOCK_TIMEOUT for a lock.

    The owner has none of the login role's time-outs, and whoever waits for it waits as long.
    """
    _execute(
        connection,
        sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(OWNERS_LOCK_TIMEOUT)),
    )


def _membership(connection: Connection, role: str, login_role: str) -> sql.Composed:
    options = " WITH INHERIT FALSE, SET TRUE" if _server_version(connection) >= 16 else ""
    return sql.SQL("GRANT {} TO {}" + options).format(
        sql.Identifier(role), sql.Identifier(login_role)
    )


def _ensure_role(connection: Connection, role: str) -> None:
    found = connection.exec_driver_sql(
        "SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)
    ).scalar()
    if not found:
        _execute(connection, sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))


def _set_password(connection: Connection, role: str, password: str | None) -> None:
    if password is None:
        return
    # Hashed here, so that the clear text reaches neither the server nor its logs.
    hashed = _driver(connection).pgconn.encrypt_password(
        password.encode(), role.encode(), b"scram-sha-256"
    )
    _execute(
        connection,
        sql.SQL("ALTER ROLE {} PASSWORD {}").format(
            sql.Identifier(role), sql.Literal(hashed.decode())
        ),
    )


def _prepare_schema(connection: Connection, login_role: str) -> None:
    platform, tenants = (
        sql.Identifier(names.PLATFORM_SCHEMA),
        sql.Identifier(names.TENANTS_ROLE),
    )
    _execute(connection, sql.SQL("REVOKE ALL ON SCHEMA public FROM PUBLIC"))
    _execute(connection, sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(platform))
    _execute(
        connection,
        sql.SQL("GRANT USAGE ON SCHEMA {} TO {}, {}, {}").format(
            platform, sql.Identifier(names.PLATFORM_ROLE), tenants, sql.Identifier(login_role)
        ),
    )


def _refuse_temporary_tables(connection: Connection) -> None:
    # A temporary table belongs to the connection: the pool would carry it to another organization.
    database = _driver(connection).info.dbname
    _execute(
        connection,
        sql.SQL("REVOKE TEMPORARY ON DATABASE {} FROM PUBLIC").format(sql.Identifier(database)),
    )


def _take_dangerous_functions(connection: Connection, login_role: str) -> None:
    for (revoke,) in _driver(connection).execute(TAKE_FROM_PUBLIC).fetchall():
        execute_script(connection, revoke)
    _execute(
        connection,
        sql.SQL("GRANT EXECUTE ON FUNCTION set_config(text, text, boolean) TO {}").format(
            sql.Identifier(login_role)
        ),
    )


def _is_superuser(connection: Connection) -> bool:
    return bool(
        connection.exec_driver_sql(
            "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
        ).scalar()
    )


def _server_version(connection: Connection) -> int:
    return _driver(connection).info.server_version // 10_000


def _execute(connection: Connection, statement: sql.Composed | sql.SQL) -> None:
    _driver(connection).execute(statement)


def _driver(connection: Connection) -> psycopg.Connection[Any]:
    driver = connection.connection.driver_connection
    if not isinstance(driver, psycopg.Connection):
        raise TypeError("the driver is not psycopg")
    return driver
