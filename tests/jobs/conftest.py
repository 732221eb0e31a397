"""Servers of our own for what kills, flushes and restarts them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import make_url, text

from jobs.connection import connect
from lms.app import create_app
from lms.compose import create_database, create_storage
from lms.config import Settings
from lms.core.ids import new_id
from lms.embedded.postgres import EmbeddedPostgres
from lms.embedded.redis import EmbeddedRedis
from tenants import migrator, provisioning
from tenants.engines import create_admin_engine
from tenants.provisioning import NewOrganization
from tenants.session import PLATFORM
from tests.factories.jobs import LEASE_SECONDS, Stack
from tests.factories.money import Academy


@pytest.fixture(scope="session")
def own_servers() -> Iterator[Stack]:
    folder = Path(tempfile.mkdtemp(prefix="lms-jobs-"))
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
        settings = Settings(
            database_url=app_url,
            database_admin_url=postgres.admin_url,
            redis_url=redis.url,
            secret_key="0123456789abcdef0123456789abcdef-jobs",
            storage_path=folder / "storage",
            scratch_path=folder / "scratch",
            lease_seconds=LEASE_SECONDS,
            log_format="console",
        )
        database = create_database(settings)
        yield Stack(folder, postgres, redis, settings, database, create_storage(settings))
        database.dispose()
    finally:
        redis.stop()
        postgres.stop("immediate")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def stack(own_servers: Stack, request: pytest.FixtureRequest) -> Iterator[Stack]:
    """The servers with an empty queue; processes end with the test, logs are shown if it failed."""
    own_servers.postgres.start()
    own_servers.redis.start()
    with connect(own_servers.redis.url, socket_timeout=5) as client:
        client.flushall()
    with own_servers.database.transaction(PLATFORM) as session:
        session.execute(text("DELETE FROM platform.work"))
    for log in own_servers.folder.glob("*.log"):
        log.unlink()
    yield own_servers
    own_servers.stop_processes()
    print(own_servers.logs())


@pytest.fixture
def new_organization(own_servers: Stack) -> Callable[[], UUID]:
    def make() -> UUID:
        organization_id = new_id()
        provisioning.create_organization(
            create_admin_engine(own_servers.postgres.admin_url),
            NewOrganization(organization_id, f"org-{organization_id.hex[-12:]}", "Acme", "EUR"),
            login_role="app",
        )
        return organization_id

    return make


@pytest.fixture(scope="session")
def stack_app(own_servers: Stack) -> Iterator[Flask]:
    app = create_app(own_servers.settings)
    yield app
    app.extensions["edge"].database.dispose()


@pytest.fixture
def academy(stack: Stack, stack_app: Flask, new_organization: Callable[[], UUID]) -> Academy:
    organization_id = new_organization()
    engine = create_admin_engine(stack.postgres.admin_url)
    slug = f"org-{organization_id.hex[-12:]}"
    return Academy(stack_app, stack.database, engine, organization_id, slug)
