from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest
from sqlalchemy import Engine, event, text

from lms.core.ids import new_id
from tenants.errors import OrganizationNotFoundError
from tenants.resolver import HostResolver
from tenants.session import Database


def test_a_slug_below_the_base_domain_resolves(database: Database, acme: UUID) -> None:
    assert HostResolver(database, "localhost").resolve("acme.localhost") == acme


@pytest.mark.parametrize(
    "host", ["nobody.localhost", "acme.example.com", "a.acme.localhost", "localhost", "", "acme"]
)
def test_other_hosts_are_not_found(database: Database, acme: UUID, host: str) -> None:
    with pytest.raises(OrganizationNotFoundError):
        HostResolver(database, "localhost").resolve(host)


@pytest.mark.parametrize("verified", [True, False])
def test_a_custom_domain_resolves_once_it_is_verified(
    database: Database, admin_engine: Engine, acme: UUID, verified: bool
) -> None:
    host = f"learn-{new_id().hex[-8:]}.acme.example"
    with admin_engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO platform.organization_domains (id, organization_id, host, verified_at)"
                " VALUES (:id, :organization, :host, CASE WHEN :verified THEN now() END)"
            ),
            {"id": new_id(), "organization": acme, "host": host, "verified": verified},
        )
    resolver = HostResolver(database, "localhost")
    if verified:
        assert resolver.resolve(host) == acme
    else:
        with pytest.raises(OrganizationNotFoundError):
            resolver.resolve(host)


def test_an_answer_is_remembered_without_another_query(database: Database, acme: UUID) -> None:
    resolver = HostResolver(database, "localhost", ttl=60)
    resolver.resolve("acme.localhost")
    with pytest.raises(OrganizationNotFoundError):
        resolver.resolve("nobody.localhost")
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)

    event.listen(database.events, "before_cursor_execute", note)
    try:
        resolver.resolve("acme.localhost")
        with pytest.raises(OrganizationNotFoundError):
            resolver.resolve("nobody.localhost")
    finally:
        event.remove(database.events, "before_cursor_execute", note)
    assert statements == []


def test_a_scan_of_random_hosts_does_not_fill_the_memory(
    database: Database, acme: UUID, make_organization: Callable[..., UUID]
) -> None:
    resolver = HostResolver(database, "localhost", capacity=10)
    for number in range(30):
        with pytest.raises(OrganizationNotFoundError):
            resolver.resolve(f"scan-{number}.localhost")
    assert len(resolver._known) == 10
