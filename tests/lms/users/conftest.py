from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text
from werkzeug.test import TestResponse

from tenants.session import Database, OrganizationScope
from tests.factories.accounts import PASSWORD, bearer, log_in, make_account


class Academy:
    """An organization of its own with one signed-in admin, and calls as that admin."""

    def __init__(
        self, client: FlaskClient, database: Database, organization_id: UUID, slug: str
    ) -> None:
        self.client, self.database, self.id, self.slug = client, database, organization_id, slug
        self.base_url = f"http://{slug}.localhost"
        self.admin_id, self.admin_email = make_account(database, organization_id, "admin")
        self.headers = bearer(log_in(client, slug, self.admin_email).json)

    def call(self, method: str, path: str, headers: dict[str, str] | None = None, **kwargs: Any):
        return self.client.open(
            f"/api/v1{path}",
            method=method,
            base_url=self.base_url,
            headers=headers or self.headers,
            **kwargs,
        )

    def invite(self, email: str, account_type: str = "student") -> TestResponse:
        body = {"email": email, "name": "Dana Reyes", "account_type": account_type}
        return self.call("POST", "/users", json=body)

    def accept(self, token: str, password: str = PASSWORD, **more: str) -> TestResponse:
        return self.client.post(
            "/api/v1/auth/invitations/accept",
            base_url=self.base_url,
            json={"token": token, "password": password, **more},
        )

    def sql(self, statement: str, **values: Any) -> list[Any]:
        with self.database.transaction(OrganizationScope(self.id)) as session:
            result = session.execute(text(statement), values)
            return list(result) if result.returns_rows else []


@pytest.fixture
def academy(
    client: FlaskClient, database: Database, make_organization: Callable[..., UUID]
) -> Academy:
    organization_id = make_organization()
    return Academy(client, database, organization_id, f"org-{organization_id.hex[-12:]}")
