"""The suite's own servers, the migrated database, and two organizations that look alike."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, make_url

from lms.app import create_app
from lms.config import Settings
from lms.core.ids import new_id
from lms.embedded import EmbeddedPostgres, EmbeddedRedis
from tenants import ddl, migrator, provisioning
from tenants.provisioning import NewOrganization
from tenants.session import Database, create_admin_engine

SECRET = "0123456789abcdef0123456789abcdef-test"


@dataclass(frozen=True)
class Servers:
    """Addresses of the suite's own PostgreSQL and Redis."""

    admin_url: str
    app_url: str
    redis_url: str
    postgres: EmbeddedPostgres
    redis: EmbeddedRedis


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    folder = Path(tempfile.mkdtemp(prefix="lms-tests-"))
    postgres = EmbeddedPostgres(folder / "pg", fast=True)
    redis = EmbeddedRedis(folder / "redis")
    try:
        postgres.start()
        redis.start()
        app_url = (
            make_url(postgres.admin_url)
            .set(username="app", password="app-password")
            .render_as_string(hide_password=False)
        )
        migrator.upgrade_platform(postgres.admin_url, app_url)
        yield Servers(postgres.admin_url, app_url, redis.url, postgres, redis)
    finally:
        redis.stop()
        postgres.stop("immediate")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def settings(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(
        database_url=servers.app_url,
        database_admin_url=servers.admin_url,
        redis_url=servers.redis_url,
        secret_key=SECRET,
        storage_path=tmp_path_factory.mktemp("storage"),
        scratch_path=tmp_path_factory.mktemp("scratch"),
        host_cache_seconds=0.0,
        lease_seconds=3.0,
        log_format="console",
    )


@pytest.fixture(scope="session")
def app(settings: Settings) -> Iterator[Flask]:
    app = create_app(settings)
    yield app
    app.extensions["edge"].database.dispose()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture(scope="session")
def database(servers: Servers) -> Iterator[Database]:
    database = Database(servers.app_url, served_revisions=ddl.served_revisions())
    yield database
    database.dispose()


@pytest.fixture(scope="session")
def admin_engine(servers: Servers) -> Engine:
    return create_admin_engine(servers.admin_url)


@pytest.fixture(scope="session")
def make_organization(admin_engine: Engine) -> Callable[..., UUID]:
    """Provision an organization; returns its id."""

    def make(slug: str | None = None, *, name: str = "Acme Academy", currency: str = "EUR") -> UUID:
        organization_id = new_id()
        new = NewOrganization(
            organization_id, slug or f"org-{organization_id.hex[-12:]}", name, currency
        )
        provisioning.create_organization(admin_engine, new, login_role="app")
        return organization_id

    return make


@pytest.fixture(scope="session")
def acme(make_organization: Callable[..., UUID]) -> UUID:
    return make_organization("acme", name="Acme Academy")


@pytest.fixture(scope="session")
def globex(make_organization: Callable[..., UUID]) -> UUID:
    return make_organization("globex", name="Globex Learning")
