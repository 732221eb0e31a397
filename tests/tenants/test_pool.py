"""Connections return to the organizations they know, and keep what they learnt of them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from uuid import UUID

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from tenants import ddl
from tenants.engines import PREPARED_AFTER
from tenants.errors import OrganizationNotFoundError
from tenants.session import PLATFORM, Database, OrganizationScope, PipelinedQuery, first_rows
from tests.conftest import Servers

MakeDatabase = Callable[..., Database]
MakeOrganization = Callable[..., UUID]

NAMES = text("SELECT name FROM users WHERE email = :email")
PLANS = text("""
    SELECT count(*) AS statements, sum(generic_plans) AS generic, sum(custom_plans) AS custom
      FROM pg_prepared_statements WHERE statement LIKE 'SELECT name FROM users WHERE email%'
""")


def backend(session: Session) -> int:
    return session.execute(text("SELECT pg_backend_pid()")).scalar_one()


def backend_for(database: Database, organization: UUID) -> int:
    with database.transaction(OrganizationScope(organization)) as session:
        return backend(session)


def read(database: Database, organization: UUID) -> None:
    with database.transaction(OrganizationScope(organization)) as session:
        session.execute(NAMES, {"email": "nobody@example.com"}).all()


@pytest.fixture
def three_connections(make_database: MakeDatabase, servers: Servers) -> Database:
    if servers.database == "pgbouncer":
        pytest.skip("behind the pooler, it is the pooler that decides which backend serves whom")
    database = make_database(pool_size=3)
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(database.transaction(PLATFORM))
    return database


def test_newcomers_spread_over_the_free_connections(
    three_connections: Database, make_organization: MakeOrganization
) -> None:
    organizations = [make_organization() for _ in range(3)]
    assert len({backend_for(three_connections, one) for one in organizations}) == 3


def test_an_organization_gets_the_connection_that_knows_it(
    three_connections: Database, make_organization: MakeOrganization
) -> None:
    organizations = [make_organization() for _ in range(6)]
    first = [backend_for(three_connections, one) for one in organizations]
    again = [backend_for(three_connections, one) for one in reversed(organizations)]
    assert again == first[::-1]


def test_while_its_connection_is_busy_another_serves(
    three_connections: Database, acme: UUID
) -> None:
    with three_connections.transaction(OrganizationScope(acme)) as session:
        assert backend_for(three_connections, acme) != backend(session)


@pytest.fixture
def one_connection(make_database: MakeDatabase, servers: Servers) -> Database:
    if not servers.prepared_statements:
        pytest.skip("behind the pooler statements are not prepared: nothing to keep")
    return make_database(pool_size=1)


def plans(database: Database) -> tuple[int, int, int]:
    with database.transaction(PLATFORM) as session:
        row = session.execute(PLANS).one()
    return row.statements, row.generic, row.custom


def test_organizations_that_take_turns_keep_their_plans(
    one_connection: Database, make_organization: MakeOrganization
) -> None:
    organizations = [make_organization() for _ in range(2)]
    for _ in range(20):
        for one in organizations:
            read(one_connection, one)
    statements, generic, custom = plans(one_connection)
    assert (statements, custom) == (2, 0)
    assert generic == 2 * (20 - PREPARED_AFTER)


def refuse_by_us(database: Database, organization: UUID) -> None:
    with database.transaction(OrganizationScope(organization)):
        raise ZeroDivisionError


def refuse_by_the_binding(database: Database, organization: UUID) -> None:
    with database.transaction(OrganizationScope(organization, frozenset({"deleting"}))):
        pytest.fail("it began all the same")


@pytest.mark.parametrize(
    ("refuse", "error"),
    [
        (refuse_by_us, ZeroDivisionError),
        (refuse_by_the_binding, OrganizationNotFoundError),
    ],
)
def test_a_refused_transaction_leaves_what_is_prepared(
    one_connection: Database,
    make_organization: MakeOrganization,
    refuse: Callable[[Database, UUID], None],
    error: type[Exception],
) -> None:
    organization = make_organization()
    for _ in range(5):
        read(one_connection, organization)
    prepared, _, _ = plans(one_connection)
    with pytest.raises(error):
        refuse(one_connection, organization)
    assert plans(one_connection)[0] == prepared == 1


def test_a_round_trip_that_fails_half_way_leaves_a_connection_that_works(
    one_connection: Database, acme: UUID
) -> None:
    divided = [PipelinedQuery("SELECT 1 / $1::int", (number,)) for number in (1, 1, 0, 1)]
    after = PipelinedQuery("SELECT $1::text", ("still here",))
    scope = OrganizationScope(acme)
    for query in divided[:2]:
        with one_connection.transaction(scope, query, after):
            pass
    with (  # the use at which psycopg prepares both
        pytest.raises(DBAPIError, match="division by zero"),
        one_connection.transaction(scope, divided[2], after),
    ):
        pytest.fail("it began all the same")
    with one_connection.transaction(scope, divided[3], after) as session:
        assert first_rows(session) == [(1,), ("still here",)]


def test_after_a_migration_nothing_prepared_before_is_used(
    make_database: MakeDatabase,
    servers: Servers,
    admin_engine: Engine,
    make_organization: MakeOrganization,
) -> None:
    if not servers.prepared_statements:
        pytest.skip("behind the pooler statements are not prepared: nothing to keep")
    before, after = "before", ddl.head_revision()
    one_connection = make_database(pool_size=1, served_revisions=frozenset({before, after}))
    organization = make_organization()
    for _ in range(5):
        read(one_connection, organization)
    move = text("UPDATE platform.organizations SET revision = :revision WHERE id = :id")
    try:
        with admin_engine.begin() as admin:
            admin.execute(move, {"revision": before, "id": organization})
        for _ in range(5):
            read(one_connection, organization)
    finally:
        with admin_engine.begin() as admin:
            admin.execute(move, {"revision": after, "id": organization})
    assert plans(one_connection)[0] == 2


def test_a_connection_keeps_no_more_statements_than_its_budget(
    make_database: MakeDatabase, servers: Servers, make_organization: MakeOrganization
) -> None:
    if not servers.prepared_statements:
        pytest.skip("behind the pooler statements are not prepared: nothing to keep")
    database = make_database(pool_size=1, statements_per_connection=4)
    for one in [make_organization() for _ in range(6)]:
        for _ in range(4):
            read(database, one)
    with database.transaction(PLATFORM) as session:
        kept = session.execute(text("SELECT count(*) FROM pg_prepared_statements")).scalar_one()
    assert kept <= 2 * 4
