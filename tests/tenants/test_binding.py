"""The first round trip of a transaction, and the query that goes along with it."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from lms.core.ids import new_id
from lms.users.models import User
from tenants.errors import (
    DatabaseOverloadedError,
    DatabaseUnavailableError,
    OrganizationNotFoundError,
)
from tenants.session import (
    PLATFORM,
    Database,
    OrganizationScope,
    PipelinedQuery,
    first_rows,
    organization_of,
    send_with_commit,
)
from tests.conftest import Servers

WHO = PipelinedQuery("SELECT current_user::text, current_schema()::text, $1::text", ["given"])
BROKEN = PipelinedQuery("SELECT 1 / $1::int", [0])


def test_the_first_query_runs_bound_and_its_row_is_there_from_the_start(
    database: Database, acme: UUID
) -> None:
    with database.transaction(OrganizationScope(acme), WHO) as session:
        assert first_rows(session) == [(f"o_{acme.hex}", f"o_{acme.hex}", "given")]
        assert organization_of(session).slug == "acme"


def test_on_the_platform_it_runs_as_the_platforms_role(database: Database) -> None:
    with database.transaction(PLATFORM, WHO) as session:
        assert first_rows(session) == [("platform", "platform", "given")]


def test_without_one_and_when_it_finds_nothing_there_is_no_row(
    database: Database, acme: UUID
) -> None:
    nothing = PipelinedQuery("SELECT 1 WHERE $1", [False])
    for first, rows in ((), []), ((nothing, WHO), [None, (f"o_{acme.hex}",) * 2 + ("given",)]):
        with database.transaction(OrganizationScope(acme), *first) as session:
            assert first_rows(session) == rows


def test_when_it_fails_the_transaction_does_and_the_next_one_works(
    database: Database, acme: UUID
) -> None:
    with (
        pytest.raises(DBAPIError, match="division by zero"),
        database.transaction(OrganizationScope(acme), BROKEN),
    ):
        pytest.fail("it began all the same")
    with database.transaction(OrganizationScope(acme), WHO) as session:
        assert first_rows(session) != []


def test_an_unknown_organization_is_told_before_the_querys_own_failure(
    database: Database,
) -> None:
    users = PipelinedQuery("SELECT id FROM users WHERE id = $1", [new_id()])
    with (
        pytest.raises(OrganizationNotFoundError),
        database.transaction(OrganizationScope(new_id()), users),
    ):
        pytest.fail("it began all the same")


def test_what_a_transaction_wrote_before_it_failed_is_gone(database: Database, acme: UUID) -> None:
    insert = text(
        "INSERT INTO users (id, email, name, account_type)"
        " VALUES (:id, :email, 'Kept Nowhere', 'student')"
    )
    user_id, scope = new_id(), OrganizationScope(acme)
    with pytest.raises(ZeroDivisionError), database.transaction(scope, WHO) as session:
        session.execute(insert, {"id": user_id, "email": f"{user_id}@acme.example"})
        raise ZeroDivisionError
    with database.transaction(scope) as session:
        found = text("SELECT count(*) FROM users WHERE id = :id")
        assert session.execute(found, {"id": user_id}).scalar_one() == 0


INSERT_USER = "INSERT INTO users (id, email, name, account_type) VALUES ($1, $2, 'Late', 'student')"


def users_with(database: Database, scope: OrganizationScope, user_id: UUID) -> int:
    with database.transaction(scope) as session:
        found = text("SELECT count(*) FROM users WHERE id = :id")
        return session.execute(found, {"id": user_id}).scalar_one()


def test_a_query_sent_with_commit_runs_last_and_is_committed(
    database: Database, acme: UUID
) -> None:
    user_id, scope = new_id(), OrganizationScope(acme)
    with database.transaction(scope) as session:
        send_with_commit(
            session, PipelinedQuery("UPDATE users SET name = 'Later' WHERE id = $1", [user_id])
        )
        session.add(
            User(id=user_id, email=f"{user_id}@acme.example", name="L", account_type="student")
        )
    with database.transaction(scope) as session:
        assert (
            session.execute(
                text("SELECT name FROM users WHERE id = :id"), {"id": user_id}
            ).scalar_one()
            == "Later"
        )


def test_when_the_query_sent_with_commit_fails_nothing_is_committed(
    database: Database, acme: UUID
) -> None:
    user_id, scope = new_id(), OrganizationScope(acme)
    with (
        pytest.raises(DBAPIError, match="division by zero"),
        database.transaction(scope) as session,
    ):
        session.connection().exec_driver_sql(INSERT_USER, (user_id, f"{user_id}@acme.example"))
        send_with_commit(session, BROKEN)
    assert users_with(database, scope, user_id) == 0


def test_a_transaction_that_is_refused_does_not_send_its_last_query(
    database: Database, acme: UUID
) -> None:
    user_id, scope = new_id(), OrganizationScope(acme)
    with pytest.raises(ZeroDivisionError), database.transaction(scope) as session:
        insert = PipelinedQuery(INSERT_USER, [user_id, f"{user_id}@acme.example"])
        send_with_commit(session, insert)
        raise ZeroDivisionError
    assert users_with(database, scope, user_id) == 0


def test_a_connection_lost_at_commit_is_told_and_the_next_transaction_works(
    servers: Servers,
    make_database: Callable[..., Database],
    admin_engine: Engine,
    acme: UUID,
) -> None:
    if servers.database == "pgbouncer":
        pytest.skip("the pooler opens new connections to the server by itself")
    database, scope = make_database(pool_size=1), OrganizationScope(acme)
    with pytest.raises(DatabaseUnavailableError), database.transaction(scope) as session:
        pid = session.execute(text("SELECT pg_backend_pid()")).scalar_one()
        with admin_engine.begin() as admin:
            admin.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
        send_with_commit(session, WHO)
    with database.transaction(scope, WHO) as session:
        assert first_rows(session) != []


@pytest.mark.parametrize("first", [(), (WHO,)])
def test_after_the_server_closed_its_connections_one_transaction_fails_and_the_next_works(
    servers: Servers,
    make_database: Callable[..., Database],
    admin_engine: Engine,
    acme: UUID,
    first: tuple[PipelinedQuery, ...],
) -> None:
    if servers.database == "pgbouncer":
        pytest.skip("the pooler opens new connections to the server by itself")
    database, scope = make_database(pool_size=2), OrganizationScope(acme)
    own = text("SELECT pg_backend_pid()")
    with database.transaction(scope) as one, database.transaction(scope) as other:
        pids = [session.execute(own).scalar_one() for session in (one, other)]
    with admin_engine.begin() as admin:
        admin.execute(
            text("SELECT pg_terminate_backend(pid) FROM unnest(:pids) pid"), {"pids": pids}
        )
    with pytest.raises(DatabaseUnavailableError), database.transaction(scope, *first):
        pytest.fail("it began all the same")
    with database.transaction(scope, *first) as session:
        assert session.execute(own).scalar_one() not in pids


def test_a_binding_that_postgresql_refuses_is_an_error_of_sqlalchemys_as_any_other(
    database: Database, admin_engine: Engine, make_organization: Callable[..., UUID]
) -> None:
    organization_id = make_organization()
    role = f"o_{organization_id.hex}"
    with admin_engine.begin() as admin:
        admin.exec_driver_sql(f'ALTER ROLE "{role}" RENAME TO "gone_{role}"')
    try:
        with (
            pytest.raises(DBAPIError, match="does not exist"),
            database.transaction(OrganizationScope(organization_id), WHO),
        ):
            pytest.fail("it began all the same")
    finally:
        with admin_engine.begin() as admin:
            admin.exec_driver_sql(f'ALTER ROLE "gone_{role}" RENAME TO "{role}"')


def test_a_table_that_somebody_holds_is_not_taken_for_a_database_that_is_away(
    make_database: Callable[..., Database], admin_engine: Engine, acme: UUID
) -> None:
    database = make_database()
    with admin_engine.begin() as admin:
        admin.exec_driver_sql("LOCK TABLE platform.organizations IN ACCESS EXCLUSIVE MODE")
        with (
            pytest.raises(DBAPIError) as refused,
            database.transaction(OrganizationScope(acme)),
        ):
            pytest.fail("it began all the same")
    assert isinstance(refused.value.orig, psycopg.errors.LockNotAvailable)


def test_a_statement_that_takes_too_long_overloads_a_database_that_is_there(
    make_database: Callable[..., Database], acme: UUID
) -> None:
    slow = text("SELECT count(*) FROM generate_series(1, 100000000)")
    with (
        pytest.raises(DatabaseOverloadedError),
        make_database().transaction(OrganizationScope(acme)) as session,
    ):
        session.execute(text("SET LOCAL statement_timeout = 50"))
        session.execute(slow)
