from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, NotSupportedError, ProgrammingError
from sqlalchemy.orm import Session

from lms.core.ids import new_id
from tenants import ddl, names, provisioning
from tenants.engines import create_admin_engine
from tenants.errors import (
    DatabaseUnavailableError,
    OrganizationMigratingError,
    OrganizationNotFoundError,
    StalePlanError,
    UnboundSessionError,
)
from tenants.session import (
    PLATFORM,
    STILL_SETTLING,
    Database,
    OrganizationScope,
    ScopedSession,
    on_commit,
    organization_of,
)
from tests.conftest import Servers

MakeDatabase = Callable[..., Database]


def whoami(session: Session) -> tuple[str, str]:
    row = session.execute(text("SELECT current_user, current_setting('search_path')")).one()
    return row[0], row[1]


def add_user(session: Session, email: str) -> None:
    session.execute(
        text(
            "INSERT INTO users (id, email, name, account_type) VALUES (:id, :email, 'x', 'admin')"
        ),
        {"id": new_id(), "email": email},
    )


def test_a_transaction_runs_as_the_organizations_role_with_only_its_schema_on_the_path(
    database: Database, acme: UUID
) -> None:
    with database.transaction(OrganizationScope(acme)) as session:
        assert whoami(session) == (
            names.role_name(acme),
            f"{names.quote(names.schema_name(acme))}, pg_temp",
        )


def test_a_platform_transaction_runs_as_the_platforms_role(database: Database) -> None:
    with database.transaction(PLATFORM) as session:
        assert whoami(session) == ("platform", '"platform", pg_temp')


def test_a_session_without_a_scope_refuses_to_begin(database: Database) -> None:
    with ScopedSession(database.events) as session, pytest.raises(UnboundSessionError):
        session.execute(text("SELECT 1"))


def test_the_role_and_path_do_not_outlive_the_transaction(
    make_database: MakeDatabase, acme: UUID
) -> None:
    database = make_database(pool_size=1)
    with database.transaction(OrganizationScope(acme)):
        pass
    with database.events.connect() as connection:
        assert connection.execute(text("SELECT current_user")).scalar() == "app"
        path = connection.execute(text("SELECT current_setting('search_path')")).scalar()
        assert names.schema_name(acme) not in str(path)


def test_the_login_role_reads_nothing_of_an_organization_by_itself(
    database: Database, acme: UUID
) -> None:
    schema = names.quote(names.schema_name(acme))
    with (
        database.events.connect() as connection,
        pytest.raises(ProgrammingError, match="permission denied"),
    ):
        connection.exec_driver_sql(f"SELECT * FROM {schema}.users")


def test_one_organizations_role_cannot_read_anothers_table_by_its_full_name(
    database: Database, acme: UUID, globex: UUID
) -> None:
    other = names.quote(names.schema_name(globex))
    with (
        pytest.raises(ProgrammingError, match="permission denied"),
        database.transaction(OrganizationScope(acme)) as session,
    ):
        session.execute(text(f"SELECT * FROM {other}.users"))


def test_an_organizations_role_cannot_list_organizations(database: Database, acme: UUID) -> None:
    with (
        pytest.raises(ProgrammingError, match="permission denied"),
        database.transaction(OrganizationScope(acme)) as session,
    ):
        session.execute(text("SELECT slug FROM platform.organizations"))


def test_an_organizations_role_cannot_change_its_binding_from_within_a_query(
    database: Database, acme: UUID
) -> None:
    with (
        pytest.raises(ProgrammingError, match="permission denied for function set_config"),
        database.transaction(OrganizationScope(acme)) as session,
    ):
        session.execute(text("SELECT set_config('search_path', 'public', true)"))


