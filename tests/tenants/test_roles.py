from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from lms.cli.schemas import Scratch, scratch_database
from tenants import roles
from tenants.engines import create_admin_engine
from tenants.session import PLATFORM, Database, OrganizationScope
from tests.conftest import Servers

TAKEN = [
    "set_config('search_path', 'public', true)",
    "pg_notify('channel', 'text')",
    "pg_sleep(0)",
    "pg_sleep_for('0 s')",
    "pg_sleep_until(now())",
    "pg_advisory_lock(1)",
    "pg_advisory_lock_shared(1)",
    "pg_advisory_xact_lock(1, 2)",
    "pg_try_advisory_lock(1)",
    "pg_try_advisory_xact_lock_shared(1, 2)",
    "pg_advisory_unlock_all()",
    "lo_create(0)",
    "lo_from_bytea(0, 'x')",
    "lo_unlink(1)",
    "loread(0, 1)",
    "lowrite(0, 'x')",
    "pg_logical_emit_message(true, 'prefix', 'text')",
    "query_to_xml('SELECT 1', true, true, '')",
    "cursor_to_xml('c', 1, true, true, '')",
    "table_to_xml('users', true, true, '')",
    "database_to_xml(true, true, '')",
]


@pytest.fixture
def scratch(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scratch]:
    """A fresh database on the suite's server, with a login role of its own to come."""
    monkeypatch.setenv("DATABASE_ADMIN_URL", servers.admin_url)
    with scratch_database() as scratch:
        yield scratch


def attributes(connection: Connection, role: str) -> tuple[bool, bool]:
    query = text("SELECT rolcanlogin, rolinherit FROM pg_roles WHERE rolname = :role")
    return tuple(connection.execute(query, {"role": role}).one())


def test_a_login_role_made_beforehand_loses_inheritance(scratch: Scratch) -> None:
    login = roles.login_role(scratch.app_url)
    admin = create_admin_engine(scratch.admin_url)
    with admin.begin() as connection:
        connection.exec_driver_sql(f"CREATE ROLE {login} NOLOGIN INHERIT")
    roles.prepare_database(scratch.admin_url, scratch.app_url)
    with admin.begin() as connection:
        assert attributes(connection, login) == (True, False)


def test_preparing_again_finds_nothing_left_to_take_from_public(admin_engine: Engine) -> None:
    with admin_engine.begin() as connection:
        assert connection.execute(text(roles.TAKE_FROM_PUBLIC)).all() == []


@pytest.mark.parametrize("call", TAKEN)
def test_an_organizations_role_cannot_call_what_would_widen_an_injection(
    database: Database, acme: UUID, call: str
) -> None:
    with (
        pytest.raises(ProgrammingError, match="permission denied for function"),
        database.transaction(OrganizationScope(acme)) as session,
    ):
        session.connection().exec_driver_sql(f"SELECT {call}")


def test_the_platforms_role_cannot_call_them_either(database: Database) -> None:
    with (
        pytest.raises(ProgrammingError, match="permission denied for function"),
        database.transaction(PLATFORM) as session,
    ):
        session.execute(text("SELECT pg_try_advisory_lock(7281001)"))


def test_an_organizations_role_cannot_run_a_block_of_code(database: Database, acme: UUID) -> None:
    with (
        pytest.raises(ProgrammingError, match="permission denied for language plpgsql"),
        database.transaction(OrganizationScope(acme)) as session,
    ):
        session.connection().exec_driver_sql("DO $$ BEGIN NULL; END $$")


@pytest.mark.parametrize("setting", roles.LOGIN_SETTINGS)
def test_the_login_roles_settings_hold_inside_an_organization(
    database: Database, acme: UUID, setting: str
) -> None:
    with database.transaction(OrganizationScope(acme)) as session:
        shown = session.execute(text("SELECT current_setting(:name)"), {"name": setting})
        assert shown.scalar() == roles.LOGIN_SETTINGS[setting]


def test_the_owner_gives_up_on_a_server_that_does_not_answer() -> None:
    with ThreadPoolExecutor(1) as thread, socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        engine = create_admin_engine(f"postgresql+psycopg://owner:secret@127.0.0.1:{port}/lms")
        with pytest.raises(OperationalError, match="timeout expired"):
            thread.submit(engine.connect).result(timeout=9)
