"""What only happens behind PgBouncer: it hands its few connections from client to client."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from uuid import UUID

import pytest
from sqlalchemy import text

from tenants.errors import DatabaseUnavailableError
from tenants.session import Database, OrganizationScope
from tests.conftest import Servers
from tests.servers.pgbouncer import SERVER_CONNECTIONS

MakeDatabase = Callable[..., Database]


@pytest.fixture(autouse=True)
def _behind_pgbouncer(servers: Servers) -> None:
    if servers.database != "pgbouncer":
        pytest.skip("needs --database pgbouncer")


def test_clients_share_the_poolers_connections(
    make_database: MakeDatabase, acme: UUID, globex: UUID
) -> None:
    backends = set()
    for organization in (acme, globex) * SERVER_CONNECTIONS:
        with make_database(pool_size=1).transaction(OrganizationScope(organization)) as session:
            backends.add(session.execute(text("SELECT pg_backend_pid()")).scalar_one())
    assert len(backends) <= SERVER_CONNECTIONS


def test_an_exhausted_pooler_is_unavailable_and_serves_again_afterwards(
    make_database: MakeDatabase, acme: UUID
) -> None:
    database = make_database(pool_size=SERVER_CONNECTIONS + 1)
    with ExitStack() as held:
        for _ in range(SERVER_CONNECTIONS):
            held.enter_context(database.transaction(OrganizationScope(acme)))
        with (
            pytest.raises(DatabaseUnavailableError),
            database.transaction(OrganizationScope(acme)),
        ):
            pass
    with database.transaction(OrganizationScope(acme)) as session:
        assert session.execute(text("SELECT 1")).scalar() == 1