def test_work_of_another_organization_is_invisible_and_cannot_be_written(
    database: Database, acme: UUID, globex: UUID
) -> None:
    insert = text(
        "INSERT INTO platform.work (id, organization_id, queue, kind, subject_id, due_at)"
        " VALUES (:id, :organization, 'default', 'test', :id, now() + interval '1 year')"
    )
    mine = new_id()
    with database.transaction(OrganizationScope(acme)) as session:
        session.execute(insert, {"id": mine, "organization": acme})
    with database.transaction(OrganizationScope(globex)) as session:
        seen = session.execute(
            text("SELECT count(*) FROM platform.work WHERE id = :id"), {"id": mine}
        )
        assert seen.scalar() == 0
    with (
        pytest.raises(ProgrammingError, match="row-level security"),
        database.transaction(OrganizationScope(globex)) as session,
    ):
        session.execute(insert, {"id": new_id(), "organization": acme})


def test_an_unknown_organization_cannot_be_entered(database: Database) -> None:
    with (
        pytest.raises(OrganizationNotFoundError),
        database.transaction(OrganizationScope(new_id())),
    ):
        pass


def test_a_suspended_organization_is_entered_only_by_those_who_settle_its_money(
    database: Database, make_organization: Callable[..., UUID]
) -> None:
    organization = make_organization()
    with database.transaction(PLATFORM) as session:
        assert provisioning.suspend(session, organization, reason="unpaid invoice")
    with (
        pytest.raises(OrganizationNotFoundError),
        database.transaction(OrganizationScope(organization)) as session,
    ):
        session.execute(text("SELECT 1"))
    with database.transaction(OrganizationScope(organization, STILL_SETTLING)) as session:
        assert organization_of(session).id == organization


def test_an_organization_at_a_revision_this_code_does_not_serve_is_refused_alone(
    make_database: MakeDatabase, acme: UUID
) -> None:
    database = make_database(served_revisions=frozenset({"9999"}))
    with (
        pytest.raises(OrganizationMigratingError),
        database.transaction(OrganizationScope(acme)) as session,
    ):
        session.execute(text("SELECT 1"))
    with database.transaction(PLATFORM) as session:
        assert session.execute(text("SELECT 1")).scalar() == 1


def test_an_error_rolls_everything_back(database: Database, acme: UUID) -> None:
    email = f"{new_id()}@acme.example"
    with pytest.raises(RuntimeError), database.transaction(OrganizationScope(acme)) as session:
        add_user(session, email)
        raise RuntimeError
    with database.transaction(OrganizationScope(acme)) as session:
        found = session.execute(text("SELECT 1 FROM users WHERE email = :email"), {"email": email})
        assert found.first() is None


def test_a_savepoint_undoes_its_own_part_only(database: Database, acme: UUID) -> None:
    kept, undone = f"kept-{new_id()}", f"undone-{new_id()}"
    with database.transaction(OrganizationScope(acme)) as session:
        add_user(session, kept)
        with pytest.raises(RuntimeError), session.begin_nested():
            add_user(session, undone)
            raise RuntimeError
    with database.transaction(OrganizationScope(acme)) as session:
        query = text("SELECT email FROM users WHERE email IN (:kept, :undone)")
        found = session.execute(query, {"kept": kept, "undone": undone}).scalars().all()
    assert found == [kept]


def test_rows_may_be_read_as_they_are_used_and_left_half_way(
    database: Database, acme: UUID
) -> None:
    numbers = text("SELECT generate_series(1, :count)")
    options = {"yield_per": 10}
    with database.transaction(OrganizationScope(acme)) as session:
        with session.execute(numbers, {"count": 100}, execution_options=options) as rows:
            assert [next(rows)[0] for _ in range(15)] == list(range(1, 16))
        assert session.scalar(text("SELECT current_user")) == names.role_name(acme)


def test_on_commit_runs_after_the_commit_and_not_after_an_error(
    database: Database, acme: UUID
) -> None:
    rung: list[str] = []
    with database.transaction(OrganizationScope(acme)) as session:
        on_commit(session, rung.append, "committed")
        assert rung == []
    with pytest.raises(RuntimeError), database.transaction(OrganizationScope(acme)) as session:
        on_commit(session, rung.append, "rolled back")
        raise RuntimeError
    assert rung == ["committed"]


