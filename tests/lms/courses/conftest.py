"""People of two organizations, and a way to call the API as one of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from tenants.session import Database
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
