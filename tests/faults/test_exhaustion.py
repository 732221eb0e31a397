"""Nothing is waited for without end: what is exhausted is answered with 503, and soon."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
from flask import Flask
from sqlalchemy import Engine, make_url, text
from werkzeug.test import TestResponse

from lms.app import create_app
from lms.config import Settings
from tenants import names
from tenants.errors import DatabaseUnavailableError
from tenants.session import PLATFORM, Database, OrganizationScope
from tests.factories.people import Person, make_user
from tests.faults.stand import Stand, fresh_slug

PROMISED_SECONDS = 2.0
SLACK = 3
LIMITS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
SLOW_CLIENTS = 3
"""Fewer than one process has threads: a server that takes bodies from the open internet needs a
proxy before it that collects them."""

MakeApp = Callable[..., AbstractContextManager[Flask]]


@pytest.fixture
def tight_app(settings: Settings) -> MakeApp:
    """Build an app with one connection, and limits of the connection as `options`."""

    @contextmanager
    def make(options: str = "") -> Iterator[Flask]:
        url = make_url(settings.database_url)
        if options:
            url = url.update_query_dict({"options": options})
        address = url.render_as_string(hide_password=False)
        app = create_app(replace(settings, database_url=address, database_pool_size=1))
        try:
            yield app
        finally:
            app.extensions["edge"].database.dispose()

    return make


@contextmanager
def locked(admin_engine: Engine, organization_id: UUID, table: str) -> Iterator[None]:
    """Hold a table against everybody."""
    schema = names.quote(names.schema_name(organization_id))
    with admin_engine.begin() as connection:
        connection.exec_driver_sql(f"LOCK TABLE {schema}.{names.quote(table)}")
        yield


def read_courses(app: Flask, database: Database, organization_id: UUID) -> TestResponse:
    return ask(app, "GET", "/courses", make_user(database, organization_id, "admin", app=app))


def ask(app: Flask, method: str, path: str, person: Person) -> TestResponse:
    headers = {**person.headers, "Idempotency-Key": str(uuid4())}
    began = time.monotonic()
    answer = app.test_client().open(
        f"/api/v1{path}",
        method=method,
        base_url="http://acme.localhost",
        headers=headers,
        json={} if method == "POST" else None,
    )
    assert time.monotonic() - began < SLACK * PROMISED_SECONDS
    return answer


def assert_asks_to_come_back(answer: TestResponse, code: str) -> None:
    assert (answer.status_code, answer.mimetype) == (503, "application/problem+json")
    assert answer.get_json()["code"] == code
    assert int(answer.headers["Retry-After"]) > 0


def test_a_pool_without_a_free_connection_is_503(
    tight_app: MakeApp, database: Database, acme: UUID
) -> None:
    with tight_app() as app, app.extensions["edge"].database.transaction(OrganizationScope(acme)):
        answer = read_courses(app, database, acme)
    assert_asks_to_come_back(answer, "unavailable")


def test_a_table_that_somebody_holds_is_503(
    tight_app: MakeApp, admin_engine: Engine, database: Database, acme: UUID
) -> None:
    with tight_app() as app, locked(admin_engine, acme, "courses"):
        answer = read_courses(app, database, acme)
    assert_asks_to_come_back(answer, "busy")


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/courses"), ("POST", f"/enrollments/{uuid4()}/withdraw")],
    ids=["read", "write"],
)
def test_accounts_that_somebody_holds_are_503_with_a_key_and_without(
    tight_app: MakeApp,
    admin_engine: Engine,
    database: Database,
    acme: UUID,
    method: str,
    path: str,
) -> None:
    with tight_app() as app:
        person = make_user(database, acme, "admin", app=app)
        with locked(admin_engine, acme, "users"):
            answer = ask(app, method, path, person)
    assert_asks_to_come_back(answer, "busy")


def test_a_statement_that_takes_too_long_is_503_and_the_connection_serves_again(
    tight_app: MakeApp, admin_engine: Engine, database: Database, acme: UUID
) -> None:
    with tight_app("-c statement_timeout=300 -c lock_timeout=0") as app:
        with locked(admin_engine, acme, "courses"):
            answer = read_courses(app, database, acme)
        assert_asks_to_come_back(answer, "unavailable")
        assert read_courses(app, database, acme).status_code == 200


def test_a_transaction_that_idles_too_long_is_ended_and_the_next_one_works(
    tight_app: MakeApp, acme: UUID
) -> None:
    with tight_app("-c idle_in_transaction_session_timeout=200") as app:
        pool: Database = app.extensions["edge"].database
        idled = threading.Event()
        with (
            pytest.raises(DatabaseUnavailableError),
            pool.transaction(OrganizationScope(acme)) as session,
        ):
            # Before its first statement a transaction holds nothing, and psycopg's last message of
            # a pipeline, a Flush, stops PostgreSQL's clock.
            session.execute(text("SELECT 1"))
            idled.wait(1.0)
            session.execute(text("SELECT 1"))
        with pool.transaction(OrganizationScope(acme)) as session:
            assert session.execute(text("SELECT 1")).scalar() == 1


def test_a_few_slow_clients_keep_nobody_else_waiting(stand: Stand) -> None:
    slug = fresh_slug("slow")
    organization_id = stand.make_organization(slug)
    person = make_user(stand.database, organization_id, "admin", app=stand.app)
    client = stand.client(slug)
    with ExitStack() as opened:
        slow = [opened.enter_context(slow_client(stand, slug, person)) for _ in range(SLOW_CLIENTS)]
        for _ in range(10):
            for connection in slow:
                connection.sendall(b" ")
            began = time.monotonic()
            assert client.get("/runs", headers=person.headers).status_code == 200
            assert time.monotonic() - began < SLACK * PROMISED_SECONDS


@contextmanager
def slow_client(stand: Stand, slug: str, person: Person) -> Iterator[socket.socket]:
    """Begin a request whose body comes byte by byte, and never all of it."""
    url = urlsplit(stand.base_url)
    head = (
        "POST /api/v1/courses HTTP/1.1",
        f"Host: {slug}.{stand.settings.base_domain}",
        f"Authorization: {person.headers['Authorization']}",
        "Content-Type: application/json",
        "Content-Length: 1000",
    )
    with socket.create_connection((url.hostname, url.port)) as connection:
        connection.sendall("\r\n".join((*head, "", "")).encode())
        yield connection


@pytest.mark.parametrize("limit", LIMITS)
def test_every_connection_has_its_limits(database: Database, acme: UUID, limit: str) -> None:
    for scope in (OrganizationScope(acme), PLATFORM):
        with database.transaction(scope) as session:
            milliseconds = session.execute(
                text("SELECT setting::int FROM pg_settings WHERE name = :name"), {"name": limit}
            ).scalar_one()
        assert 0 < milliseconds <= 30_000
