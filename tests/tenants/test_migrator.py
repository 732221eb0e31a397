from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import Engine, event, text

from lms.cli.schemas import scratch_database
from tenants import ddl, migrator, names, roles
from tests.conftest import Servers

MIGRATE_WHEN_TOLD = """
import sys
from tenants import migrator
print("ready", flush=True)
sys.stdin.readline()
migrator.upgrade_platform(*sys.argv[1:])
"""


@pytest.fixture
def next_revision(monkeypatch: pytest.MonkeyPatch) -> str:
    """A revision after the head that adds a table, rendered like any other."""
    rendered = ddl.render_revision
    history = (*ddl.tenant_revisions(), "next")
    script = f"CREATE TABLE added (id uuid); GRANT SELECT ON added TO {ddl.ROLE_PLACEHOLDER};"
    monkeypatch.setattr(ddl, "tenant_revisions", lambda: history)
    monkeypatch.setattr(ddl, "head_revision", lambda: "next")
    monkeypatch.setattr(
        ddl, "render_revision", lambda name: script if name == "next" else rendered(name)
    )
    return "next"


def revision_of(admin: Engine, organization: UUID) -> str:
    with admin.begin() as connection:
        query = text("SELECT revision FROM platform.organizations WHERE id = :id")
        return connection.execute(query, {"id": organization}).scalar_one()


def has_added_table(admin: Engine, organization: UUID) -> bool:
    with admin.begin() as connection:
        query = text("SELECT to_regclass(:name)")
        name = f"{names.schema_name(organization)}.added"
        return connection.execute(query, {"name": name}).scalar() is not None


def test_an_organization_at_the_newest_revision_is_left_alone(
    servers: Servers, admin_engine: Engine, make_organization: Callable[..., UUID]
) -> None:
    organization = make_organization()
    assert migrator.upgrade_organizations(servers.admin_url, only=[organization]).migrated == []
    assert revision_of(admin_engine, organization) == ddl.head_revision()


def test_the_schema_and_its_revision_change_together(
    servers: Servers,
    admin_engine: Engine,
    make_organization: Callable[..., UUID],
    request: pytest.FixtureRequest,
) -> None:
    organization = make_organization()
    revision = request.getfixturevalue("next_revision")
    report = migrator.upgrade_organizations(servers.admin_url, only=[organization])
    assert report.migrated == [organization]
    assert revision_of(admin_engine, organization) == revision
    assert has_added_table(admin_engine, organization)


def test_a_failed_organization_is_reported_and_the_others_go_on(
    servers: Servers,
    admin_engine: Engine,
    make_organization: Callable[..., UUID],
    request: pytest.FixtureRequest,
) -> None:
    broken, sound = make_organization(), make_organization()
    with admin_engine.begin() as connection:
        schema = names.quote(names.schema_name(broken))
        connection.exec_driver_sql(f"CREATE TABLE {schema}.added (other int)")
    before = revision_of(admin_engine, broken)
    request.getfixturevalue("next_revision")
    report = migrator.upgrade_organizations(servers.admin_url, only=[broken, sound])
    assert report.migrated == [sound]
    assert "already exists" in report.failed[broken]
    assert revision_of(admin_engine, broken) == before


