"""People of two organizations, and a way to call the API as one of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from tenants.session import Database, OrganizationScope
from tests.factories.courses import Content, make_draft
from tests.factories.people import Person, make_user

Answer = Any
"""Werkzeug's TestResponse; its `json` may be None there, which no test here is about."""


@dataclass(frozen=True)
class Api:
    """Calls acme's API as one person."""

    client: FlaskClient
    person: Person
    host: str = "acme.localhost"

    def call(self, method: str, path: str, json: Any = None, *, etag: str | None = None) -> Answer:
        headers = dict(self.person.headers)
        if etag is not None:
            headers["If-Match"] = etag
        return self.client.open(
            f"/api/v1{path}",
            method=method,
            base_url=f"http://{self.host}",
            headers=headers,
            json=json,
        )

    def get(self, path: str) -> Answer:
        return self.call("GET", path)

    def post(self, path: str, json: Any = None, *, etag: str | None = None) -> Answer:
        return self.call("POST", path, json, etag=etag)

    def upload(self, path: str, data: bytes, content_type: str = "application/zip") -> Answer:
        return self.client.post(
            f"/api/v1{path}",
            base_url=f"http://{self.host}",
            headers=self.person.headers,
            data=data,
            content_type=content_type,
        )

    def put(self, path: str, json: Any, *, etag: str | None = "*") -> Answer:
        return self.call("PUT", path, json, etag=etag)

    def patch(self, path: str, json: Any, *, etag: str | None = "*") -> Answer:
        return self.call("PATCH", path, json, etag=etag)

    def delete(self, path: str, *, etag: str | None = "*") -> Answer:
        return self.call("DELETE", path, etag=etag)


@pytest.fixture
def instructor(client: FlaskClient, database: Database, acme: UUID) -> Api:
    return Api(client, make_user(database, acme, "instructor", name="Mara Lindqvist"))


@pytest.fixture
def colleague(client: FlaskClient, database: Database, acme: UUID) -> Api:
    return Api(client, make_user(database, acme, "instructor"))


@pytest.fixture
def admin(client: FlaskClient, database: Database, acme: UUID) -> Api:
    return Api(client, make_user(database, acme, "admin"))


@pytest.fixture
def student(client: FlaskClient, database: Database, acme: UUID) -> Api:
    return Api(client, make_user(database, acme, "student"))


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max_workers=8) as pool:
        yield pool


def blocked(database: Database, organization_id: UUID) -> bool:
    """Whether a statement of this suite's PostgreSQL waits for a lock right now."""
    with database.transaction(OrganizationScope(organization_id)) as session:
        return bool(session.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")))


def wait_until_blocked(database: Database, organization_id: UUID, future: Future[Any]) -> None:
    deadline = time.monotonic() + 10
    while not blocked(database, organization_id):
        finished, _ = wait_for([future], timeout=0.02)
        assert not finished, "it did not wait for the other transaction"
        assert time.monotonic() < deadline, "it neither finished nor waited for a lock"


@pytest.fixture
def draft(instructor: Api, database: Database, acme: UUID) -> Content:
    return make_draft(database, acme, instructor.person)