def test_on_commit_takes_ids_and_refuses_objects(database: Database, acme: UUID) -> None:
    with database.transaction(OrganizationScope(acme)) as session, pytest.raises(TypeError):
        on_commit(session, print, object())  # pyright: ignore[reportArgumentType]


def test_an_exhausted_pool_is_unavailable_not_an_internal_error(
    make_database: MakeDatabase, acme: UUID
) -> None:
    database = make_database(pool_size=1, pool_timeout=0.05)
    with database.transaction(OrganizationScope(acme)) as session:
        session.execute(text("SELECT 1"))
        with (
            pytest.raises(DatabaseUnavailableError),
            database.transaction(OrganizationScope(acme)) as second,
        ):
            second.execute(text("SELECT 1"))


def test_a_connection_that_touched_too_many_organizations_is_retired(
    servers: Servers, make_database: MakeDatabase, acme: UUID, globex: UUID
) -> None:
    if servers.database == "pgbouncer":
        pytest.skip("there the pooler owns PostgreSQL's connections (its server_lifetime)")
    database = make_database(pool_size=1, organizations_per_connection=1)

    def backend(organization: UUID) -> int:
        with database.transaction(OrganizationScope(organization)) as session:
            return session.execute(text("SELECT pg_backend_pid()")).scalar_one()

    first = backend(acme)
    assert backend(acme) == first
    assert backend(globex) == first
    assert backend(acme) != first


CANARY = "SELECT name FROM users WHERE email = 'canary@example.com'"


def visit_in_turn(database: Database, canaries: dict[UUID, str], times: int) -> int:
    """Enter the organizations in turn; return how often it was not all the right one's."""
    wrong = 0
    for organization, canary in islice(cycle(canaries.items()), times):
        own = names.search_path(names.schema_name(organization))
        with database.transaction(OrganizationScope(organization)) as session:
            seen = session.execute(text(CANARY)).scalars().all()
            wrong += whoami(session) != (names.role_name(organization), own) or seen != [canary]
    return wrong