def test_a_run_with_nothing_to_do_is_one_query(
    servers: Servers, make_organization: Callable[..., UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    organization = make_organization()
    statements: list[str] = []
    create = migrator.create_admin_engine

    def counted(url: str) -> Engine:
        engine = create(url)
        event.listen(
            engine,
            "before_cursor_execute",
            lambda _conn, _cursor, statement, *_rest: statements.append(statement),
        )
        return engine

    monkeypatch.setattr(migrator, "create_admin_engine", counted)
    migrator.upgrade_organizations(servers.admin_url, only=[organization])
    assert len(statements) == 1


@pytest.fixture
def backends(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Process ids of the server's processes that migrating connects to, in that order."""
    found: list[int] = []
    create = migrator.create_admin_engine

    def watched(url: str) -> Engine:
        engine = create(url)
        event.listen(
            engine, "connect", lambda driver, _record: found.append(driver.info.backend_pid)
        )
        return engine

    monkeypatch.setattr(migrator, "create_admin_engine", watched)
    return found


def test_organizations_take_turns_on_a_few_connections(
    servers: Servers,
    make_organization: Callable[..., UUID],
    backends: list[int],
    request: pytest.FixtureRequest,
) -> None:
    organizations = [make_organization() for _ in range(5)]
    request.getfixturevalue("next_revision")
    report = migrator.upgrade_organizations(servers.admin_url, only=organizations, connections=2)
    assert report.migrated == organizations
    # One more has asked who is behind.
    assert len(backends) == 3


def test_a_connection_that_has_seen_many_organizations_is_replaced(
    servers: Servers,
    make_organization: Callable[..., UUID],
    backends: list[int],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    organizations = [make_organization() for _ in range(5)]
    request.getfixturevalue("next_revision")
    monkeypatch.setattr(migrator, "ORGANIZATIONS_PER_CONNECTION", 2)
    report = migrator.upgrade_organizations(servers.admin_url, only=organizations, connections=1)
    assert report.migrated == organizations
    assert len(backends) == 1 + 3


def test_a_lost_connection_costs_one_organization(
    servers: Servers,
    admin_engine: Engine,
    make_organization: Callable[..., UUID],
    backends: list[int],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, unlucky, last = (make_organization() for _ in range(3))
    request.getfixturevalue("next_revision")
    render = ddl.for_organization

    def lose(script: str, role: str) -> str:
        if role == names.role_name(unlucky):
            with admin_engine.begin() as connection:
                connection.exec_driver_sql(f"SELECT pg_terminate_backend({backends[-1]}, 10000)")
        return render(script, role)

    monkeypatch.setattr(ddl, "for_organization", lose)
    report = migrator.upgrade_organizations(
        servers.admin_url, only=[first, unlucky, last], connections=1
    )
    assert report.migrated == [first, last]
    assert list(report.failed) == [unlucky]
    assert not has_added_table(admin_engine, unlucky)


def test_progress_is_reported_after_each_organization(
    servers: Servers, make_organization: Callable[..., UUID], request: pytest.FixtureRequest
) -> None:
    organizations = [make_organization(), make_organization()]
    request.getfixturevalue("next_revision")
    seen: list[tuple[int, int]] = []
    migrator.upgrade_organizations(
        servers.admin_url, only=organizations, on_progress=lambda *step: seen.append(step)
    )
    assert seen == [(1, 2), (2, 2)]


def test_a_new_revision_is_a_new_version_of_the_organization(
    servers: Servers,
    admin_engine: Engine,
    make_organization: Callable[..., UUID],
    request: pytest.FixtureRequest,
) -> None:
    organization = make_organization()
    request.getfixturevalue("next_revision")
    migrator.upgrade_organizations(servers.admin_url, only=[organization])
    with admin_engine.begin() as connection:
        query = text("SELECT version FROM platform.organizations WHERE id = :id")
        assert connection.execute(query, {"id": organization}).scalar() == 2


def test_an_organization_that_others_hold_fails_rather_than_waits(
    servers: Servers,
    admin_engine: Engine,
    make_organization: Callable[..., UUID],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    organization = make_organization()
    request.getfixturevalue("next_revision")
    monkeypatch.setattr(roles, "OWNERS_LOCK_TIMEOUT", "50ms")
    with ThreadPoolExecutor(1) as thread, admin_engine.begin() as holder:
        holder.execute(
            text("SELECT 1 FROM platform.organizations WHERE id = :id FOR UPDATE"),
            {"id": organization},
        )
        run = thread.submit(migrator.upgrade_organizations, servers.admin_url, only=[organization])
        assert "lock timeout" in run.result(timeout=15).failed[organization]


def test_two_migrations_of_a_fresh_database_at_once_both_succeed(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_ADMIN_URL", servers.admin_url)
    with scratch_database() as scratch:
        arguments = [sys.executable, "-c", MIGRATE_WHEN_TOLD, scratch.admin_url, scratch.app_url]
        runs = [
            subprocess.Popen(
                arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(2)
        ]
        try:
            for run in runs:
                assert run.stdout is not None
                assert run.stdout.readline() == "ready\n"
            for run in runs:
                assert run.stdin is not None
                run.stdin.write("now\n")
                run.stdin.flush()
            complaints = [run.communicate(timeout=60)[1] for run in runs]
        finally:
            for run in runs:
                run.kill()
    assert [run.returncode for run in runs] == [0, 0], complaints


def test_a_server_that_is_short_of_connections_is_migrated_over_those_it_gives(
    servers: Servers,
    make_organization: Callable[..., UUID],
    backends: list[int],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    organizations = [make_organization() for _ in range(3)]
    request.getfixturevalue("next_revision")
    create = migrator.create_admin_engine

    def short(url: str) -> Engine:
        engine = create(url)
        event.listen(engine, "do_connect", refuse_the_third)
        return engine

    def refuse_the_third(*_arguments: object) -> None:
        if len(backends) >= 2:
            raise psycopg.OperationalError("sorry, too many clients already")

    monkeypatch.setattr(migrator, "create_admin_engine", short)
    report = migrator.upgrade_organizations(servers.admin_url, only=organizations, connections=3)
    assert report.migrated == organizations
    assert len(backends) == 2