@pytest.mark.parametrize(
    "transactions", [5_000, pytest.param(100_000, marks=pytest.mark.long)], ids=str
)
def test_many_threads_over_a_tiny_pool_never_see_the_other_organization(
    servers: Servers,
    make_database: MakeDatabase,
    make_organization: Callable[..., UUID],
    transactions: int,
) -> None:
    canaries = {make_organization(): f"canary {number}" for number in range(2)}
    # The pool is not fair: a thread may wait for most of the run while others borrow again.
    # Through the pooler more connections than it has itself, so that they pass from hand to hand.
    pool_size = 8 if servers.database == "pgbouncer" else 2
    database = make_database(pool_size=pool_size, pool_timeout=600)
    for organization, canary in canaries.items():
        with database.transaction(OrganizationScope(organization)) as session:
            session.execute(
                text(
                    "INSERT INTO users (id, email, name, account_type)"
                    " VALUES (:id, 'canary@example.com', :name, 'admin')"
                ),
                {"id": new_id(), "name": canary},
            )
    with ThreadPoolExecutor(8) as threads:
        visits = [
            threads.submit(visit_in_turn, database, canaries, transactions // 8) for _ in range(8)
        ]
        wrong = [visit.result() for visit in visits]
    with database.transaction(PLATFORM) as session:
        prepared = session.execute(
            text("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE :canary"),
            {"canary": f"{CANARY}%"},
        ).scalar()
    assert wrong == [0] * 8
    each_for_itself = len(canaries) * servers.prepared_statements
    assert prepared == each_for_itself, "not prepared, no plan could have crossed"


def change_type(admin: Engine, organization: UUID, column: str, to: str) -> None:
    table = f"{names.quote(names.schema_name(organization))}.users"
    with admin.begin() as connection:
        connection.exec_driver_sql(f"ALTER TABLE {table} ALTER {column} TYPE {to}")


def test_a_statement_prepared_before_a_migration_fails_as_stale_and_may_be_repeated(
    servers: Servers,
    make_database: MakeDatabase,
    admin_engine: Engine,
    make_organization: Callable[..., UUID],
) -> None:
    if not servers.prepared_statements:
        pytest.skip("nothing is prepared there")
    organization = make_organization()
    database = make_database(pool_size=1)

    def read() -> list[str]:
        with database.transaction(OrganizationScope(organization)) as session:
            return list(session.execute(text("SELECT name FROM users")).scalars())

    for _ in range(7):
        read()
    change_type(admin_engine, organization, "name", "varchar(200)")
    with pytest.raises(StalePlanError) as caught:
        read()
    assert isinstance(caught.value.__cause__, DBAPIError)
    assert read() == []


def test_what_postgresql_does_not_support_is_not_taken_for_a_stale_statement(
    database: Database, acme: UUID
) -> None:
    with (
        pytest.raises(NotSupportedError, match="FOR UPDATE is not allowed"),
        database.transaction(OrganizationScope(acme)) as session,
    ):
        session.execute(text("SELECT count(*) FROM users FOR UPDATE"))


@pytest.mark.parametrize("whose", ["organization", "platform", "login role"])
def test_nobody_who_serves_requests_makes_temporary_tables(
    database: Database, acme: UUID, whose: str
) -> None:
    statement = text("CREATE TEMPORARY TABLE users (id uuid)")
    with pytest.raises(ProgrammingError, match="permission denied to create temporary tables"):
        if whose == "login role":
            with database.events.connect() as connection:
                connection.execute(statement)
        scope = PLATFORM if whose == "platform" else OrganizationScope(acme)
        with database.transaction(scope) as session:
            session.execute(statement)


def test_a_temporary_table_never_stands_before_an_organizations_own(
    servers: Servers, admin_engine: Engine, acme: UUID
) -> None:
    database = Database(servers.admin_url, served_revisions=ddl.served_revisions(), pool_size=1)
    with database.events.begin() as connection:
        connection.exec_driver_sql("CREATE TEMPORARY TABLE users (id uuid)")
        connection.exec_driver_sql("GRANT SELECT ON users TO PUBLIC")
    with database.transaction(OrganizationScope(acme)) as session:
        found = session.execute(
            text(
                "SELECT nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
                " WHERE c.oid = to_regclass('users')"
            )
        ).scalar()
    database.dispose()
    assert found == names.schema_name(acme)


@pytest.fixture(params=["login", "owner"])
def in_acme(
    request: pytest.FixtureRequest, database: Database, servers: Servers, acme: UUID
) -> Iterator[Session]:
    """A session in an organization, as the login role and as the owner of the schemas."""
    if request.param == "login":
        with database.transaction(OrganizationScope(acme)) as session:
            yield session
        return
    path = text(f"SET LOCAL search_path = {names.quote(names.schema_name(acme))}")
    with Session(create_admin_engine(servers.admin_url)) as session:
        session.execute(path)
        yield session


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ("(:one, :email, 'x', 'admin'), (:other, :email, 'x', 'admin')", "23505"),
        ("(:one, :email, 'x', 'admin'), (:other, :email, 'x', NULL)", "23502"),
        ("(:one, :email, 'x', 'admin'), (:other, :email, 'x', CAST(1 / 0 AS text))", "22012"),
    ],
)
def test_an_error_tells_nothing_of_what_its_statement_was_about(
    in_acme: Session, rows: str, code: str
) -> None:
    insert = text(f"INSERT INTO users (id, email, name, account_type) VALUES {rows}")
    with pytest.raises(DBAPIError) as caught, in_acme.begin_nested():
        values = {"one": new_id(), "other": new_id(), "email": "ada@acme.example"}
        in_acme.execute(insert, values)
    assert isinstance(caught.value.orig, psycopg.Error)
    assert caught.value.orig.sqlstate == code
    assert "@" not in f"{caught.value} {caught.value.orig}"
